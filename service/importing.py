"""A file into the registry, in a process of its own: searches go on beside it."""

from __future__ import annotations

import os
from pathlib import Path

from data.donor_files import ReadingOptions
from data.frequency_store import FrequencyFolder
from data.index import MassSets
from data.nomenclature import ReferenceFolder
from data.registry import ImportRequest, ImportSummary, Registry
from matching.haplotypes import NullImputation
from service.apart import goes_on
from service.config import Settings
from service.frequency_sets import SearchSets

# Below everything that answers a call.
_NICE = 10


def import_apart(
    registry: Registry,
    home: Settings,
    release: str,
    files: tuple[Path, Path],
    options: ReadingOptions,
    request: ImportRequest,
    with_masses: bool,
) -> ImportSummary:
    """`Registry.import_file` of a file and its rejects, for `service.apart`: it ends with the call
    until the donors are stored, and not from then on.

    `with_masses`: fill in those that are missing under the sets that are in use.
    """
    os.nice(_NICE)
    nomenclature = ReferenceFolder(home.reference).open(release)

    def masses(_: ImportSummary) -> MassSets | None:
        if not with_masses:
            return None
        folder = FrequencyFolder(home.frequencies)
        sets = SearchSets.load(folder, nomenclature, NullImputation.TYPED)
        return None if sets is None else sets.masses

    path, rejects = files
    return registry.import_file(
        *(path, nomenclature, rejects, _told, options, request), masses=masses
    )


def _told(done: object) -> None:
    """Records that are read are counted; what comes after that is told in words."""
    if not isinstance(done, int):
        goes_on()
