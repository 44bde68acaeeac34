"""The columns of the files that a batch writes; docs/batch.md tells their units and ranges."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from data.donor_files import INDEXED, INDEXED_FACTS
from matching.loci import LOCI
from matching.rank import RankRule
from matching.risk import RiskModel
from service.pairs import risk_columns

_COUNTS = ("count_best", "count_worst", "gvh_best", "gvh_worst", "hvg_best", "hvg_worst")
ALLOCATED = ("allocated_to", "allocated", "not_first_for")


def candidate_schema(model: RiskModel, rule: RankRule) -> pa.Schema:
    """One row a patient and donor: what a search knows of them, and the last three columns what
    the allocation says."""
    risks = [name for one in model.outcomes for name in risk_columns(one.name)]
    by_locus = [
        (f"{locus.value.lower()}_{name}", kind)
        for locus in LOCI
        for names, kind in ((_COUNTS, pa.uint8()), (("position_1", "position_2"), pa.string()))
        for name in names
    ]
    keys = dict.fromkeys((*rule.applied(True), *rule.applied(False)))
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

    A key of the ranking that was asked of none of these patients is blank, and P(8/10) unknown
    where it was not computed.
    """
    searched = pa.schema(list(schema)[: -len(ALLOCATED)])
    missing = {
        name: "" if name.startswith("rank_") else np.nan
        for name in searched.names
        if name not in table and (name == "p8" or name.startswith("rank_"))
    }
    return pa.Table.from_pandas(table.assign(**missing), searched, preserve_index=False)
