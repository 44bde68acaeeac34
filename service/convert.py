"""Messages <-> values. Formats and limits of requests are checked here, and nowhere else."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from matching.allocate import (
    MOST_URGENT,
    UNALLOCATED,
    UTILITY_LIMIT,
    AllocationProblem,
    AllocationSolution,
    Explanation,
    Objectives,
)
from matching.errors import AllocationError, TypingError
from matching.genotypes import Genotype, encode
from matching.kernels import (
    COUNT_BEST,
    COUNT_WORST,
    DONOR_1,
    DONOR_2,
    GVH_BEST,
    GVH_WORST,
    HVG_BEST,
    HVG_WORST,
)
from matching.loci import LOCI, Locus, parse_loci
from matching.nomenclature import Nomenclature
from matching.pipeline import Matches
from matching.risk import VARIABLES, Known, Prediction, Variable
from matching.search import POSITION_LETTERS
from matching.typings import Position, Typing, parse_typing
from service.masses import CandidateProbabilities, GenotypeLimits, Outcome
from service.pb.graftmatch.v1 import common_pb2, graftmatch_pb2
from service.status import RequestError, Violation


@dataclass(frozen=True)
class Limits:
    """What a request may ask for at most."""

    message_bytes: int = 32 * 1024 * 1024
    typing_characters: int = 100_000
    mismatches: int = 18
    batch_size: int = 1000
    page_size: int = 10_000
    identifier_characters: int = 200
    patients: int = 100_000
    donors: int = 1_000_000
    edges: int = 1_000_000
    # Beyond these a comparison has no probabilities (PROBABILITY_STATUS_TOO_AMBIGUOUS).
    genotypes: GenotypeLimits = GenotypeLimits(patient=20_000, pairs=5_000_000)  # noqa: RUF009


LIMITS = Limits()
DEFAULT_LOCI = parse_loci("A,B,C,DRB1,DQB1")
EARLIEST_DAY = datetime.date(1900, 1, 1)
_VARIABLES = {variable.name: variable for variable in VARIABLES}


@contextmanager
def checking() -> Iterator[list[Violation]]:
    """A list for violations; raises `RequestError` at the end where it holds any."""
    found: list[Violation] = []
    yield found
    if found:
        raise RequestError(found)


@dataclass(frozen=True)
class PairRequest:
    """A checked pair, and the notes of reading both typings."""

    patient: Typing
    donor: Typing
    loci: tuple[Locus, ...]
    notes: tuple[str, ...]


def typing_request(
    request: graftmatch_pb2.ParseTypingRequest, nomenclature: Nomenclature
) -> tuple[Typing, Genotype]:
    """The typing, and what it means under the release. Raises `RequestError`."""
    with checking() as found:
        read = read_typing("typing", request.typing, nomenclature, found)
    assert read is not None
    return read


def pair_request(
    request: graftmatch_pb2.ScorePairRequest, nomenclature: Nomenclature
) -> PairRequest:
    """Raises `RequestError` with every violation."""
    with checking() as found:
        patient = read_typing("patient", request.patient, nomenclature, found)
        donor = read_typing("donor", request.donor, nomenclature, found)
        loci = read_loci(request.loci, found)
    assert patient is not None and donor is not None
    notes = tuple(dict.fromkeys((*patient[1].notes, *donor[1].notes)))
    return PairRequest(patient[0], donor[0], loci, notes)


def read_typing(
    field: str, text: str, nomenclature: Nomenclature, found: list[Violation]
) -> tuple[Typing, Genotype] | None:
    if len(text) > LIMITS.typing_characters:
        reason = f"longer than {LIMITS.typing_characters:,} characters"
        found.append(Violation(field, reason))
        return None
    try:
        typing = parse_typing(text)
        return typing, encode(typing, nomenclature)
    except TypingError as error:
        found.append(Violation(field, str(error)))
        return None


def read_loci(
    names: Sequence[str], found: list[Violation], field: str = "loci"
) -> tuple[Locus, ...]:
    if len(names) > len(LOCI):
        found.append(Violation(field, f"more than the {len(LOCI)} loci that are matched"))
        return ()
    loci: list[Locus] = []
    for i, name in enumerate(names):
        try:
            # A comma would be read as two names.
            (locus,) = parse_loci(name.replace(",", ";"))
        except ValueError as error:
            found.append(Violation(f"{field}[{i}]", str(error)))
            continue
        if locus in loci:
            found.append(Violation(f"{field}[{i}]", f"locus {locus.value} is given twice"))
        loci.append(locus)
    return tuple(sorted(loci, key=lambda locus: locus.position)) or DEFAULT_LOCI


def read_day(field: str, text: str, found: list[Violation]) -> datetime.date | None:
    if not text:
        return None
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        found.append(Violation(field, "not a day; write YYYY-MM-DD"))
        return None
    if day < EARLIEST_DAY:
        found.append(Violation(field, f"before {EARLIEST_DAY}"))
    return day


def factor_columns(
    request: graftmatch_pb2.PredictRiskRequest,
) -> dict[str, npt.NDArray[Any]]:
    """One array of one value a factor, as `matching.risk.predict` takes. Raises `RequestError`."""
    columns: dict[str, npt.NDArray[Any]] = {}
    with checking() as found:
        for name in sorted(request.factors):
            field = f"factors[{name[:60]!r}]"
            variable = _VARIABLES.get(name)
            if variable is None:
                near = ", ".join(difflib.get_close_matches(name[:60], _VARIABLES, n=3))
                hint = f"; near names: {near}" if near else "; docs/risk.md lists them"
                found.append(Violation(field, f"not the name of a factor{hint}"))
                continue
            value = request.factors[name]
            reason = _factor_problem(variable, value)
            if reason:
                found.append(Violation(field, reason))
            else:
                columns[name] = np.array([value.level if variable.levels else value.number])
    return columns


def _factor_problem(variable: Variable, value: graftmatch_pb2.FactorValue) -> str:
    kind = value.WhichOneof("value")
    if variable.levels:
        known = value.level in variable.levels or (variable.open and value.level)
        if kind != "level" or not known:
            return f"must be a level, one of: {', '.join(variable.levels)}"
    elif kind != "number" or not variable.low <= value.number <= variable.high:
        return f"must be a number from {variable.low:g} to {variable.high:g}"
    return ""


def allocation_problem(request: graftmatch_pb2.AllocateDonorsRequest) -> AllocationProblem:
    """Raises `RequestError`; of edges, the first wrong one of each kind is named."""
    edges = request.edges
    with checking() as found:
        for name, given, most in (
            ("patients", request.patients, LIMITS.patients),
            ("donors", request.donors, LIMITS.donors),
            ("edges", edges, LIMITS.edges),
        ):
            if len(given) > most:
                found.append(Violation(name, f"more than {most:,}"))
    with checking() as found:
        _check_identifiers("patients", request.patients, found)
        _check_identifiers("donors", request.donors, found)
        patient = np.fromiter((edge.patient for edge in edges), np.int64, len(edges))
        donor = np.fromiter((edge.donor for edge in edges), np.int64, len(edges))
        utility = np.fromiter((edge.utility for edge in edges), np.int64, len(edges))
        for name, values, low, high in (
            ("patient", patient, 0, len(request.patients) - 1),
            ("donor", donor, 0, len(request.donors) - 1),
            ("utility", utility, 1, UTILITY_LIMIT - 1),
        ):
            wrong = (values < low) | (values > high)
            if wrong.any():
                at = int(wrong.argmax())
                reason = f"{values[at]} is not in {low} to {high}"
                found.append(Violation(f"edges[{at}].{name}", reason))
        urgency = np.array(request.urgency or [1] * len(request.patients), dtype=np.int64)
        given = list(request.previous) or [""] * len(request.patients)
        for name, n in (("urgency", len(urgency)), ("previous", len(given))):
            if n != len(request.patients):
                reason = f"{n} values for {len(request.patients)} patients"
                found.append(Violation(name, reason))
        for i in np.flatnonzero((urgency < 1) | (urgency > MOST_URGENT))[:1].tolist():
            found.append(Violation(f"urgency[{i}]", f"{urgency[i]} is not in 1 to {MOST_URGENT}"))
    position = {name: i for i, name in enumerate(request.donors)}
    # A donor of yesterday who is no longer among the donors cannot be kept.
    previous = np.array([position.get(name, UNALLOCATED) for name in given], dtype=np.int64)
    try:
        return AllocationProblem(
            patients=tuple(request.patients),
            donors=tuple(request.donors),
            patient=patient,
            donor=donor,
            utility=utility,
            urgency=urgency,
            previous=previous,
        )
    except AllocationError as error:
        raise RequestError([Violation("edges", str(error))]) from error


def allocation_objectives(request: graftmatch_pb2.AllocateDonorsRequest) -> Objectives:
    """Raises `RequestError`."""
    shares = {}
    with checking() as found:
        for name in ("recipients", "utility"):
            if request.HasField(f"{name}_share"):
                shares[name] = getattr(request, f"{name}_share")
                if not 0 <= shares[name] <= 1:
                    found.append(Violation(f"{name}_share", f"{shares[name]} is not in 0 to 1"))
    return Objectives(**shares)


def _check_identifiers(field: str, names: Iterable[str], found: list[Violation]) -> None:
    seen: set[str] = set()
    for i, name in enumerate(names):
        if not name or len(name) > LIMITS.identifier_characters:
            reason = f"must have 1 to {LIMITS.identifier_characters} characters"
        elif name in seen:
            reason = "the identifier is given twice"
        else:
            seen.add(name)
            continue
        found.append(Violation(f"{field}[{i}]", reason))
        return


def typing_response(
    typing: Typing,
    genotype: Genotype,
    nomenclature: Nomenclature,
    provenance: common_pb2.Provenance,
) -> graftmatch_pb2.ParseTypingResponse:
    """A typing as read."""

    def position(written: Position, groups: Iterable[int], tce: int) -> Any:
        return graftmatch_pb2.TypedPosition(
            text=written.text,
            form=written.form.value,
            p_groups=[nomenclature.p_group_names[code] for code in groups if code >= 0],
            tce_group=tce,
        )

    loci = []
    for locus, (written, meant) in typing.loci.zip(genotype.loci).items():
        if written is not None and meant is not None:
            first = position(written.first, meant.first, meant.tce[0])
            second = position(written.second, meant.second, meant.tce[1])
            loci.append(
                graftmatch_pb2.LocusTyping(
                    locus=locus.value,
                    first=first,
                    second=second,
                    others=[f"{a.text}+{b.text}" for a, b in written.others],
                )
            )
    return graftmatch_pb2.ParseTypingResponse(
        provenance=provenance,
        canonical=typing.text,
        loci=loci,
        carried=typing.carried,
        notes=genotype.notes,
    )


def comparisons(
    matches: Matches, probabilities: CandidateProbabilities
) -> list[common_pb2.Comparison]:
    """One message a candidate, in their order."""
    candidates = matches.candidates
    best, worst = candidates.mismatches_best.tolist(), candidates.mismatches_worst.tolist()
    gvh = zip(candidates.total(GVH_BEST), candidates.total(GVH_WORST), strict=True)
    hvg = zip(candidates.total(HVG_BEST), candidates.total(HVG_WORST), strict=True)
    rows = zip(
        zip(best, worst, strict=True),
        gvh,
        hvg,
        candidates.compared.tolist(),
        matches.tce,
        probabilities.p.tolist(),
        map(Outcome, probabilities.outcomes.tolist()),
        strict=True,
    )
    return [
        common_pb2.Comparison(
            mismatches=as_range(*mismatches),
            gvh=as_range(*to_host),
            hvg=as_range(*to_graft),
            loci=[_locus(locus, row) for locus, row in zip(LOCI, compared, strict=True)],
            dpb1_tce=common_pb2.Dpb1Tce.Value(f"DPB1_TCE_{tce.name}"),
            probability_status=common_pb2.ProbabilityStatus.Value(
                f"PROBABILITY_STATUS_{outcome.name}"
            ),
            **_known_probabilities(p),
        )
        for mismatches, to_host, to_graft, compared, tce, p, outcome in rows
    ]


def _known_probabilities(p: Sequence[float]) -> dict[str, float]:
    return {} if np.isnan(p[0]) else dict(zip(("p10", "p9", "p8"), p, strict=True))


def as_range(best: int, worst: int) -> common_pb2.Range:
    return common_pb2.Range(best=int(best), worst=int(worst))


def _locus(locus: Locus, row: Sequence[int]) -> common_pb2.LocusComparison:
    return common_pb2.LocusComparison(
        locus=locus.value,
        matches=as_range(row[COUNT_BEST], row[COUNT_WORST]),
        gvh=as_range(row[GVH_BEST], row[GVH_WORST]),
        hvg=as_range(row[HVG_BEST], row[HVG_WORST]),
        positions=POSITION_LETTERS[row[DONOR_1]] + POSITION_LETTERS[row[DONOR_2]],
    )


def donor_facts(facts: Mapping[str, Any], age_years: float) -> graftmatch_pb2.DonorFacts:
    """The facts of a donor; None and NaN are unknown."""
    message = graftmatch_pb2.DonorFacts()
    for name in ("type", "sex", "cmv", "abo", "rh", "ancestry", "registry"):
        setattr(message, name, facts[name] or "")
    # A day before the birth date has no age.
    if age_years >= 0:
        message.age_years = int(age_years)
    if facts["weight_kg"] is not None:
        message.weight_kg = facts["weight_kg"]
    return message


def outcome_risk(prediction: Prediction) -> graftmatch_pb2.OutcomeRisk:
    """The prediction of one case."""
    if not prediction.applicable[0]:
        return graftmatch_pb2.OutcomeRisk(
            outcome=prediction.outcome, horizon_days=prediction.horizon_days, not_applicable=True
        )
    rows = zip(
        prediction.factors,
        prediction.contributions[0].tolist(),
        prediction.known[0].tolist(),
        strict=True,
    )
    return graftmatch_pb2.OutcomeRisk(
        outcome=prediction.outcome,
        horizon_days=prediction.horizon_days,
        probability=prediction.probability[0],
        low=prediction.low[0],
        high=prediction.high[0],
        intercept=prediction.intercept,
        contributions=[
            graftmatch_pb2.Contribution(
                factor=factor,
                log_odds=log_odds,
                known=graftmatch_pb2.Known.Value(f"KNOWN_{Known(known).name}"),
            )
            for factor, log_odds, known in rows
        ],
    )


def allocation_response(
    problem: AllocationProblem,
    solution: AllocationSolution,
    reasons: Iterable[Explanation],
    provenance: common_pb2.Provenance,
) -> graftmatch_pb2.AllocateDonorsResponse:
    """An allocation by identifiers."""
    given = solution.edge_of != UNALLOCATED
    utility = np.where(given, np.append(problem.utility, 0)[solution.edge_of], 0)

    def name(names: tuple[str, ...], position: int) -> str | None:
        return None if position == UNALLOCATED else names[position]

    rows = zip(problem.patients, solution.donor_of.tolist(), utility.tolist(), strict=True)
    return graftmatch_pb2.AllocateDonorsResponse(
        provenance=provenance,
        assignments=[
            graftmatch_pb2.Assignment(
                patient=patient, donor=name(problem.donors, donor), utility=worth
            )
            for patient, donor, worth in rows
        ],
        status=graftmatch_pb2.AllocationStatus.Value(f"ALLOCATION_STATUS_{solution.status.name}"),
        objective=solution.objective,
        bound=solution.bound,
        levels=[
            graftmatch_pb2.AllocationLevel(
                objective=graftmatch_pb2.AllocationObjective.Value(
                    f"ALLOCATION_OBJECTIVE_{level.objective.name}"
                ),
                best=level.best,
                bound=level.bound,
                least=level.least,
                reached=level.reached,
            )
            for level in solution.levels
        ],
        explanations=[
            graftmatch_pb2.Explanation(
                patient=problem.patients[row.patient],
                reason=graftmatch_pb2.AllocationReason.Value(
                    f"ALLOCATION_REASON_{row.reason.name}"
                ),
                allocated=name(problem.donors, row.allocated),
                best=name(problem.donors, row.best),
                recipient=name(problem.patients, row.recipient),
                swap_cost=row.swap_cost,
            )
            for row in reasons
        ],
    )
