"""Results as batch writes them, small and with everything that can go wrong in a text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from matching.loci import LOCI

HOSTILE = '</script><script>window.hit=1</script><img src=x onerror="window.hit=2">'
ANCESTRY = "</SCRIPT><!--<script> & \u2028 \u202eevil\u202c 'quoted'"
PATIENTS = ("0001", "NA", HOSTILE, "nobody")
PROVENANCE = {
    "release": "3.58.0",
    "index": "abc-1",
    "frequency_set": "CAU",
    "model": "literature-2",
}
NOTE = {
    **PROVENANCE,
    "loci": ["A", "C", "B", "DRB1", "DQB1"],
    "max_mismatches": 2,
    "max_mismatches_at": {"A": 1},
    "direction": "both",
    "antigen_loci": [],
    "keep_potential": True,
    "donors": {"types": ["adult"]},
    "as_of": "2026-01-01",
    "rank_keys": ["p10", "p9", "tce", "leader", "age"],
    "rank_bands": [99.0, 50.0],
}
_TCE = ("match", "permissive", "non-permissive GvH", "unknown", "untyped")


def candidates() -> pd.DataFrame:
    """12 donors of "0001", 3 of "NA" of unknown P, 2 of the hostile patient."""
    rows: list[dict[str, Any]] = []
    for patient, n in (("0001", 12), ("NA", 3), (HOSTILE, 2)):
        for k in range(n):
            mismatches = min(k // 4, 2)
            p10 = np.nan if patient == "NA" else max(0.0, 1 - 0.09 * k) * (mismatches == 0)
            row: dict[str, Any] = {
                "patient": patient,
                "rank": k + 1,
                "donor": HOSTILE if patient == HOSTILE and k else f"D{100 * len(patient) + k}",
                "mismatches_best": mismatches,
                "mismatches_worst": mismatches + k % 2,
                "p10": p10,
                "p9": np.nan if patient == "NA" else 0.5 * (1 - p10),
                "risk_agvhd_3_4": 0.1 + 0.01 * ((7 * k) % 12),
                "risk_agvhd_3_4_low": 0.05,
                "risk_agvhd_3_4_high": 0.4,
                "risk_agvhd_3_4_difference": 0.01 * ((7 * k) % 12),
                "risk_agvhd_3_4_difference_low": 0.01 * ((7 * k) % 12) - 0.02 * (k > 0),
                "risk_agvhd_3_4_difference_high": 0.01 * ((7 * k) % 12) + 0.0325 * (k > 0),
                "risk_cgvhd": 0.4 - 0.01 * k,
                "risk_cgvhd_low": np.nan,
                "risk_cgvhd_high": np.nan,
                "gvh_best": mismatches,
                "gvh_worst": mismatches + k % 2,
                "hvg_best": mismatches,
                "hvg_worst": mismatches,
            }
            for locus in LOCI:
                name = locus.value.lower()
                untyped = name in ("drb345", "dqa1")
                letters = "--" if untyped else "MA" if name == "a" and mismatches else "AA"
                if name == "b" and k % 2:
                    letters = "AP"
                count = 2 - letters.count("M")
                least = 0 if untyped else count - letters.count("P")
                row |= {f"{name}_count_best": count, f"{name}_count_worst": least}
                row |= {f"{name}_{way}_best": 2 - count for way in ("gvh", "hvg")}
                row |= {f"{name}_{way}_worst": 2 - least for way in ("gvh", "hvg")}
                row |= {f"{name}_position_1": letters[0], f"{name}_position_2": letters[1]}
            row |= {
                "dpb1_tce": _TCE[k % 5],
                "type": "cord" if k == 5 else "adult",
                "sex": ("male", "female", None)[k % 3],
                "cmv": ("positive", "negative", None)[k % 3],
                "abo": ("A", "O")[k % 2],
                "rh": ("positive", "negative")[k % 2],
                "ancestry": ANCESTRY,
                "registry": "R1",
                "status": "reserved" if k == 2 else "available",
                "birth_date": None,
                "age_years": np.nan if k == 5 else 20.0 + (11 * k) % 30,
                "rank_p10": "unknown" if patient == "NA" else "at least 50 %",
                "rank_leader": "no mismatch, or best" if k < 8 else "matched, shared M",
                "rank_age": "20",
                "ranked_below_previous_for": "older, or age unknown" if k else "",
                **PROVENANCE,
                "allocated_to": "",
            }
            rows.append(row)
    return pd.DataFrame(rows)


def allocation() -> pd.DataFrame:
    """The hostile patient has the best donor of "0001"; nobody has a candidate."""
    taken = "given to another patient"
    worth = "the allocated donor is worth as much or more"
    table = pd.DataFrame(
        [
            ("0001", 12, "D401", "", 3000, "D400", taken, "D400", taken, HOSTILE),
            ("NA", 40, "", "", 0, "D200", "a limit is reached", "D200", "a limit is reached", ""),
            (HOSTILE, 2, HOSTILE, "", 2500, "D7200", worth, HOSTILE, "", ""),
            ("nobody", 0, "", "", 0, "", "no candidate", "", "no candidate", ""),
        ],
        columns=[
            *("patient", "found", "allocated", "second", "utility", "first", "not_first_for"),
            *("best", "reason", "best_given_to"),
        ],
    )
    return table.assign(
        limit=["", "registry R1", "", ""],
        swap_cost=pd.array([1234, None, 0, None], dtype="Int64"),
        backups=pd.Series([["D402", "D411"], [], ["D7200"], []], dtype=object),
    )


def write_batch(folder: Path, table: pd.DataFrame | None = None) -> Path:
    """A folder of batch, and `requests.csv` beside its files."""
    folder.mkdir()
    write_parquet(candidates() if table is None else table, folder / "candidates.parquet")
    pq.write_table(pa.Table.from_pandas(allocation()), folder / "allocation.parquet")
    levels = [{"objective": "recipients served", "best": 2, "bound": 2, "least": 2, "reached": 2}]
    summary = {**NOTE, "rejected_records": 1, "status": "optimal", "levels": levels}
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "rejects.csv").write_text(
        f'record,id,reason\n7,"{HOSTILE.replace(chr(34), chr(34) * 2)}",no typing\n'
    )
    (folder / "notes.csv").write_text(f"patient,note\n0001,A*99:01 {HOSTILE.split(chr(34))[0]}\n")
    (folder / "requests.csv").write_text(
        "order,patient,donor,p10,p9,availability,gain\n"
        "1,0001,D401,0.91,0.045,0.5,0.455\n2,0001,D411,0,0.5,0.25,0\n"
    )
    return folder


def write_parquet(table: pd.DataFrame, path: Path) -> Path:
    """Candidates with what match and batch say of the run."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    note = {b"graftmatch": json.dumps(NOTE).encode()}
    pq.write_table(arrow.replace_schema_metadata(note), path)
    return path
