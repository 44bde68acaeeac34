"""graftmatch match: donors for patients."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from data.donor_files import Person, Rejects
from data.files import file_digest
from data.index import StoredIndex
from data.models import active_model, model_label
from data.nomenclature import ReferenceFolder
from data.registry import BlankSecond, ReadingOptions
from matching.genotypes import encode
from matching.haplotypes import NullImputation
from matching.nomenclature import Nomenclature
from matching.pair import PairDetails
from matching.typings import homozygous_where_blank, split_gl, typing_of
from service.allocation import allocate_candidates, with_allocation
from service.cli.antibodies import (
    DEFAULT_MFI,
    AntibodiesOption,
    CumulativeOption,
    ExcludeOption,
    KeepOption,
    MfiOption,
    ReportedAntibodies,
    check_antibody_options,
    cut_offs_of,
    overrides_of,
)
from service.cli.common import (
    BlankSecondOption,
    ReleaseOption,
    StrictOption,
    console,
    end_with_rejects,
    open_nomenclature,
    parse_day,
    read_people,
    settings,
)
from service.cli.cord import (
    BetweenOption,
    CordOptions,
    CordRuleOption,
    DoubleOption,
    LociOption,
    MaxMismatchesOption,
    UnitCd34Option,
    UnitTncOption,
)
from service.cli.criteria import (
    AboOption,
    AgeOption,
    Cd34Option,
    CmvOption,
    DirectionOption,
    KnownOption,
    LevelOption,
    LimitsOption,
    MismatchDirection,
    PatientFactsOption,
    PotentialOption,
    RegistriesOption,
    SexOption,
    StatusOption,
    TncOption,
    TypeOption,
    donor_criteria,
    facts_of,
)
from service.cli.saved import (
    forget_search,
    list_searches,
    repeat_search,
    save_search,
    searches,
)
from service.cli.searching import (
    BandsOption,
    RankOption,
    open_index,
    open_search,
    rank_rule,
    run_search,
    search_sets,
)
from service.cli.store import RegistryOption, open_registry
from service.cli.strata import FamilyOption, StrataOption, families_of, listed, strata_of
from service.convert import LIMITS
from service.criteria import criteria_json
from service.details import Detailed
from service.family_page import FAMILIES, family_picture, write_families
from service.pages import DEFAULT_SIZE, page_start, page_token, search_state
from service.results import (
    print_donors,
    print_patients,
    result_table,
)
from service.results_files import FORMATS, write_results
from service.search import DonorSearch, SearchSettings


def match(
    patient: Annotated[
        str | None, typer.Option(help="The patient's typing as a GL string.")
    ] = None,
    patients: Annotated[
        Path | None, typer.Option(help="Patients in a file, in any format of registry import.")
    ] = None,
    loci: LociOption = None,
    max_mismatches: MaxMismatchesOption = None,
    max_mismatches_at: LimitsOption = None,
    direction: DirectionOption = MismatchDirection.BOTH,
    level: LevelOption = None,
    potential: PotentialOption = True,
    donor_type: TypeOption = None,
    age: AgeOption = None,
    sex: SexOption = None,
    cmv: CmvOption = None,
    abo: AboOption = None,
    donor_registry: RegistriesOption = None,
    status: StatusOption = None,
    min_tnc: TncOption = None,
    min_cd34: Cd34Option = None,
    require_known: KnownOption = False,
    cord_rule: CordRuleOption = None,
    double: DoubleOption = False,
    min_unit_tnc: UnitTncOption = None,
    min_unit_cd34: UnitCd34Option = None,
    max_mismatches_between: BetweenOption = None,
    strata: StrataOption = None,
    family: FamilyOption = None,
    patient_id: Annotated[
        str, typer.Option(help="With --patient: the identifier, as in --family and --antibodies.")
    ] = "patient",
    patient_facts: PatientFactsOption = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="table, json, csv or parquet; by default as --out ends."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for the results.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most rows of the table on screen.")] = 20,
    as_of: Annotated[
        str | None, typer.Option(help="Day for donors' ages, YYYY-MM-DD; by default today.")
    ] = None,
    ranked_by: RankOption = None,
    bands: BandsOption = None,
    null_imputation: Annotated[
        NullImputation, typer.Option(help="What nulls mean in imputed genotypes.")
    ] = NullImputation.TYPED,
    page_size: Annotated[
        int | None,
        typer.Option(min=1, max=LIMITS.page_size, help="Donors in one page of one patient's."),
    ] = None,
    page: Annotated[str, typer.Option(help="Token of the page, as the page before gave it.")] = "",
    save: Annotated[
        str | None, typer.Option(help="Keep the search of one patient, to be run again.")
    ] = None,
    repeat: Annotated[
        str | None, typer.Option(help="Run a saved search again: what is new, changed, gone.")
    ] = None,
    forget: Annotated[str | None, typer.Option(help="Remove a saved search.")] = None,
    saved: Annotated[bool, typer.Option("--saved", help="Names of the saved searches.")] = False,
    details: Annotated[
        bool,
        typer.Option("--details", help="Add grades, residues, leaders and expression to a file."),
    ] = False,
    haplotypes: Annotated[
        bool,
        typer.Option(
            "--haplotypes", help="Add the probability of 0, 1 and 2 whole haplotypes in common."
        ),
    ] = False,
    antibodies: AntibodiesOption = None,
    exclude_positive: ExcludeOption = False,
    keep_donor: KeepOption = None,
    mfi_cut_off: MfiOption = DEFAULT_MFI,
    cumulative_mfi: CumulativeOption = None,
    release: ReleaseOption = None,
    folder: RegistryOption = None,
    strict: StrictOption = False,
    blank_second: BlankSecondOption = BlankSecond.REFUSE,
) -> None:
    """Find, compare and rank donors for one patient or a file of patients."""
    asked = [patient is not None, patients is not None, repeat is not None, forget is not None]
    if sum([*asked, saved]) != 1:
        raise typer.BadParameter(
            "give either --patient 'GL' or --patients FILE, or one of --repeat, --forget, --saved"
        )
    chosen = _format(form, out)
    if saved:
        list_searches()
        return
    if forget is not None:
        forget_search(forget)
        return
    if repeat is not None:
        repeat_search(repeat, chosen, out, parse_day(as_of), limit, folder)
        return
    cord = CordOptions(
        cord_rule, double, min_unit_tnc, min_unit_cd34, max_mismatches_between, strata
    )
    overrides = overrides_of(keep_donor)
    check_antibody_options(antibodies, exclude_positive, overrides, save)
    if antibodies is not None and ranked_by is None and strata is None:
        ranked_by = ",".join(("antibody", *cord.usual_keys))
    wanted = SearchSettings(
        cord.criteria(loci, max_mismatches, max_mismatches_at, direction, level, potential),
        parse_day(as_of),
        null_imputation,
        cord.rank(rank_rule(None if strata else ranked_by, bands), ranked_by),
        donor_criteria(
            cord.types(donor_type),
            *(age, sex, cmv, abo, donor_registry, status, min_tnc, min_cd34),
            require_known,
        ),
        # Of the donors that are shown.
        shared_of=(limit if chosen == "table" else None) if haplotypes else 0,
        maternal=cord.of_search is not None,
    )
    asked_of = (
        None
        if strata is None
        else strata_of(strata, family, wanted, cord_rule, ranked_by, bands, antibodies is not None)
    )
    if strata is None and family is not None:
        raise typer.BadParameter("relatives are a stratum: give --strata", param_hint="--family")
    if double and (details or haplotypes):
        raise typer.BadParameter(
            "they are of a patient and one donor, not of two units with --double",
            param_hint="--details or --haplotypes",
        )
    if (double or strata is not None) and save is not None:
        raise typer.BadParameter(
            "a saved search has donors of one type, each for itself: give --donor-type or "
            "--cord-rule instead of --strata or --double",
            param_hint="--save",
        )
    if strata is not None and page_size is not None:
        raise typer.BadParameter(
            "pages are of one type of donors: give --donor-type or --cord-rule instead of --strata",
            param_hint="--page-size",
        )
    if haplotypes and patients is not None and chosen == "table":
        raise typer.BadParameter("of many patients only a file has room; give --out")
    if page and page_size is None and not double:
        raise typer.BadParameter("give --page-size with --page", param_hint="--page")
    if save is not None and page_size is not None:
        raise typer.BadParameter("a saved search has no pages", param_hint="--save")
    if patient_facts is not None and patient is None:
        raise typer.BadParameter("a file holds the facts of its patients; use it with --patient")
    nomenclature = open_nomenclature(release)
    store = open_registry(folder)
    index = open_index(store, nomenclature)
    if patient is not None:
        written = split_gl(patient)
        if blank_second is BlankSecond.HOMOZYGOUS:
            written = homozygous_where_blank(written)
        encode(typing_of(written), replace(nomenclature, strict=strict))
        people, rejected = [Person(patient_id, facts_of(patient_facts), written)], Rejects()
        rejects_file = None
    else:
        assert patients is not None
        beside = out or patients
        rejects = beside.with_name(f"{beside.name}.rejects.csv")
        options = ReadingOptions(strict, blank_second)
        people, rejected, rejects_file = read_people(patients, nomenclature, rejects, options)
    if (page_size is not None or save is not None or double) and len(people) != 1:
        reason = f"pages, --save and --double are for one patient, not {len(people):,}"
        raise typer.BadParameter(reason)
    if save is not None:
        searches().check_free(save)
    paged = page_size is not None or double
    state = {}
    if paged:
        report = "" if antibodies is None else file_digest(antibodies)
        judged = (report, exclude_positive, overrides, mfi_cut_off, cumulative_mfi)
        state = _state(people[0], wanted, repr((cord, judged)), nomenclature, index)
    start = page_start(page, state) if page else 0
    reported = None
    if antibodies is not None:
        reported = ReportedAntibodies.read(
            *(antibodies, nomenclature, cut_offs_of(mfi_cut_off, cumulative_mfi), people),
            *(rejected, exclude_positive, overrides),
        )
        rejects_file = rejects_file or reported.rejects
    if double:
        size = page_size or (limit if chosen == "table" else DEFAULT_SIZE)
        # Probabilities are of antigens alone.
        sets = None if reported is None else reported.sets
        search = DonorSearch.of(nomenclature, {}, store, index, sets)
        pairs, more = cord.pairs(people[0], search, wanted, start, size, reported)
        pairs.write(chosen, out)
        if more:
            typer.echo(f"next page: --page {page_token(start + size, state)}", err=True)
        end_with_rejects(rejects_file)
        return
    detailed = None
    if details:
        proteins = ReferenceFolder(settings().reference).proteins(nomenclature.release)
        typings = {person.id: typing_of(person.written) for person in people}
        detailed = Detailed(typings, PairDetails(nomenclature, proteins))
    if asked_of is not None:
        families = None
        if family is not None:
            families = families_of(family, people, nomenclature, wanted)
        search = open_search(nomenclature, store, index, wanted.nulls)
        found = listed(people, search, wanted, asked_of, reported, families, detailed, limit)
        found.write(chosen, out)
        if families is not None and out is not None and chosen != "json":
            pictures = {name: family_picture(one) for name, one in families.results.items()}
            write_families(pictures, out.with_name(f"{out.name}.{FAMILIES}"))
        end_with_rejects(rejects_file)
        return
    results = run_search(
        *(people, nomenclature, store, index, replace(wanted, start=start, size=page_size)),
        None if reported is None else reported.use,
    )
    if reported is not None:
        stated = reported.stated(results.index.donors, results.excluded)
        results = replace(results, antibodies=stated)
    if page_size is not None and start + page_size < results.found[people[0].id]:
        results = replace(results, next_page_token=page_token(start + page_size, state))
    if save is not None:
        use = None if reported is None else reported.use.get(people[0].id)
        save_search(save, people[0], wanted, release, folder, results, use)
    if chosen == "table" and len(people) == 1:
        flagged = None if reported is None else reported.flags(results, limit, store)
        print_donors(console(), results, page_size or limit, people[0].id, flagged)
    elif chosen == "table":
        allocation = allocate_candidates(result_table(results, {}), list(results.matches))
        print_patients(console(), results, allocation.table, limit)
    else:
        donors = {i for m in results.matches.values() for i in index.ids(m.candidates.rows)}
        donor_typings = store.typings(sorted(donors))
        table = result_table(results, donor_typings)
        if detailed is not None:
            columns = detailed.columns(results, donor_typings)
            table = pd.concat([table, columns], axis="columns")
        if reported is not None:
            flagged_columns = reported.columns(results, donor_typings)
            table = pd.concat([table, flagged_columns], axis="columns")
        if patients is not None:
            allocation = allocate_candidates(table, list(results.matches))
            table = with_allocation(table, allocation)
        write_results(results, table, chosen, out or sys.stdout)
        if out is not None:
            typer.echo(f"{len(table):,} donors for {len(people):,} patients written to {out}")
    if results.next_page_token:
        typer.echo(f"next page: --page {results.next_page_token}", err=True)
    end_with_rejects(rejects_file)


def _state(
    person: Person,
    wanted: SearchSettings,
    more: str,
    nomenclature: Nomenclature,
    index: StoredIndex,
) -> dict[str, str]:
    """What the pages of a search depend on."""
    sets = search_sets(nomenclature, wanted.nulls)
    return search_state(
        typing_of(person.written),
        person.facts,
        {
            **criteria_json(wanted.criteria, wanted.donors),
            "nulls": wanted.nulls.value,
            "more": more,
        },
        wanted.as_of,
        wanted.rule,
        {
            "release": nomenclature.release,
            "index": index.version,
            "frequency set": sets.label if sets else "",
            "risk model": model_label(active_model(settings().models)),
        },
    )


def _format(form: str | None, out: Path | None) -> str:
    chosen = form or (out.suffix.removeprefix(".").lower() if out else "table")
    if chosen not in FORMATS:
        raise typer.BadParameter(
            f"{chosen!r} is none of {', '.join(FORMATS)}; give --format", param_hint="--format"
        )
    if chosen == "table" and out is not None:
        raise typer.BadParameter("a table goes to the screen; leave out --out or give --format csv")
    if chosen == "parquet" and out is None:
        raise typer.BadParameter("parquet needs --out FILE", param_hint="--format")
    return chosen
