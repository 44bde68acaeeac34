"""The columns of the files that a batch writes; docs/batch.md tells their units and ranges."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from data.donor_files import INDEXED, INDEXED_FACTS
from matching.family import RelativeClass
from matching.loci import LOCI
from matching.rank import RankRule
from matching.risk import RiskModel
from service.antibody_columns import COLUMNS as NAMES_OF_ANTIBODIES
from service.antibody_columns import PREFIX
from service.pairs import risk_columns

_COUNTS = ("count_best", "count_worst", "gvh_best", "gvh_worst", "hvg_best", "hvg_worst")
ALLOCATED = ("allocated_to", "allocated", "not_first_for")


# Of the strata of one list; see docs/donor-list.md.
STRATUM_COLUMNS = (("stratum", pa.string()), ("place", pa.int64()), ("risk_not_told", pa.string()))
RELATIVE_COLUMNS = (
    *((name, pa.string()) for name in ("relationship", "class")),
    *((f"p_{kind.name.lower()}", pa.float64()) for kind in RelativeClass),
    *((name, pa.float64()) for name in ("shares_a", "shares_c", "p_nima", "mismatches_expected")),
    *((name, pa.string()) for name in ("by_descent", "haplotypes", "typing_refined", "weighting")),
    *((name, pa.bool_()) for name in ("drb1_favourable", "leader_matched")),
)
MATERNAL_COLUMNS = (("nima", pa.string()),)
_ANTIBODY_NUMBERS = ("p_positive", "p_positive_worst", "cumulative_mfi_low", "cumulative_mfi_high")
ANTIBODY_COLUMNS = tuple(
    (name, pa.float64() if name.removeprefix(PREFIX) in _ANTIBODY_NUMBERS else pa.string())
    for name in NAMES_OF_ANTIBODIES
)


def candidate_schema(
    model: RiskModel, rules: Sequence[RankRule], more: Sequence[tuple[str, pa.DataType]] = ()
) -> pa.Schema:
    """One row a patient and donor: what a search knows of them, `more` columns than every search,
    and the last three columns what the allocation says. `rules`: which keys there are."""
    risks = [name for one in model.outcomes for name in risk_columns(one.name)]
    by_locus = [
        (f"{locus.value.lower()}_{name}", kind)
        for locus in LOCI
        for names, kind in ((_COUNTS, pa.uint8()), (("position_1", "position_2"), pa.string()))
        for name in names
    ]
    keys = dict.fromkeys(
        key for rule in rules for key in (*rule.applied(True), *rule.applied(False))
    )
    return pa.schema(
        [
            ("patient", pa.string()),
            ("rank", pa.int64()),
            ("donor", pa.string()),
            ("mismatches_best", pa.int64()),
            ("mismatches_worst", pa.int64()),
            *((name, pa.float64()) for name in ("p10", "p9", "p8", *risks)),
            *((name, pa.int64()) for name in _COUNTS[2:]),
            *by_locus,
            ("dpb1_tce", pa.string()),
            *((name, _FACTS.get(name, INDEXED.field(name).type)) for name in INDEXED_FACTS),
            *((f"rank_{key}", pa.string()) for key in keys),
            *((name, pa.string()) for name in _REASON_AND_PROVENANCE),
            *more,
            *((name, pa.string()) for name in ALLOCATED),
        ]
    )


# The index keeps what was reported; an age in years on a day may come from a birth date.
_FACTS = {"age_years": pa.float64()}
_REASON_AND_PROVENANCE = (
    *("ranked_below_previous_for", "release", "index", "frequency_set", "model"),
)


def allocation_schema() -> pa.Schema:
    """One row a patient."""
    return pa.schema(
        [
            ("patient", pa.string()),
            ("found", pa.int64()),
            ("allocated", pa.string()),
            ("second", pa.string()),
            ("utility", pa.int64()),
            ("first", pa.string()),
            ("not_first_for", pa.string()),
            ("best", pa.string()),
            ("reason", pa.string()),
            ("best_given_to", pa.string()),
            ("limit", pa.string()),
            ("swap_cost", pa.int64()),
            ("backups", pa.list_(pa.string())),
        ]
    )


def candidate_table(table: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """The rows of a search, without the columns of the allocation, which come last.

    A key of the ranking that was asked of none of these patients is blank, and what was not
    computed of any of them unknown.
    """
    searched = pa.schema(list(schema)[: -len(ALLOCATED)])
    missing = {
        field.name: "" if field.name.startswith("rank_") else None
        for field in searched
        if field.name not in table
    }
    table = pd.concat([table, pd.DataFrame(missing, index=table.index)], axis="columns")
    # Beside relatives a whole number of other strata became a float.
    for field in searched:
        if pa.types.is_integer(field.type):
            table[field.name] = table[field.name].astype("Int64")
    return pa.Table.from_pandas(table, searched, preserve_index=False)
