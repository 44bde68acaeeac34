"""An explainable total order of donors: every key is part of the result.

Keys come one after the other; a later one only orders donors that all earlier ones leave equal, and
the identifier ends every tie. Of each key the lower value is the better one. What is unknown is
never the worst: it stands before the values that are known to be unfavourable.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from matching.immunogenetics import LEADER_ORDER, LeaderOutcome, leader_preference
from matching.rank_kernels import merge_orders
from matching.risk import Z95, Coded, CodedColumns, OutcomeModel, centred, compare_donors, design

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

MISMATCHES = ("mismatches_best", "mismatches_worst")
# Of every key the reason to stand below another donor.
REASONS: Mapping[str, str] = {
    "antibody": "less favourable virtual crossmatch",
    "p10": "lower band of P(10/10)",
    "p9": "lower band of P(9/10)",
    "mismatches_best": "more mismatches at best",
    "mismatches_worst": "more mismatches at worst",
    "tce": "less favourable DPB1",
    "leader": "less favourable HLA-B leader",
    "risk": "higher risk of acute GVHD III-IV",
    "age": "older, or age unknown",
    "cmv": "less favourable CMV status",
    "sex": "female for a male patient, or sex unknown",
    "abo": "less favourable ABO group",
    "mismatches_counted": "more mismatches by the rule of the search",
    "tnc": "fewer nucleated cells a kg, or unknown",
    "cd34": "fewer CD34+ cells a kg, or unknown",
    "nima": "less favourable by maternal antigens",
}
BY_IDENTIFIER = "equal, by identifier"
DEFAULT_KEYS = ("p10", "p9", "tce", "leader", "risk", "age", "cmv", "sex", "abo")
# Of searches by a rule of cord blood units (`matching.cord.CordRule`).
CORD_KEYS = ("mismatches_counted", "tnc", "cd34", "risk", "abo")
DEFAULT_BANDS = (99.0, 95.0, 75.0, 50.0, 25.0, 1.0)
# Doses a kg that are worth a place, 10^7 nucleated and 10^6 CD34+ cells: our convention.
DOSE_STEPS: Mapping[str, float] = {"tnc": 0.5, "cd34": 0.05}
_RULE_FIELDS = {"keys", "bands", "risk_step", "leader_order"}


@dataclass(frozen=True)
class RankRule:
    """What donors are ordered by.

    `keys`: names of `REASONS`, the weightiest first. `bands`: lower bounds in percent of the bands
    of P(10/10) and P(9/10), falling; below the last is a band of its own. `risk_step`: percent.
    `leader_order`: (leader-matched, shared leader) of a single HLA-B mismatch, best first.
    Raises `ValueError` where that cannot be followed.
    """

    keys: tuple[str, ...] = DEFAULT_KEYS
    bands: tuple[float, ...] = DEFAULT_BANDS
    risk_step: float = 1.0
    leader_order: tuple[tuple[bool, str], ...] = LEADER_ORDER

    def __post_init__(self) -> None:
        for key in self.keys:
            if key not in REASONS:
                raise ValueError(f"no key is called {key!r}; known: {', '.join(REASONS)}")
        if len(set(self.keys)) != len(self.keys):
            raise ValueError("a key is named twice")
        falling = all(high > low for high, low in zip(self.bands, self.bands[1:], strict=False))
        if not self.bands or not falling or not all(0 < band <= 100 for band in self.bands):
            raise ValueError("bands are percentages above 0 up to 100 that fall, such as 99,95,75")
        if not 0 < self.risk_step <= 100:
            raise ValueError("risk_step is a percentage above 0 up to 100")
        if sorted(self.leader_order) != sorted(LEADER_ORDER):
            raise ValueError(
                "leader_order holds [true, 'T'], [true, 'M'], [false, 'T'] and [false, 'M'] once"
            )

    def applied(self, with_probabilities: bool) -> tuple[str, ...]:
        """The keys in use: without probabilities mismatch counts stand where the first band stood.

        >>> RankRule(("tce", "p10", "p9", "age")).applied(False)
        ('tce', 'mismatches_best', 'mismatches_worst', 'age')
        """
        if with_probabilities:
            return self.keys
        found: list[str] = []
        for key in self.keys:
            for name in MISMATCHES if key in ("p10", "p9") else (key,):
                if name not in found:
                    found.append(name)
        return tuple(found)


def parse_rule(text: str) -> RankRule:
    """A rule from TOML: `keys`, `bands`, `risk_step` and `leader_order`, each of them optional.

    >>> parse_rule('keys = ["tce", "age"]').keys
    ('tce', 'age')

    Raises `ValueError`.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not TOML: {error}") from None
    if unknown := sorted(table.keys() - _RULE_FIELDS):
        known = ", ".join(sorted(_RULE_FIELDS))
        raise ValueError(f"no setting is called {unknown[0]!r}; known: {known}")
    default = RankRule()
    try:
        return RankRule(
            tuple(map(str, table.get("keys", default.keys))),
            tuple(map(float, table.get("bands", default.bands))),
            float(table.get("risk_step", default.risk_step)),
            tuple((bool(m), str(s)) for m, s in table.get("leader_order", default.leader_order)),
        )
    except TypeError as error:
        raise ValueError(f"a setting is of another kind than it should be: {error}") from None


