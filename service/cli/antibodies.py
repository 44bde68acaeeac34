"""What the commands that read antibody reports share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from data.donor_files import Person, Rejects
from data.nomenclature import ReferenceFolder
from data.registry import Registry
from matching.antibodies import CutOffs, RegistryAnswers, registry_answers
from matching.donor_index import DonorIndex
from matching.haplotypes import NullImputation
from matching.nomenclature import Nomenclature
from service.antibodies import AntibodyReports, ReportReader, own_types
from service.antibody_columns import antibody_columns, candidate_crossmatches, stated_antibodies
from service.antibody_tables import flags, registry_line
from service.cli.common import settings
from service.cli.searching import search_sets
from service.frequency_sets import SearchSets
from service.results import SearchResults
from service.search import AntibodyUse

DEFAULT_MFI = CutOffs().mfi
MfiOption = Annotated[
    float, typer.Option("--mfi-cut-off", help="MFI from which a bead is positive.")
]
CumulativeOption = Annotated[
    float | None,
    typer.Option(
        "--cumulative-mfi",
        help="A donor is positive where the MFI of the beads of its molecules add up to this.",
    ),
]
AntibodiesOption = Annotated[
    Path | None,
    typer.Option(help="The patients' antibodies: CSV, or a list of unacceptable antigens."),
]
ExcludeOption = Annotated[
    bool,
    typer.Option("--exclude-positive", help="Leave out donors with a positive crossmatch."),
]
KeepOption = Annotated[
    list[str] | None,
    typer.Option(
        "--keep-donor",
        help="DONOR=REASON: keep this one though it is positive; the results record the reason.",
    ),
]


def cut_offs_of(mfi: float, cumulative: float | None) -> CutOffs:
    try:
        return CutOffs(mfi, cumulative)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--mfi-cut-off") from error


def overrides_of(kept: list[str] | None) -> dict[str, str]:
    """Reasons by donor."""
    found = {}
    for text in kept or ():
        donor, _, reason = (part.strip() for part in text.partition("="))
        if not donor or not reason:
            raise typer.BadParameter(f"{text!r} is no DONOR=REASON", param_hint="--keep-donor")
        found[donor] = reason
    return found


def check_antibody_options(
    antibodies: Path | None,
    exclude: bool,
    overrides: Mapping[str, str],
    save: str | None = None,
) -> None:
    """Raises `BadParameter` for options that do not go together."""
    if antibodies is None and (exclude or overrides):
        raise typer.BadParameter("give --antibodies FILE", param_hint="--exclude-positive")
    if overrides and not exclude:
        raise typer.BadParameter("nobody is left out without --exclude-positive; add it")
    if overrides and save is not None:
        raise typer.BadParameter(
            "a saved search keeps nobody who is positive, since the reason is not saved; leave one "
            "out",
            param_hint="--keep-donor",
        )


def read_reports(
    path: Path, nomenclature: Nomenclature, cut_offs: CutOffs
) -> tuple[AntibodyReports, Path | None]:
    """The reports of a file, and the file of its rejects where that was needed."""
    proteins = ReferenceFolder(settings().reference).proteins(nomenclature.release)
    reports = AntibodyReports.read(path, ReportReader.of(nomenclature, proteins), cut_offs)
    if not len(reports.rejects):
        return reports, None
    rejects = path.with_name(f"{path.name}.rejects.csv")
    reports.rejects.write(rejects)
    typer.echo(
        f"{len(reports.rejects):,} lines of the antibody report cannot be read; what they name "
        "counts as not tested",
        err=True,
    )
    return reports, rejects


@dataclass(frozen=True)
class ReportedAntibodies:
    """The reports of the patients of a search; `use` by patient, `own_type` warnings likewise."""

    use: Mapping[str, AntibodyUse]
    own_type: Mapping[str, list[str]]
    rejects: Path | None
    cut_offs: CutOffs
    sets: SearchSets | None

    @classmethod
    def read(
        cls,
        path: Path,
        nomenclature: Nomenclature,
        cut_offs: CutOffs,
        people: Sequence[Person],
        rejected: Rejects,
        exclude: bool,
        overrides: Mapping[str, str],
    ) -> ReportedAntibodies:
        """Says on stderr what stands against a patient's own type. `rejected`: records of other
        patients. Raises `InputFileError`."""
        reports, rejects = read_reports(path, nomenclature, cut_offs)
        profiles = reports.of([person.id for person in people], rejected)
        own = own_types(people, profiles)
        for name, profile in profiles.items():
            for line in (*own[name], *profile.notes):
                typer.echo(f"patient {name}: {line}", err=True)
        return cls(
            {name: AntibodyUse(p, exclude, overrides) for name, p in profiles.items()},
            own,
            rejects,
            cut_offs,
            search_sets(nomenclature, NullImputation.TYPED),
        )

    def stated(self, donors: DonorIndex, excluded: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """What results state of antibodies; on stderr, what became of the registry.

        `excluded`: by patient, who was left out."""
        registry: dict[str, RegistryAnswers] = {}
        for patient, use in self.use.items():
            registry[patient] = registry_answers(donors, use.profile)
            typer.echo(
                f"patient {patient}: {registry_line(registry[patient], self.cut_offs)}", err=True
            )
            if use.exclude:
                left_out = len(excluded.get(patient, ()))
                typer.echo(f"patient {patient}: {left_out:,} candidates are left out", err=True)
        stated = stated_antibodies(registry, self.use, excluded, self.own_type, self.cut_offs)
        for donor, reason in stated["overrides"].items():
            typer.echo(f"donor {donor} is kept even if positive: {reason}", err=True)
        return stated

    def flags(self, results: SearchResults, limit: int, store: Registry) -> dict[str, str]:
        """What the list on screen says of each donor of one patient."""
        (patient,) = results.matches
        best = results.best(patient, limit)
        rows = best.matches[patient].candidates.rows
        typings = store.typings(best.index.ids(rows))
        if patient not in self.use:
            return dict.fromkeys(typings, "")
        profile = self.use[patient].profile
        found = candidate_crossmatches(best.index, rows, typings, profile, self.sets)
        return flags({one.id: one for one in found})

    def columns(self, results: SearchResults, typings: Mapping[str, str]) -> pd.DataFrame:
        """Columns beside those of `result_table`, described in docs/antibodies.md."""
        return antibody_columns(results, typings, self.use, self.sets)
