"""What antibody reports say of the donors of a search: columns of a table, and what is stated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.donor_files import Person
from data.index import StoredIndex
from matching.antibodies import CutOffs, Profile, RegistryAnswers
from matching.typings import split_gl
from service.antibodies import Crossmatched, crossmatch_columns, crossmatched
from service.frequency_sets import SearchSets
from service.results import SearchResults
from service.search import AntibodyUse, DonorSearch

PREFIX = "antibody_"
# Of a patient without a report.
NO_REPORT: Mapping[str, Any] = {"answer": "no report"}
COLUMNS = tuple(
    f"{PREFIX}{name}" for name in (*crossmatch_columns(Crossmatched("", None)), "override")
)


def candidate_crossmatches(
    index: StoredIndex,
    rows: npt.NDArray[np.int64],
    typings: Mapping[str, str],
    profile: Profile,
    sets: SearchSets | None,
) -> list[Crossmatched]:
    """The donors in some rows, in their order. `typings`: as reported, by identifier."""
    facts = index.facts(rows).to_dict(orient="records")
    donors = [
        Person(name, {str(k): v for k, v in fact.items()}, split_gl(typings.get(name, "")))
        for name, fact in zip(index.ids(rows), facts, strict=True)
    ]
    return crossmatched(donors, profile, sets)


_CHANGED = "the donor's record was changed after the registry was read"


def crossmatched_rows(
    search: DonorSearch, rows: npt.NDArray[np.int64], profile: Profile
) -> list[Crossmatched]:
    """Donors in some rows of an index, in their order; otherwise as `crossmatched`.

    Whose record was changed since is not assessable, and positive at worst.
    """
    people = search.reported(rows)
    known = [person for person in people if person is not None]
    found = iter(crossmatched(known, profile, search.sets))
    return [
        Crossmatched(name, None, problem=_CHANGED) if person is None else next(found)
        for name, person in zip(search.index.ids(rows), people, strict=True)
    ]


def antibody_columns(
    results: SearchResults,
    typings: Mapping[str, str],
    reports: Mapping[str, AntibodyUse],
    sets: SearchSets | None,
) -> pd.DataFrame:
    """Columns beside those of `result_table`, described in docs/antibodies.md.

    `reports`: by patient, of those who have one.
    """
    rows: list[Mapping[str, Any]] = []
    for patient, matches in results.matches.items():
        use = reports.get(patient)
        if use is None:
            rows += [NO_REPORT] * len(matches)
            continue
        rows += [
            donor_columns(one, use)
            for one in candidate_crossmatches(
                results.index, matches.candidates.rows, typings, use.profile, sets
            )
        ]
    return antibody_table(rows)


def donor_columns(one: Crossmatched, use: AntibodyUse) -> dict[str, Any]:
    """One row, without the prefix of its columns."""
    return crossmatch_columns(one) | {"override": use.overrides.get(one.id, "")}


def antibody_table(rows: list[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of `donor_columns` under the names of `COLUMNS`."""
    names = [name.removeprefix(PREFIX) for name in COLUMNS]
    return pd.DataFrame(rows, columns=names).add_prefix(PREFIX)


def stated_antibodies(
    registry: Mapping[str, RegistryAnswers],
    reports: Mapping[str, AntibodyUse],
    excluded: Mapping[str, Sequence[str]],
    own_type: Mapping[str, list[str]],
    cut_offs: CutOffs,
) -> dict[str, Any]:
    """What results say of antibodies, as values of JSON.

    By patient: `registry`, what becomes of all of its donors; `excluded`, donors who were left out;
    `own_type`, warnings.
    """
    return {
        "mfi_cut_off": cut_offs.mfi,
        "cumulative_mfi_cut_off": cut_offs.cumulative,
        "own_type": dict(own_type),
        "registry": {patient: answers.count() for patient, answers in registry.items()},
        "excluded": {patient: list(names) for patient, names in excluded.items()},
        "overrides": {
            donor: reason for use in reports.values() for donor, reason in use.overrides.items()
        },
    }