class RankKey(NamedTuple):
    """One key. `values(members, ties)` gives what it orders by: (m,) float64, lower is better.

    `members`: (m,) int64 candidates; `ties`: (m,) int64, equal where the keys before left two of
    them equal. Members of one tie stand together.
    """

    name: str
    values: Callable[[Int64s, Int64s], Floats]


def antibody_values(low: npt.NDArray[np.uint8], high: npt.NDArray[np.uint8]) -> Floats:
    """0 where a virtual crossmatch is negative, 2 where it is positive, 1 where it cannot be told.

    low, high: best and worst answer, values of `matching.antibodies.Answer`.
    """
    return np.where(low == high, low, 1).astype(np.float64)


def by_values(name: str, values: npt.ArrayLike) -> RankKey:
    """A key whose value is known of every candidate."""
    known = np.asarray(values, dtype=np.float64)
    return RankKey(name, lambda members, _: known[members])


@dataclass(frozen=True)
class Ranking:
    """The first m of n candidates, best first.

    `order`: (m,) int64 positions of candidates. `keys`: names in their order. `values`:
    (m, n_keys) float64. `decided_by`: (m,) int64, position in `keys` of the first key in which a
    donor is worse than the one ranked before it, `len(keys)` where the identifier decided, -1 for
    the first donor.
    """

    order: Int64s
    keys: tuple[str, ...]
    values: Floats
    decided_by: Int64s

    def __len__(self) -> int:
        return len(self.order)

    def part(self, start: int, end: int) -> Ranking:
        """Ranks `start` to `end`, from 0."""
        cut = slice(start, end)
        return Ranking(self.order[cut], self.keys, self.values[cut], self.decided_by[cut])

    @property
    def reasons(self) -> list[str]:
        """Why each donor stands below the one before it, "" for the first."""
        texts = [*(REASONS[key] for key in self.keys), BY_IDENTIFIER, ""]
        return [texts[i] for i in self.decided_by]


