"""The factors that a model may use: all of them are known before the transplant."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Variable:
    """A column of a cohort. With `levels`: text, one of them. Without: a number in `unit`s of
    effect, from `low` to `high` inclusive. `open`: a mapping may pass other levels through."""

    name: str
    levels: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    unit: float = 1.0
    open: bool = False


AUTOLOGOUS = "autologous"
_LOCI = ("a", "b", "c", "drb1", "dqb1", "dpb1")

VARIABLES = (
    Variable("age_years", low=0, high=110, unit=10),
    Variable("donor_age_years", low=0, high=110, unit=10),
    Variable("transplant_year", low=1970, high=2100, unit=10),
    # Autologous: the patient's own cells, gene-modified ones as well.
    Variable(
        "donor_type",
        ("unrelated", "sibling", "haploidentical", "other related", "cord", AUTOLOGOUS),
        open=True,
    ),
    Variable(
        "hla_match",
        (
            "10/10",
            "8/8",
            "9/10",
            "9/10 class I",
            "9/10 class I, PBM-GVH matched",
            "9/10 class I, PBM-GVH mismatched",
            "7/8 C antigen",
            "7/8 A, B or DRB1",
            "8/10 or less",
            "other",
        ),
    ),
    # The values of `immunogenetics.TceCategory`, unknown and untyped apart.
    Variable(
        "dpb1_tce",
        ("match", "potential match", "permissive", "non-permissive GvH", "non-permissive HvG"),
    ),
    # Of both typings, by the code that serves searches: mismatched positions of a locus, residues
    # of the antigen recognition domains at A, B, C and DRB1 that differ, and what a single
    # mismatch at B or DPB1 says. Unknown unless the typings leave no doubt.
    *(Variable(f"mismatches_{locus}", low=0, high=2) for locus in _LOCI),
    Variable("residues_mismatched", low=0, high=400, unit=10),
    Variable("b_leader", ("match", "matched T", "matched M", "mismatched T", "mismatched M")),
    Variable("dpb1_expression", ("match", "favourable", "unfavourable")),
    # Donor, then recipient.
    Variable("sex_match", ("M-M", "M-F", "F-M", "F-F")),
    Variable("cmv_match", ("D-R-", "D-R+", "D+R-", "D+R+")),
    Variable("abo_match", ("match", "minor", "major", "bidirectional")),
    Variable("graft_source", ("PB", "BM", "CB")),
    Variable("conditioning", ("MAC", "RIC")),
    Variable("tbi", ("no", "yes")),
    Variable(
        "gvhd_prophylaxis",
        ("TAC+MTX", "CSA+MTX", "TAC+MMF", "CSA+MMF", "TAC other", "PTCy", "other"),
        open=True,
    ),
    # Antithymocyte globulin or alemtuzumab.
    Variable("atg", ("no", "yes")),
    Variable("disease", ("AML", "ALL", "MDS", "other"), open=True),
    Variable("disease_stage", ("early", "intermediate", "advanced")),
    Variable("karnofsky", ("90-100", "below 90")),
    Variable("hctci", ("0", "1", "2", "3-4", "3+", "5+")),
    # Planned before the infusion, per kg of the recipient.
    Variable("cd34_1e6_per_kg", low=0, high=200),
    Variable("tnc_1e8_per_kg", low=0, high=200),
    Variable("days_to_infusion", low=0, high=10_000),
)

GROUPS = (
    Variable("sex", ("male", "female")),
    Variable("ancestry", ("White", "Black", "Asian"), open=True),
)
"""Facts of the recipient by which results are broken down; never predictors."""

TYPINGS = ("patient_typing", "donor_typing")
"""Columns of typings as GL strings, from which the factors of the pair are worked out."""

_AFTER = re.compile(
    r"surv|death|dead|died|relapse|recover|engraft|follow|outcome|status$|event|chimerism"
    r"|_months$|time_to_(?!trans|tx|hct|infusion)|gvhd|(^|_)(st2|reg3a|tnfr1|elafin|anc|plt|il6|crp|sil2ra)(_|$)"
    r"|biomarker|rejection|graft_failure|day_?\d+",
    re.IGNORECASE,
)
# Of these the name sounds like what follows, but they are known before.
_BEFORE = re.compile(r"gvhd_?(proph|prev)|^status$|cmv_?status|sero_?status|disease_?status|prior_|"
                     r"tx_post_relapse|performance_?status", re.IGNORECASE)  # fmt: skip


def recorded_after(column: str) -> bool:
    """Whether a column's name says that it was recorded after the transplant.

    >>> [recorded_after(name) for name in ("ANC_recovery", "surv", "ST2", "CMV_status", "age")]
    [True, True, True, False, False]
    """
    return bool(_AFTER.search(column)) and not _BEFORE.search(column)
