"""Doses and mothers of cord blood units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.index import StoredIndex
from data.registry import Registry
from matching.cord import NimaMatch, nima_matches
from matching.errors import TypingError
from matching.genotypes import Genotype, encode
from matching.loci import Locus, PerLocus
from matching.nomenclature import Nomenclature
from matching.search import Criteria
from matching.typings import parse_typing

_COUNTS = {"tnc": "tnc_1e7", "cd34": "cd34_1e6"}


def doses_per_kg(
    index: StoredIndex, rows: npt.NDArray[np.int64], weight_kg: float | None
) -> dict[str, npt.NDArray[np.float64]]:
    """`tnc` and `cd34`: 10^7 nucleated and 10^6 CD34+ cells a kg of some rows, (n,) each, NaN where
    the count or the weight is unknown."""
    weight = np.nan if weight_kg is None else weight_kg
    return {name: _cells(index, fact, rows) / weight for name, fact in _COUNTS.items()}


def _cells(index: StoredIndex, fact: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    counts, number = index.distinct(fact, rows)
    return np.array(counts, dtype=np.float64)[number]


def is_cord(index: StoredIndex, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which donors in some rows are cord blood units, (n,)."""
    types, number = index.distinct("type", rows)
    return np.array([kind == "cord" for kind in types], dtype=bool)[number]


def cells_of(
    index: StoredIndex, rows: npt.NDArray[np.int64], weight_kg: float | None
) -> dict[str, npt.NDArray[np.float64]]:
    """Counts of cells by fact, and by fact and `_per_kg` the doses, of some rows; (n,) each, NaN
    where unknown."""
    doses = doses_per_kg(index, rows, weight_kg)
    return {
        **{fact: _cells(index, fact, rows) for fact in _COUNTS.values()},
        **{f"{fact}_per_kg": doses[name] for name, fact in _COUNTS.items()},
    }


@dataclass(frozen=True)
class Mothers:
    """The mothers of cord units, whose typings are in the store alone."""

    registry: Registry
    nomenclature: Nomenclature

    def matches(
        self,
        index: StoredIndex,
        patient: Genotype,
        rows: npt.NDArray[np.int64],
        criteria: Criteria,
    ) -> list[dict[Locus, NimaMatch]]:
        """Of some rows, by locus of the criteria; see `nima_matches`."""
        if not len(rows):
            return []
        ids = index.ids(rows)
        with self.registry.opened() as store:
            written = store.mothers(ids)
        return [
            nima_matches(
                patient,
                Genotype(
                    PerLocus.of(
                        {locus: index.donors.genotype(int(row), locus) for locus in criteria.loci},
                        None,
                    )
                ),
                self._genotype(written.get(name)),
                criteria,
                index.donors.antigens,
            )
            for name, row in zip(ids, rows, strict=True)
        ]

    def _genotype(self, written: str | None) -> Genotype | None:
        """None where the mother is untyped, or cannot be read under the release."""
        try:
            return None if written is None else encode(parse_typing(written), self.nomenclature)
        except TypingError:
            return None