def rank(
    n: int,
    keys: Sequence[RankKey],
    end: int,
    identifiers: Callable[[Int64s], Sequence[str]] | None = None,
    between: Callable[[], object] = lambda: None,
) -> Ranking:
    """The first `end` of n candidates.

    `identifiers`: of some candidates, which end the ties that are left; without it candidates are
    in the order of their identifiers. `between`: called between parts of the work; what it raises
    ends it.

    A key is asked of the candidates alone that the keys before it leave among the first `end`, or
    equal to the last of them.
    """
    order = np.arange(n if end > 0 else 0, dtype=np.int64)
    ties = np.zeros(len(order), dtype=np.int64)
    decided_by = np.full(len(order), len(keys), dtype=np.int64)
    decided_by[:1] = -1
    columns: list[Floats] = []
    for i, key in enumerate(keys):
        between()
        found = np.asarray(key.values(order, ties), dtype=np.float64)
        if found.shape != order.shape or np.isnan(found).any():
            raise ValueError(f"key {key.name} has no value for some candidate")
        between()
        kept = _among_first(found, ties, end, between)
        order, found = order[kept], found[kept]
        between()
        # Of the last tie alone some are left out, and its members have equal values so far.
        active = len(order)
        ties, decided_by = ties[:active], decided_by[:active]
        # Stable, so that candidates that stay equal keep their order.
        moved = _sorted(ties, found, between)
        between()
        order, found = order[moved], found[moved]
        between()
        columns = [column[:active] for column in columns]
        begins = np.diff(ties) != 0
        differs = ~begins & (found[1:] != found[:-1])
        decided_by[1:][differs] = i
        ties[1:] = np.cumsum(begins | differs)
        columns.append(found)
    if identifiers is not None:
        shared = np.flatnonzero(_is_shared(ties))
        for begin, stop in _whole_ties(ties[shared]):
            between()
            at = shared[begin:stop]
            names = np.array(identifiers(order[at]), dtype=object)
            moved = np.lexsort((np.unique(names, return_inverse=True)[1], ties[at]))
            # Within a tie all keys are equal, so only the order changes.
            order[at] = order[at][moved]
    values = np.array([column[:end] for column in columns]).reshape(len(keys), len(order[:end])).T
    return Ranking(order[:end], tuple(key.name for key in keys), values, decided_by[:end])


# Candidates that are sorted before `between` is called again, and whose identifiers are.
_RUN, _NAMED = 100_000, 10_000


def _sorted(ties: Int64s, found: Floats, between: Callable[[], object]) -> Int64s:
    """The stable order by `ties`, which ascend, then by `found`."""
    runs = []
    for begin in range(0, len(ties), _RUN):
        between()
        part = slice(begin, begin + _RUN)
        runs.append(begin + np.lexsort((found[part], ties[part])))
    while len(runs) > 1:
        pairs = zip(runs[::2], runs[1::2], strict=False)
        merged = [_merged(ties, found, *pair, between) for pair in pairs]
        runs = merged + runs[2 * len(merged) :]
    return runs[0] if runs else np.empty(0, dtype=np.int64)


def _merged(
    ties: Int64s, found: Floats, one: Int64s, other: Int64s, between: Callable[[], object]
) -> Int64s:
    """Two orders of candidates as one; of equals those of the first come first."""
    out = np.empty(len(one) + len(other), dtype=np.int64)
    taken = 0
    for begin in range(0, len(out), _RUN):
        between()
        part = out[begin : begin + _RUN]
        taken = merge_orders(ties, found, one, other, taken, begin - taken, part)
    return out


def _is_shared(ties: Int64s) -> npt.NDArray[np.bool_]:
    """Who is in a tie with another."""
    shared = np.zeros(len(ties), dtype=bool)
    same = ties[1:] == ties[:-1]
    shared[1:] = same
    shared[:-1] |= same
    return shared


def _whole_ties(ties: Int64s) -> Iterator[tuple[int, int]]:
    """Where parts of about `_NAMED` candidates begin and end, no tie being divided."""
    begin = 0
    while begin < len(ties):
        end = min(begin + _NAMED, len(ties))
        end = int(np.searchsorted(ties, ties[end - 1], side="right"))
        yield begin, end
        begin = end


def _among_first(
    found: Floats, ties: Int64s, end: int, between: Callable[[], object]
) -> npt.NDArray[np.bool_] | slice:
    """Which candidates can be among the first `end` when each tie is ordered by `found`: of the
    last tie, which holds the last of these, those that are not worse than that one."""
    if end >= len(found):
        return slice(None)
    start = int(np.searchsorted(ties, ties[end - 1]))
    kept = np.ones(len(found), dtype=bool)
    last = found[start:]
    kept[start:] = last <= _at_place(last, end - 1 - start, between)
    return kept


def _at_place(values: Floats, place: int, between: Callable[[], object]) -> float:
    """What stands at a place, from 0, when values are sorted."""
    parts = []
    for begin in range(0, len(values), _RUN):
        between()
        parts.append(np.unique(values[begin : begin + _RUN], return_counts=True))
    distinct = np.concatenate([part for part, _ in parts])
    order = np.argsort(distinct)
    before = np.cumsum(np.concatenate([counts for _, counts in parts])[order])
    return float(distinct[order][np.searchsorted(before, place, side="right")])


def probability_bands(p: Floats, certain: Floats, bands: Sequence[float]) -> Floats:
    """(n,) position of the band of each probability, 0 the highest.

    `p`: probabilities in [0, 1], NaN where unknown; then `certain` stands in, which is 0 or 1 where
    the typings alone leave no doubt (R16) and NaN elsewhere. What stays unknown comes before the
    last band: the donor may match, which those of the last band almost certainly do not.

    >>> probability_bands(np.array([0.99, 0.5, np.nan, 0.0]), np.full(4, np.nan), (99, 1)).tolist()
    [0.0, 1.0, 1.5, 2.0]
    """
    found = np.where(np.isnan(p), certain, p)
    bounds = np.array(bands[::-1]) / 100
    # Sums of weights are exact to about 1e-13.
    place = len(bounds) - np.searchsorted(bounds, found + 1e-9, side="right")
    return np.where(np.isnan(found), len(bounds) - 0.5, place)


def certain_probabilities(best: Int64s, worst: Int64s, n_mismatches: int) -> Floats:
    """P of exactly `n_mismatches` over the five loci where the typings tell: 0, 1, else NaN.

    `best`, `worst`: (n,) mismatches at A, B, C, DRB1 and DQB1.

    >>> certain_probabilities(np.array([0, 0, 1]), np.array([0, 2, 1]), 0).tolist()
    [1.0, nan, 0.0]
    """
    possible = (best <= n_mismatches) & (n_mismatches <= worst)
    return np.where(~possible, 0.0, np.where(best == worst, 1.0, np.nan))


def leader_values(outcomes: Sequence[LeaderOutcome | None], rule: RankRule) -> Floats:
    """(n,) preference by HLA-B leader (rule R18, Petersdorf 2020, Lancet Haematol 7:e50).

    None is a pair that may match at HLA-B: nothing is mismatched, so it is as good as the best. Of
    a single mismatch the place in `rule.leader_order`; what is undetermined, or two mismatches,
    comes between the leader-matched and the leader-mismatched.
    """
    unknown = sum(matched for matched, _ in rule.leader_order) - 0.5
    places = (0 if o is None else leader_preference(o, rule.leader_order) for o in outcomes)
    return np.array([unknown if place is None else place for place in places], dtype=np.float64)


def age_values(age_years: Floats) -> Floats:
    """Younger first, since survival falls with donor age (Kollman 2016, Blood 127:260).

    An unknown age (NaN) comes after every known one: no age is known to be unfavourable by itself.
    """
    return np.where(np.isnan(age_years), np.inf, age_years)


def cmv_values(patient: str | None, donors: Sequence[str | None]) -> Floats:
    """(n,) 0 the patient's serostatus, 1 unknown on either side, 2 the other.

    A negative donor spares a negative patient the infection, a positive one brings immunity to a
    positive patient (Ljungman 2014, Clin Infect Dis 59:473).
    """
    known = ("positive", "negative")
    return np.array(
        [
            float(2 * (donor != patient)) if donor in known and patient in known else 1.0
            for donor in donors
        ]
    )


def sex_values(patient: str | None, donors: Sequence[str | None]) -> Floats:
    """2 for a female donor of a male patient (chronic GVHD: Flowers 2011, Blood 117:3214).

    1 where that is possible and not known, else 0.
    """
    if patient == "female":
        return np.zeros(len(donors))
    female = 2.0 if patient == "male" else 1.0
    return np.array([{"male": 0.0, "female": female}.get(str(donor), 1.0) for donor in donors])


def dose_values(key: str, dose: Floats, cord: npt.NDArray[np.bool_]) -> Floats:
    """Whole steps of `DOSE_STEPS` by which cord units are ordered, more cells first: both doses go
    with engraftment and survival (Politikos 2020, Biol Blood Marrow Transplant 26:2190).

    `dose`: (n,) a kg of the patient, NaN where unknown, which comes after every known one. A donor
    that is no `cord` unit gives as much as is needed, so it comes first.

    >>> dose_values("tnc", np.array([2.6, 2.4, np.nan]), np.ones(3, dtype=bool)).tolist()
    [-5.0, -4.0, inf]
    """
    steps = -np.floor(dose / DOSE_STEPS[key] + 1e-9)
    return np.where(cord, np.where(np.isnan(dose), np.inf, steps + 0.0), -np.inf)


# Plasma or red cells are removed for a minor or a major mismatch; a major one delays red cells
# (Worel 2016, Transfus Med Hemother 43:3).
_ABO = {"match": 0.0, "minor": 1.0, "": 2.0, "major": 3.0, "bidirectional": 4.0}


def abo_values(matches: Sequence[str]) -> Floats:
    """From "match", "minor", "major" and "bidirectional", unknown ("") before the last two."""
    return np.array([_ABO[match] for match in matches])


def risk_values(
    model: OutcomeModel,
    columns: CodedColumns,
    ties: Int64s,
    step: float,
    between: Callable[[], object] = lambda: None,
) -> Floats:
    """Whole steps of `step` percent by which the risk of each lies above that of its reference.

    The reference is the candidate of lowest risk in the same tie, of several the one of the lowest
    columns, so that the order of candidates is irrelevant. 0 where the 95 % interval of the
    difference includes zero: on the scale of log-odds, on which the model is linear, so that what
    two candidates share cancels out. `columns`: as in `matching.risk.predict`, in the order of
    `ties`, (m,), in which members of a tie stand together. `between`: called between parts of the
    work; what it raises ends it.
    """
    shared = _is_shared(ties)
    found = np.zeros(len(ties))
    # Whoever is in no tie with another is the reference of it.
    if shared.any():
        among = _rows_of(columns, np.flatnonzero(shared))
        found[shared] = _risk_values(model, among, ties[shared], step, between)
    return found


# So that what is worked on stays in the cache of a processor.
_ROWS_AT_ONCE = 2_000
# Numbers that are sorted before `between` is called again.
_SORTED_AT_ONCE = 100_000


def _rows_of(columns: CodedColumns, rows: Int64s) -> CodedColumns:
    return {
        name: Coded(column.codes[rows], column.levels)
        if isinstance(column, Coded)
        else column[rows]
        for name, column in columns.items()
    }


def _risk_values(
    model: OutcomeModel,
    columns: CodedColumns,
    ties: Int64s,
    step: float,
    between: Callable[[], object],
) -> Floats:
    """Worked out for each distinct row of the columns, and each pair of such a row and another."""
    n = len(ties)
    firsts, number = _distinct_rows(columns, n, between)
    columns, n_distinct = _rows_of(columns, firsts), len(firsts)
    risks = compare_donors(model, columns, np.array([0, n_distinct])).probability
    x = centred(design(model.factors, columns, n_distinct)[0], model.centre)
    between()
    order = np.lexsort((*x.T, np.round(np.where(np.isnan(risks), np.inf, risks), 12)))
    place = np.empty(n_distinct, dtype=np.int64)
    place[order] = np.arange(n_distinct)
    begins = np.flatnonzero(np.diff(ties, prepend=ties[0] - 1))
    lowest = order[np.minimum.reduceat(place[number], begins)]
    of_each = np.repeat(lowest, np.diff(begins, append=n))
    pairs, pair = _numbered(number * n_distinct + of_each, between)
    one, reference = np.divmod(pairs, n_distinct)
    distinct = np.empty(len(pairs), dtype=bool)
    for begin in range(0, len(pairs), _ROWS_AT_ONCE):
        between()
        part = slice(begin, begin + _ROWS_AT_ONCE)
        apart = x[one[part]] - x[reference[part]]
        error = np.sqrt(np.maximum(((apart @ model.covariance) * apart).sum(axis=1), 0.0))
        distinct[part] = apart @ model.coefficients > Z95 * error
    steps = np.floor(100 * (risks[one] - risks[reference]) / step + 1e-9)
    values: Floats = np.where(distinct, steps, 0.0)[pair]
    return values


def _distinct_rows(
    columns: CodedColumns, n: int, between: Callable[[], object]
) -> tuple[Int64s, Int64s]:
    """A row with each distinct combination of n rows of columns, and which each row has, (n,)."""
    number, size = np.zeros(n, dtype=np.int64), 1
    for column in columns.values():
        between()
        if isinstance(column, Coded):
            codes, n_codes = column.codes.astype(np.int64) + 1, len(column.levels) + 1
        else:
            values, codes = _numbered(column, between)
            n_codes = len(values)
        number = number * n_codes + codes
        is_there = np.zeros(size * n_codes, dtype=bool)
        is_there[number] = True
        number = (np.cumsum(is_there) - 1)[number]
        size = int(is_there.sum())
    firsts = np.zeros(size, dtype=np.int64)
    firsts[number] = np.arange(n)
    return firsts, number


def _numbered(
    values: npt.NDArray[Any], between: Callable[[], object]
) -> tuple[npt.NDArray[Any], Int64s]:
    """Distinct values, ascending, and which of them each is, (n,); NaN is a value."""
    parts = []
    for begin in range(0, len(values), _SORTED_AT_ONCE):
        between()
        parts.append(np.unique(values[begin : begin + _SORTED_AT_ONCE], return_inverse=True))
    distinct = np.unique(np.concatenate([part for part, _ in parts]))
    numbers = [np.searchsorted(distinct, part)[inverse] for part, inverse in parts]
    return distinct, np.concatenate(numbers)


_TCE_TEXTS = ("match", "potential match", "permissive", "unknown", "non-permissive")
_TEXTS: Mapping[str, Mapping[float, str]] = {
    "antibody": {0: "negative", 1: "not assessable", 2: "positive"},
    "tce": dict(enumerate(_TCE_TEXTS)),
    "cmv": {0: "as the patient", 1: "unknown", 2: "not as the patient"},
    "sex": {0: "no female for a male", 1: "unknown", 2: "female for a male"},
    "abo": {value: name or "unknown" for name, value in _ABO.items()},
    "nima": dict(enumerate(("no mismatch, or matched", "unknown or potential", "not matched"))),
}


def value_text(key: str, value: float, rule: RankRule) -> str:
    """A value of a key in words.

    >>> value_text("p10", 1, RankRule()), value_text("risk", 3, RankRule())
    ('at least 95 %', '3 % above the lowest of equals')
    """
    if key in ("p10", "p9"):
        if value == len(rule.bands):
            return f"below {rule.bands[-1]:g} %"
        return f"at least {rule.bands[int(value)]:g} %" if value == int(value) else "unknown"
    if key == "leader":
        if value != int(value):
            return "unknown"
        matched, shared = rule.leader_order[int(value)]
        matched_text = "matched" if matched else "mismatched"
        return "no mismatch, or best" if value == 0 else f"{matched_text}, shared {shared}"
    if key == "risk":
        above = f"{value * rule.risk_step:g} % above the lowest of equals"
        return above if value else "as the lowest of equals"
    if key in DOSE_STEPS:
        if value == -np.inf:
            return "no cord unit"
        return "unknown" if np.isinf(value) else f"at least {abs(value) * DOSE_STEPS[key]:g}"
    if key == "age":
        return "unknown" if np.isinf(value) else f"{value:g}"
    return _TEXTS[key][value] if key in _TEXTS else f"{value:g}"


def value_texts(ranking: Ranking, key: str, rule: RankRule) -> list[str]:
    """The values of a key in words, "" where the ranking has none of it."""
    if key not in ranking.keys:
        return [""] * len(ranking)
    column = ranking.values[:, ranking.keys.index(key)].tolist()
    return [value_text(key, value, rule) for value in column]
