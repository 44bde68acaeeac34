from service.pb.graftmatch.v1 import antibodies_pb2 as _antibodies_pb2
from service.pb.graftmatch.v1 import columns_pb2 as _columns_pb2
from service.pb.graftmatch.v1 import common_pb2 as _common_pb2
from service.pb.graftmatch.v1 import cord_pb2 as _cord_pb2
from service.pb.graftmatch.v1 import family_pb2 as _family_pb2
from service.pb.graftmatch.v1 import nomenclature_pb2 as _nomenclature_pb2
from service.pb.graftmatch.v1 import prediction_pb2 as _prediction_pb2
from service.pb.graftmatch.v1 import risk_models_pb2 as _risk_models_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MismatchDirection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MISMATCH_DIRECTION_UNSPECIFIED: _ClassVar[MismatchDirection]
    MISMATCH_DIRECTION_GVH: _ClassVar[MismatchDirection]
    MISMATCH_DIRECTION_HVG: _ClassVar[MismatchDirection]

class Stratum(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STRATUM_UNSPECIFIED: _ClassVar[Stratum]
    STRATUM_RELATED: _ClassVar[Stratum]
    STRATUM_RELATED_IDENTICAL: _ClassVar[Stratum]
    STRATUM_RELATED_MISMATCHED: _ClassVar[Stratum]
    STRATUM_ADULT: _ClassVar[Stratum]
    STRATUM_CORD: _ClassVar[Stratum]

class Known(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KNOWN_UNSPECIFIED: _ClassVar[Known]
    KNOWN_YES: _ClassVar[Known]
    KNOWN_NO: _ClassVar[Known]
    KNOWN_CLIPPED: _ClassVar[Known]
    KNOWN_UNSEEN: _ClassVar[Known]

class AllocationObjective(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALLOCATION_OBJECTIVE_UNSPECIFIED: _ClassVar[AllocationObjective]
    ALLOCATION_OBJECTIVE_RECIPIENTS: _ClassVar[AllocationObjective]
    ALLOCATION_OBJECTIVE_FAIRNESS: _ClassVar[AllocationObjective]
    ALLOCATION_OBJECTIVE_UTILITY: _ClassVar[AllocationObjective]
    ALLOCATION_OBJECTIVE_STABILITY: _ClassVar[AllocationObjective]

class AllocationStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALLOCATION_STATUS_UNSPECIFIED: _ClassVar[AllocationStatus]
    ALLOCATION_STATUS_OPTIMAL: _ClassVar[AllocationStatus]
    ALLOCATION_STATUS_FEASIBLE: _ClassVar[AllocationStatus]

class AllocationReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALLOCATION_REASON_UNSPECIFIED: _ClassVar[AllocationReason]
    ALLOCATION_REASON_NO_CANDIDATE: _ClassVar[AllocationReason]
    ALLOCATION_REASON_GIVEN_TO_ANOTHER: _ClassVar[AllocationReason]
    ALLOCATION_REASON_DEADLINE_PASSED: _ClassVar[AllocationReason]
    ALLOCATION_REASON_NOT_AVAILABLE: _ClassVar[AllocationReason]
    ALLOCATION_REASON_LIMIT_REACHED: _ClassVar[AllocationReason]
    ALLOCATION_REASON_KEPT_YESTERDAY: _ClassVar[AllocationReason]
    ALLOCATION_REASON_OTHER_PLAN: _ClassVar[AllocationReason]
    ALLOCATION_REASON_WORTH_NO_MORE: _ClassVar[AllocationReason]
MISMATCH_DIRECTION_UNSPECIFIED: MismatchDirection
MISMATCH_DIRECTION_GVH: MismatchDirection
MISMATCH_DIRECTION_HVG: MismatchDirection
STRATUM_UNSPECIFIED: Stratum
STRATUM_RELATED: Stratum
STRATUM_RELATED_IDENTICAL: Stratum
STRATUM_RELATED_MISMATCHED: Stratum
STRATUM_ADULT: Stratum
STRATUM_CORD: Stratum
KNOWN_UNSPECIFIED: Known
KNOWN_YES: Known
KNOWN_NO: Known
KNOWN_CLIPPED: Known
KNOWN_UNSEEN: Known
ALLOCATION_OBJECTIVE_UNSPECIFIED: AllocationObjective
ALLOCATION_OBJECTIVE_RECIPIENTS: AllocationObjective
ALLOCATION_OBJECTIVE_FAIRNESS: AllocationObjective
ALLOCATION_OBJECTIVE_UTILITY: AllocationObjective
ALLOCATION_OBJECTIVE_STABILITY: AllocationObjective
ALLOCATION_STATUS_UNSPECIFIED: AllocationStatus
ALLOCATION_STATUS_OPTIMAL: AllocationStatus
ALLOCATION_STATUS_FEASIBLE: AllocationStatus
ALLOCATION_REASON_UNSPECIFIED: AllocationReason
ALLOCATION_REASON_NO_CANDIDATE: AllocationReason
ALLOCATION_REASON_GIVEN_TO_ANOTHER: AllocationReason
ALLOCATION_REASON_DEADLINE_PASSED: AllocationReason
ALLOCATION_REASON_NOT_AVAILABLE: AllocationReason
ALLOCATION_REASON_LIMIT_REACHED: AllocationReason
ALLOCATION_REASON_KEPT_YESTERDAY: AllocationReason
ALLOCATION_REASON_OTHER_PLAN: AllocationReason
ALLOCATION_REASON_WORTH_NO_MORE: AllocationReason

class ParseTypingRequest(_message.Message):
    __slots__ = ("typing",)
    TYPING_FIELD_NUMBER: _ClassVar[int]
    typing: str
    def __init__(self, typing: _Optional[str] = ...) -> None: ...

class ParseTypingResponse(_message.Message):
    __slots__ = ("provenance", "canonical", "loci", "carried", "notes")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    CANONICAL_FIELD_NUMBER: _ClassVar[int]
    LOCI_FIELD_NUMBER: _ClassVar[int]
    CARRIED_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    canonical: str
    loci: _containers.RepeatedCompositeFieldContainer[LocusTyping]
    carried: _containers.RepeatedScalarFieldContainer[str]
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., canonical: _Optional[str] = ..., loci: _Optional[_Iterable[_Union[LocusTyping, _Mapping]]] = ..., carried: _Optional[_Iterable[str]] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...

class LocusTyping(_message.Message):
    __slots__ = ("locus", "first", "second", "others")
    LOCUS_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    OTHERS_FIELD_NUMBER: _ClassVar[int]
    locus: str
    first: TypedPosition
    second: TypedPosition
    others: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, locus: _Optional[str] = ..., first: _Optional[_Union[TypedPosition, _Mapping]] = ..., second: _Optional[_Union[TypedPosition, _Mapping]] = ..., others: _Optional[_Iterable[str]] = ...) -> None: ...

class TypedPosition(_message.Message):
    __slots__ = ("text", "form", "p_groups", "tce_group")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    P_GROUPS_FIELD_NUMBER: _ClassVar[int]
    TCE_GROUP_FIELD_NUMBER: _ClassVar[int]
    text: str
    form: str
    p_groups: _containers.RepeatedScalarFieldContainer[str]
    tce_group: int
    def __init__(self, text: _Optional[str] = ..., form: _Optional[str] = ..., p_groups: _Optional[_Iterable[str]] = ..., tce_group: _Optional[int] = ...) -> None: ...

class ExplainTypingRequest(_message.Message):
    __slots__ = ("typing", "release", "reduce_to", "strict")
    TYPING_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    REDUCE_TO_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    typing: str
    release: str
    reduce_to: str
    strict: bool
    def __init__(self, typing: _Optional[str] = ..., release: _Optional[str] = ..., reduce_to: _Optional[str] = ..., strict: _Optional[bool] = ...) -> None: ...

class ExplainTypingResponse(_message.Message):
    __slots__ = ("provenance", "canonical", "loci", "warnings", "reduced")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    CANONICAL_FIELD_NUMBER: _ClassVar[int]
    LOCI_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    REDUCED_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    canonical: str
    loci: _containers.RepeatedCompositeFieldContainer[ExplainedLocus]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    reduced: str
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., canonical: _Optional[str] = ..., loci: _Optional[_Iterable[_Union[ExplainedLocus, _Mapping]]] = ..., warnings: _Optional[_Iterable[str]] = ..., reduced: _Optional[str] = ...) -> None: ...

class ExplainedLocus(_message.Message):
    __slots__ = ("name", "genotypes", "n_genotypes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    GENOTYPES_FIELD_NUMBER: _ClassVar[int]
    N_GENOTYPES_FIELD_NUMBER: _ClassVar[int]
    name: str
    genotypes: _containers.RepeatedCompositeFieldContainer[ExplainedGenotype]
    n_genotypes: int
    def __init__(self, name: _Optional[str] = ..., genotypes: _Optional[_Iterable[_Union[ExplainedGenotype, _Mapping]]] = ..., n_genotypes: _Optional[int] = ...) -> None: ...

class ExplainedGenotype(_message.Message):
    __slots__ = ("positions",)
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    positions: _containers.RepeatedCompositeFieldContainer[ExplainedPosition]
    def __init__(self, positions: _Optional[_Iterable[_Union[ExplainedPosition, _Mapping]]] = ...) -> None: ...

class ExplainedPosition(_message.Message):
    __slots__ = ("text", "form", "resolution", "alleles", "n_nulls", "p_groups", "g_groups", "antigens", "tce_groups", "notes", "reduced")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    ALLELES_FIELD_NUMBER: _ClassVar[int]
    N_NULLS_FIELD_NUMBER: _ClassVar[int]
    P_GROUPS_FIELD_NUMBER: _ClassVar[int]
    G_GROUPS_FIELD_NUMBER: _ClassVar[int]
    ANTIGENS_FIELD_NUMBER: _ClassVar[int]
    TCE_GROUPS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    REDUCED_FIELD_NUMBER: _ClassVar[int]
    text: str
    form: str
    resolution: str
    alleles: _containers.RepeatedScalarFieldContainer[str]
    n_nulls: int
    p_groups: _containers.RepeatedScalarFieldContainer[str]
    g_groups: _containers.RepeatedScalarFieldContainer[str]
    antigens: _containers.RepeatedCompositeFieldContainer[ExplainedAntigen]
    tce_groups: _containers.RepeatedScalarFieldContainer[int]
    notes: _containers.RepeatedScalarFieldContainer[str]
    reduced: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, text: _Optional[str] = ..., form: _Optional[str] = ..., resolution: _Optional[str] = ..., alleles: _Optional[_Iterable[str]] = ..., n_nulls: _Optional[int] = ..., p_groups: _Optional[_Iterable[str]] = ..., g_groups: _Optional[_Iterable[str]] = ..., antigens: _Optional[_Iterable[_Union[ExplainedAntigen, _Mapping]]] = ..., tce_groups: _Optional[_Iterable[int]] = ..., notes: _Optional[_Iterable[str]] = ..., reduced: _Optional[_Iterable[str]] = ...) -> None: ...

class ExplainedAntigen(_message.Message):
    __slots__ = ("name", "source")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    source: str
    def __init__(self, name: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class SearchDonorsRequest(_message.Message):
    __slots__ = ("patient", "loci", "max_mismatches", "batch_size", "limit", "as_of", "without_probabilities", "page_size", "page_token", "rank_keys", "rank_bands", "patient_facts", "max_mismatches_at", "direction", "antigen_loci", "without_potential", "donors", "with_haplotypes", "cord", "antibodies")
    class MaxMismatchesAtEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    PATIENT_FIELD_NUMBER: _ClassVar[int]
    LOCI_FIELD_NUMBER: _ClassVar[int]
    MAX_MISMATCHES_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    RANK_KEYS_FIELD_NUMBER: _ClassVar[int]
    RANK_BANDS_FIELD_NUMBER: _ClassVar[int]
    PATIENT_FACTS_FIELD_NUMBER: _ClassVar[int]
    MAX_MISMATCHES_AT_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    ANTIGEN_LOCI_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_POTENTIAL_FIELD_NUMBER: _ClassVar[int]
    DONORS_FIELD_NUMBER: _ClassVar[int]
    WITH_HAPLOTYPES_FIELD_NUMBER: _ClassVar[int]
    CORD_FIELD_NUMBER: _ClassVar[int]
    ANTIBODIES_FIELD_NUMBER: _ClassVar[int]
    patient: str
    loci: _containers.RepeatedScalarFieldContainer[str]
    max_mismatches: int
    batch_size: int
    limit: int
    as_of: str
    without_probabilities: bool
    page_size: int
    page_token: str
    rank_keys: _containers.RepeatedScalarFieldContainer[str]
    rank_bands: _containers.RepeatedScalarFieldContainer[float]
    patient_facts: PatientFacts
    max_mismatches_at: _containers.ScalarMap[str, int]
    direction: MismatchDirection
    antigen_loci: _containers.RepeatedScalarFieldContainer[str]
    without_potential: bool
    donors: DonorCriteria
    with_haplotypes: bool
    cord: _cord_pb2.CordSearch
    antibodies: _antibodies_pb2.SearchAntibodies
    def __init__(self, patient: _Optional[str] = ..., loci: _Optional[_Iterable[str]] = ..., max_mismatches: _Optional[int] = ..., batch_size: _Optional[int] = ..., limit: _Optional[int] = ..., as_of: _Optional[str] = ..., without_probabilities: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., rank_keys: _Optional[_Iterable[str]] = ..., rank_bands: _Optional[_Iterable[float]] = ..., patient_facts: _Optional[_Union[PatientFacts, _Mapping]] = ..., max_mismatches_at: _Optional[_Mapping[str, int]] = ..., direction: _Optional[_Union[MismatchDirection, str]] = ..., antigen_loci: _Optional[_Iterable[str]] = ..., without_potential: _Optional[bool] = ..., donors: _Optional[_Union[DonorCriteria, _Mapping]] = ..., with_haplotypes: _Optional[bool] = ..., cord: _Optional[_Union[_cord_pb2.CordSearch, _Mapping]] = ..., antibodies: _Optional[_Union[_antibodies_pb2.SearchAntibodies, _Mapping]] = ...) -> None: ...

class DonorCriteria(_message.Message):
    __slots__ = ("types", "sexes", "cmv", "abo", "registries", "statuses", "min_age_years", "max_age_years", "min_tnc_1e7_per_kg", "min_cd34_1e6_per_kg", "require_known")
    TYPES_FIELD_NUMBER: _ClassVar[int]
    SEXES_FIELD_NUMBER: _ClassVar[int]
    CMV_FIELD_NUMBER: _ClassVar[int]
    ABO_FIELD_NUMBER: _ClassVar[int]
    REGISTRIES_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    MIN_AGE_YEARS_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_YEARS_FIELD_NUMBER: _ClassVar[int]
    MIN_TNC_1E7_PER_KG_FIELD_NUMBER: _ClassVar[int]
    MIN_CD34_1E6_PER_KG_FIELD_NUMBER: _ClassVar[int]
    REQUIRE_KNOWN_FIELD_NUMBER: _ClassVar[int]
    types: _containers.RepeatedScalarFieldContainer[str]
    sexes: _containers.RepeatedScalarFieldContainer[str]
    cmv: _containers.RepeatedScalarFieldContainer[str]
    abo: _containers.RepeatedScalarFieldContainer[str]
    registries: _containers.RepeatedScalarFieldContainer[str]
    statuses: _containers.RepeatedScalarFieldContainer[str]
    min_age_years: float
    max_age_years: float
    min_tnc_1e7_per_kg: float
    min_cd34_1e6_per_kg: float
    require_known: bool
    def __init__(self, types: _Optional[_Iterable[str]] = ..., sexes: _Optional[_Iterable[str]] = ..., cmv: _Optional[_Iterable[str]] = ..., abo: _Optional[_Iterable[str]] = ..., registries: _Optional[_Iterable[str]] = ..., statuses: _Optional[_Iterable[str]] = ..., min_age_years: _Optional[float] = ..., max_age_years: _Optional[float] = ..., min_tnc_1e7_per_kg: _Optional[float] = ..., min_cd34_1e6_per_kg: _Optional[float] = ..., require_known: _Optional[bool] = ...) -> None: ...

class PatientFacts(_message.Message):
    __slots__ = ("age_years", "sex", "cmv", "abo", "weight_kg", "ancestry", "registry")
    AGE_YEARS_FIELD_NUMBER: _ClassVar[int]
    SEX_FIELD_NUMBER: _ClassVar[int]
    CMV_FIELD_NUMBER: _ClassVar[int]
    ABO_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_KG_FIELD_NUMBER: _ClassVar[int]
    ANCESTRY_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_FIELD_NUMBER: _ClassVar[int]
    age_years: float
    sex: str
    cmv: str
    abo: str
    weight_kg: float
    ancestry: str
    registry: str
    def __init__(self, age_years: _Optional[float] = ..., sex: _Optional[str] = ..., cmv: _Optional[str] = ..., abo: _Optional[str] = ..., weight_kg: _Optional[float] = ..., ancestry: _Optional[str] = ..., registry: _Optional[str] = ...) -> None: ...

class SearchDonorsResponse(_message.Message):
    __slots__ = ("provenance", "found", "candidates", "notes", "as_of", "next_page_token", "missing_masses", "dropped", "antibodies")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MISSING_MASSES_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    ANTIBODIES_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    found: int
    candidates: _containers.RepeatedCompositeFieldContainer[Candidate]
    notes: _containers.RepeatedScalarFieldContainer[str]
    as_of: str
    next_page_token: str
    missing_masses: int
    dropped: float
    antibodies: _antibodies_pb2.AntibodySummary
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., found: _Optional[int] = ..., candidates: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ..., notes: _Optional[_Iterable[str]] = ..., as_of: _Optional[str] = ..., next_page_token: _Optional[str] = ..., missing_masses: _Optional[int] = ..., dropped: _Optional[float] = ..., antibodies: _Optional[_Union[_antibodies_pb2.AntibodySummary, _Mapping]] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("rank", "donor", "comparison", "facts", "ranked_below_previous_for", "rank_values", "crossmatch", "kept_for", "cord_unit")
    RANK_FIELD_NUMBER: _ClassVar[int]
    DONOR_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    RANKED_BELOW_PREVIOUS_FOR_FIELD_NUMBER: _ClassVar[int]
    RANK_VALUES_FIELD_NUMBER: _ClassVar[int]
    CROSSMATCH_FIELD_NUMBER: _ClassVar[int]
    KEPT_FOR_FIELD_NUMBER: _ClassVar[int]
    CORD_UNIT_FIELD_NUMBER: _ClassVar[int]
    rank: int
    donor: str
    comparison: _common_pb2.Comparison
    facts: DonorFacts
    ranked_below_previous_for: str
    rank_values: _containers.RepeatedCompositeFieldContainer[RankValue]
    crossmatch: _antibodies_pb2.Crossmatch
    kept_for: str
    cord_unit: _cord_pb2.CordUnit
    def __init__(self, rank: _Optional[int] = ..., donor: _Optional[str] = ..., comparison: _Optional[_Union[_common_pb2.Comparison, _Mapping]] = ..., facts: _Optional[_Union[DonorFacts, _Mapping]] = ..., ranked_below_previous_for: _Optional[str] = ..., rank_values: _Optional[_Iterable[_Union[RankValue, _Mapping]]] = ..., crossmatch: _Optional[_Union[_antibodies_pb2.Crossmatch, _Mapping]] = ..., kept_for: _Optional[str] = ..., cord_unit: _Optional[_Union[_cord_pb2.CordUnit, _Mapping]] = ...) -> None: ...

class RankValue(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: str
    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class DonorFacts(_message.Message):
    __slots__ = ("type", "age_years", "sex", "cmv", "abo", "rh", "weight_kg", "ancestry", "registry")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    AGE_YEARS_FIELD_NUMBER: _ClassVar[int]
    SEX_FIELD_NUMBER: _ClassVar[int]
    CMV_FIELD_NUMBER: _ClassVar[int]
    ABO_FIELD_NUMBER: _ClassVar[int]
    RH_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_KG_FIELD_NUMBER: _ClassVar[int]
    ANCESTRY_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_FIELD_NUMBER: _ClassVar[int]
    type: str
    age_years: int
    sex: str
    cmv: str
    abo: str
    rh: str
    weight_kg: float
    ancestry: str
    registry: str
    def __init__(self, type: _Optional[str] = ..., age_years: _Optional[int] = ..., sex: _Optional[str] = ..., cmv: _Optional[str] = ..., abo: _Optional[str] = ..., rh: _Optional[str] = ..., weight_kg: _Optional[float] = ..., ancestry: _Optional[str] = ..., registry: _Optional[str] = ...) -> None: ...

class StreamCandidatesRequest(_message.Message):
    __slots__ = ("search",)
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    search: SearchDonorsRequest
    def __init__(self, search: _Optional[_Union[SearchDonorsRequest, _Mapping]] = ...) -> None: ...

class StreamCandidatesResponse(_message.Message):
    __slots__ = ("provenance", "found", "candidates", "notes", "as_of", "next_page_token", "missing_masses", "dropped", "antibodies", "crossmatches", "cord_units")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MISSING_MASSES_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    ANTIBODIES_FIELD_NUMBER: _ClassVar[int]
    CROSSMATCHES_FIELD_NUMBER: _ClassVar[int]
    CORD_UNITS_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    found: int
    candidates: _columns_pb2.CandidateColumns
    notes: _containers.RepeatedScalarFieldContainer[str]
    as_of: str
    next_page_token: str
    missing_masses: int
    dropped: float
    antibodies: _antibodies_pb2.AntibodySummary
    crossmatches: _antibodies_pb2.CrossmatchColumns
    cord_units: _cord_pb2.CordColumns
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., found: _Optional[int] = ..., candidates: _Optional[_Union[_columns_pb2.CandidateColumns, _Mapping]] = ..., notes: _Optional[_Iterable[str]] = ..., as_of: _Optional[str] = ..., next_page_token: _Optional[str] = ..., missing_masses: _Optional[int] = ..., dropped: _Optional[float] = ..., antibodies: _Optional[_Union[_antibodies_pb2.AntibodySummary, _Mapping]] = ..., crossmatches: _Optional[_Union[_antibodies_pb2.CrossmatchColumns, _Mapping]] = ..., cord_units: _Optional[_Union[_cord_pb2.CordColumns, _Mapping]] = ...) -> None: ...

class SearchStrataRequest(_message.Message):
    __slots__ = ("search", "strata", "cord_rule", "family", "patient_id")
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    STRATA_FIELD_NUMBER: _ClassVar[int]
    CORD_RULE_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    PATIENT_ID_FIELD_NUMBER: _ClassVar[int]
    search: SearchDonorsRequest
    strata: _containers.RepeatedCompositeFieldContainer[StratumOrder]
    cord_rule: _cord_pb2.CordRule
    family: _containers.RepeatedCompositeFieldContainer[_family_pb2.FamilyMember]
    patient_id: str
    def __init__(self, search: _Optional[_Union[SearchDonorsRequest, _Mapping]] = ..., strata: _Optional[_Iterable[_Union[StratumOrder, _Mapping]]] = ..., cord_rule: _Optional[_Union[_cord_pb2.CordRule, str]] = ..., family: _Optional[_Iterable[_Union[_family_pb2.FamilyMember, _Mapping]]] = ..., patient_id: _Optional[str] = ...) -> None: ...

class StratumOrder(_message.Message):
    __slots__ = ("stratum", "rank_keys", "rule")
    STRATUM_FIELD_NUMBER: _ClassVar[int]
    RANK_KEYS_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    stratum: Stratum
    rank_keys: _containers.RepeatedScalarFieldContainer[str]
    rule: _family_pb2.HaploidenticalRule
    def __init__(self, stratum: _Optional[_Union[Stratum, str]] = ..., rank_keys: _Optional[_Iterable[str]] = ..., rule: _Optional[_Union[_family_pb2.HaploidenticalRule, _Mapping]] = ...) -> None: ...

class SearchStrataResponse(_message.Message):
    __slots__ = ("provenance", "stratum", "below_another_for", "found", "donors", "compared_risk", "notes", "as_of", "antibodies", "warnings", "ordered_by", "missing_masses", "dropped")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    STRATUM_FIELD_NUMBER: _ClassVar[int]
    BELOW_ANOTHER_FOR_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    DONORS_FIELD_NUMBER: _ClassVar[int]
    COMPARED_RISK_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    ANTIBODIES_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    ORDERED_BY_FIELD_NUMBER: _ClassVar[int]
    MISSING_MASSES_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    stratum: Stratum
    below_another_for: _containers.RepeatedScalarFieldContainer[str]
    found: int
    donors: _containers.RepeatedCompositeFieldContainer[ListedDonor]
    compared_risk: str
    notes: _containers.RepeatedScalarFieldContainer[str]
    as_of: str
    antibodies: _antibodies_pb2.AntibodySummary
    warnings: _containers.RepeatedScalarFieldContainer[str]
    ordered_by: _containers.RepeatedCompositeFieldContainer[_family_pb2.RankSource]
    missing_masses: int
    dropped: float
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., stratum: _Optional[_Union[Stratum, str]] = ..., below_another_for: _Optional[_Iterable[str]] = ..., found: _Optional[int] = ..., donors: _Optional[_Iterable[_Union[ListedDonor, _Mapping]]] = ..., compared_risk: _Optional[str] = ..., notes: _Optional[_Iterable[str]] = ..., as_of: _Optional[str] = ..., antibodies: _Optional[_Union[_antibodies_pb2.AntibodySummary, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ..., ordered_by: _Optional[_Iterable[_Union[_family_pb2.RankSource, _Mapping]]] = ..., missing_masses: _Optional[int] = ..., dropped: _Optional[float] = ...) -> None: ...

class ListedDonor(_message.Message):
    __slots__ = ("candidate", "relative", "risks", "risk_not_told")
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    RELATIVE_FIELD_NUMBER: _ClassVar[int]
    RISKS_FIELD_NUMBER: _ClassVar[int]
    RISK_NOT_TOLD_FIELD_NUMBER: _ClassVar[int]
    candidate: Candidate
    relative: RelatedCandidate
    risks: _containers.RepeatedCompositeFieldContainer[ComparedRisk]
    risk_not_told: str
    def __init__(self, candidate: _Optional[_Union[Candidate, _Mapping]] = ..., relative: _Optional[_Union[RelatedCandidate, _Mapping]] = ..., risks: _Optional[_Iterable[_Union[ComparedRisk, _Mapping]]] = ..., risk_not_told: _Optional[str] = ...) -> None: ...

class RelatedCandidate(_message.Message):
    __slots__ = ("relative", "comparison", "typing", "sex", "crossmatch", "kept_for")
    RELATIVE_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    TYPING_FIELD_NUMBER: _ClassVar[int]
    SEX_FIELD_NUMBER: _ClassVar[int]
    CROSSMATCH_FIELD_NUMBER: _ClassVar[int]
    KEPT_FOR_FIELD_NUMBER: _ClassVar[int]
    relative: _family_pb2.RelativeDonor
    comparison: _common_pb2.Comparison
    typing: str
    sex: str
    crossmatch: _antibodies_pb2.Crossmatch
    kept_for: str
    def __init__(self, relative: _Optional[_Union[_family_pb2.RelativeDonor, _Mapping]] = ..., comparison: _Optional[_Union[_common_pb2.Comparison, _Mapping]] = ..., typing: _Optional[str] = ..., sex: _Optional[str] = ..., crossmatch: _Optional[_Union[_antibodies_pb2.Crossmatch, _Mapping]] = ..., kept_for: _Optional[str] = ...) -> None: ...

class ComparedRisk(_message.Message):
    __slots__ = ("outcome", "horizon_days", "probability", "low", "high", "difference", "difference_low", "difference_high")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    HORIZON_DAYS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_LOW_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_HIGH_FIELD_NUMBER: _ClassVar[int]
    outcome: str
    horizon_days: float
    probability: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    def __init__(self, outcome: _Optional[str] = ..., horizon_days: _Optional[float] = ..., probability: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., difference: _Optional[float] = ..., difference_low: _Optional[float] = ..., difference_high: _Optional[float] = ...) -> None: ...

class SearchUnitPairsRequest(_message.Message):
    __slots__ = ("search", "rule", "page_size", "page_token")
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    search: SearchDonorsRequest
    rule: _cord_pb2.UnitPairRule
    page_size: int
    page_token: str
    def __init__(self, search: _Optional[_Union[SearchDonorsRequest, _Mapping]] = ..., rule: _Optional[_Union[_cord_pb2.UnitPairRule, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class SearchUnitPairsResponse(_message.Message):
    __slots__ = ("provenance", "pairs", "units", "units_without_count", "notes", "as_of", "next_page_token", "more", "antibodies")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    UNITS_WITHOUT_COUNT_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    ANTIBODIES_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    pairs: _containers.RepeatedCompositeFieldContainer[_cord_pb2.UnitPair]
    units: int
    units_without_count: int
    notes: _containers.RepeatedScalarFieldContainer[str]
    as_of: str
    next_page_token: str
    more: bool
    antibodies: _antibodies_pb2.AntibodySummary
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., pairs: _Optional[_Iterable[_Union[_cord_pb2.UnitPair, _Mapping]]] = ..., units: _Optional[int] = ..., units_without_count: _Optional[int] = ..., notes: _Optional[_Iterable[str]] = ..., as_of: _Optional[str] = ..., next_page_token: _Optional[str] = ..., more: _Optional[bool] = ..., antibodies: _Optional[_Union[_antibodies_pb2.AntibodySummary, _Mapping]] = ...) -> None: ...

class ScorePairRequest(_message.Message):
    __slots__ = ("patient", "donor", "loci", "with_haplotypes", "patient_facts", "donor_facts")
    PATIENT_FIELD_NUMBER: _ClassVar[int]
    DONOR_FIELD_NUMBER: _ClassVar[int]
    LOCI_FIELD_NUMBER: _ClassVar[int]
    WITH_HAPLOTYPES_FIELD_NUMBER: _ClassVar[int]
    PATIENT_FACTS_FIELD_NUMBER: _ClassVar[int]
    DONOR_FACTS_FIELD_NUMBER: _ClassVar[int]
    patient: str
    donor: str
    loci: _containers.RepeatedScalarFieldContainer[str]
    with_haplotypes: bool
    patient_facts: PatientFacts
    donor_facts: DonorFacts
    def __init__(self, patient: _Optional[str] = ..., donor: _Optional[str] = ..., loci: _Optional[_Iterable[str]] = ..., with_haplotypes: _Optional[bool] = ..., patient_facts: _Optional[_Union[PatientFacts, _Mapping]] = ..., donor_facts: _Optional[_Union[DonorFacts, _Mapping]] = ...) -> None: ...

class ScorePairResponse(_message.Message):
    __slots__ = ("provenance", "comparison", "notes", "detail", "risks")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    RISKS_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    comparison: _common_pb2.Comparison
    notes: _containers.RepeatedScalarFieldContainer[str]
    detail: PairDetail
    risks: _containers.RepeatedCompositeFieldContainer[OutcomeRisk]
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., comparison: _Optional[_Union[_common_pb2.Comparison, _Mapping]] = ..., notes: _Optional[_Iterable[str]] = ..., detail: _Optional[_Union[PairDetail, _Mapping]] = ..., risks: _Optional[_Iterable[_Union[OutcomeRisk, _Mapping]]] = ...) -> None: ...

class ScorePairsRequest(_message.Message):
    __slots__ = ("patients", "donors", "pairs", "loci", "without_probabilities", "with_details", "with_haplotypes")
    PATIENTS_FIELD_NUMBER: _ClassVar[int]
    DONORS_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    LOCI_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    WITH_DETAILS_FIELD_NUMBER: _ClassVar[int]
    WITH_HAPLOTYPES_FIELD_NUMBER: _ClassVar[int]
    patients: _containers.RepeatedScalarFieldContainer[str]
    donors: _containers.RepeatedScalarFieldContainer[str]
    pairs: _containers.RepeatedCompositeFieldContainer[PairToScore]
    loci: _containers.RepeatedScalarFieldContainer[str]
    without_probabilities: bool
    with_details: bool
    with_haplotypes: bool
    def __init__(self, patients: _Optional[_Iterable[str]] = ..., donors: _Optional[_Iterable[str]] = ..., pairs: _Optional[_Iterable[_Union[PairToScore, _Mapping]]] = ..., loci: _Optional[_Iterable[str]] = ..., without_probabilities: _Optional[bool] = ..., with_details: _Optional[bool] = ..., with_haplotypes: _Optional[bool] = ...) -> None: ...

class PairToScore(_message.Message):
    __slots__ = ("patient", "donor")
    PATIENT_FIELD_NUMBER: _ClassVar[int]
    DONOR_FIELD_NUMBER: _ClassVar[int]
    patient: int
    donor: int
    def __init__(self, patient: _Optional[int] = ..., donor: _Optional[int] = ...) -> None: ...

class ScorePairsResponse(_message.Message):
    __slots__ = ("provenance", "pairs", "notes")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    pairs: _containers.RepeatedCompositeFieldContainer[ScoredPair]
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., pairs: _Optional[_Iterable[_Union[ScoredPair, _Mapping]]] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...

class ScoredPair(_message.Message):
    __slots__ = ("patient", "donor", "comparison", "detail", "problem")
    PATIENT_FIELD_NUMBER: _ClassVar[int]
    DONOR_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    patient: int
    donor: int
    comparison: _common_pb2.Comparison
    detail: PairDetail
    problem: str
    def __init__(self, patient: _Optional[int] = ..., donor: _Optional[int] = ..., comparison: _Optional[_Union[_common_pb2.Comparison, _Mapping]] = ..., detail: _Optional[_Union[PairDetail, _Mapping]] = ..., problem: _Optional[str] = ...) -> None: ...

class PairDetail(_message.Message):
    __slots__ = ("overall_category", "loci", "leaders", "dpb1_expression")
    OVERALL_CATEGORY_FIELD_NUMBER: _ClassVar[int]
    LOCI_FIELD_NUMBER: _ClassVar[int]
    LEADERS_FIELD_NUMBER: _ClassVar[int]
    DPB1_EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    overall_category: str
    loci: _containers.RepeatedCompositeFieldContainer[LocusDetail]
    leaders: LeaderMatch
    dpb1_expression: ExpressionMatch
    def __init__(self, overall_category: _Optional[str] = ..., loci: _Optional[_Iterable[_Union[LocusDetail, _Mapping]]] = ..., leaders: _Optional[_Union[LeaderMatch, _Mapping]] = ..., dpb1_expression: _Optional[_Union[ExpressionMatch, _Mapping]] = ...) -> None: ...

class LocusDetail(_message.Message):
    __slots__ = ("locus", "category", "positions")
    LOCUS_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    locus: str
    category: str
    positions: _containers.RepeatedCompositeFieldContainer[PositionDetail]
    def __init__(self, locus: _Optional[str] = ..., category: _Optional[str] = ..., positions: _Optional[_Iterable[_Union[PositionDetail, _Mapping]]] = ...) -> None: ...

class PositionDetail(_message.Message):
    __slots__ = ("grade", "confidence", "antigen_match", "amino_acid_mismatches", "differences")
    GRADE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    ANTIGEN_MATCH_FIELD_NUMBER: _ClassVar[int]
    AMINO_ACID_MISMATCHES_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    grade: str
    confidence: str
    antigen_match: bool
    amino_acid_mismatches: _common_pb2.Range
    differences: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, grade: _Optional[str] = ..., confidence: _Optional[str] = ..., antigen_match: _Optional[bool] = ..., amino_acid_mismatches: _Optional[_Union[_common_pb2.Range, _Mapping]] = ..., differences: _Optional[_Iterable[str]] = ...) -> None: ...

class LeaderMatch(_message.Message):
    __slots__ = ("patient_genotype", "patient_mismatched", "donor_mismatched", "shared", "leader_matched", "direction", "from_family")
    PATIENT_GENOTYPE_FIELD_NUMBER: _ClassVar[int]
    PATIENT_MISMATCHED_FIELD_NUMBER: _ClassVar[int]
    DONOR_MISMATCHED_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    LEADER_MATCHED_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    FROM_FAMILY_FIELD_NUMBER: _ClassVar[int]
    patient_genotype: str
    patient_mismatched: str
    donor_mismatched: str
    shared: str
    leader_matched: bool
    direction: str
    from_family: bool
    def __init__(self, patient_genotype: _Optional[str] = ..., patient_mismatched: _Optional[str] = ..., donor_mismatched: _Optional[str] = ..., shared: _Optional[str] = ..., leader_matched: _Optional[bool] = ..., direction: _Optional[str] = ..., from_family: _Optional[bool] = ...) -> None: ...

class ExpressionMatch(_message.Message):
    __slots__ = ("outcome", "direction")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    outcome: str
    direction: str
    def __init__(self, outcome: _Optional[str] = ..., direction: _Optional[str] = ...) -> None: ...

class PredictRiskRequest(_message.Message):
    __slots__ = ("factors",)
    class FactorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: FactorValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[FactorValue, _Mapping]] = ...) -> None: ...
    FACTORS_FIELD_NUMBER: _ClassVar[int]
    factors: _containers.MessageMap[str, FactorValue]
    def __init__(self, factors: _Optional[_Mapping[str, FactorValue]] = ...) -> None: ...

class FactorValue(_message.Message):
    __slots__ = ("level", "number")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    level: str
    number: float
    def __init__(self, level: _Optional[str] = ..., number: _Optional[float] = ...) -> None: ...

class PredictRiskResponse(_message.Message):
    __slots__ = ("provenance", "outcomes")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    outcomes: _containers.RepeatedCompositeFieldContainer[OutcomeRisk]
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., outcomes: _Optional[_Iterable[_Union[OutcomeRisk, _Mapping]]] = ...) -> None: ...

class OutcomeRisk(_message.Message):
    __slots__ = ("outcome", "horizon_days", "probability", "low", "high", "intercept", "contributions", "not_applicable")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    HORIZON_DAYS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    INTERCEPT_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    NOT_APPLICABLE_FIELD_NUMBER: _ClassVar[int]
    outcome: str
    horizon_days: float
    probability: float
    low: float
    high: float
    intercept: float
    contributions: _containers.RepeatedCompositeFieldContainer[Contribution]
    not_applicable: bool
    def __init__(self, outcome: _Optional[str] = ..., horizon_days: _Optional[float] = ..., probability: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., intercept: _Optional[float] = ..., contributions: _Optional[_Iterable[_Union[Contribution, _Mapping]]] = ..., not_applicable: _Optional[bool] = ...) -> None: ...

class Contribution(_message.Message):
    __slots__ = ("factor", "log_odds", "known")
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    LOG_ODDS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    factor: str
    log_odds: float
    known: Known
    def __init__(self, factor: _Optional[str] = ..., log_odds: _Optional[float] = ..., known: _Optional[_Union[Known, str]] = ...) -> None: ...

class AllocateDonorsRequest(_message.Message):
    __slots__ = ("patients", "donors", "edges", "urgency", "previous", "recipients_share", "utility_share", "previous_second", "deadline_week", "unavailable", "limits", "ancestry", "fairness_share", "first")
    PATIENTS_FIELD_NUMBER: _ClassVar[int]
    DONORS_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    URGENCY_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_SHARE_FIELD_NUMBER: _ClassVar[int]
    UTILITY_SHARE_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_SECOND_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_WEEK_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    ANCESTRY_FIELD_NUMBER: _ClassVar[int]
    FAIRNESS_SHARE_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    patients: _containers.RepeatedScalarFieldContainer[str]
    donors: _containers.RepeatedScalarFieldContainer[str]
    edges: _containers.RepeatedCompositeFieldContainer[Edge]
    urgency: _containers.RepeatedScalarFieldContainer[int]
    previous: _containers.RepeatedScalarFieldContainer[str]
    recipients_share: float
    utility_share: float
    previous_second: _containers.RepeatedScalarFieldContainer[str]
    deadline_week: _containers.RepeatedScalarFieldContainer[int]
    unavailable: _containers.RepeatedScalarFieldContainer[int]
    limits: _containers.RepeatedCompositeFieldContainer[AllocationLimit]
    ancestry: _containers.RepeatedScalarFieldContainer[str]
    fairness_share: float
    first: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, patients: _Optional[_Iterable[str]] = ..., donors: _Optional[_Iterable[str]] = ..., edges: _Optional[_Iterable[_Union[Edge, _Mapping]]] = ..., urgency: _Optional[_Iterable[int]] = ..., previous: _Optional[_Iterable[str]] = ..., recipients_share: _Optional[float] = ..., utility_share: _Optional[float] = ..., previous_second: _Optional[_Iterable[str]] = ..., deadline_week: _Optional[_Iterable[int]] = ..., unavailable: _Optional[_Iterable[int]] = ..., limits: _Optional[_Iterable[_Union[AllocationLimit, _Mapping]]] = ..., ancestry: _Optional[_Iterable[str]] = ..., fairness_share: _Optional[float] = ..., first: _Optional[_Iterable[str]] = ...) -> None: ...

class AllocationLimit(_message.Message):
    __slots__ = ("name", "most", "patients", "donors")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    PATIENTS_FIELD_NUMBER: _ClassVar[int]
    DONORS_FIELD_NUMBER: _ClassVar[int]
    name: str
    most: int
    patients: _containers.RepeatedScalarFieldContainer[int]
    donors: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., most: _Optional[int] = ..., patients: _Optional[_Iterable[int]] = ..., donors: _Optional[_Iterable[int]] = ...) -> None: ...

class Edge(_message.Message):
    __slots__ = ("patient", "donor", "utility", "second")
    PATIENT_FIELD_NUMBER: _ClassVar[int]
    DONOR_FIELD_NUMBER: _ClassVar[int]
    UTILITY_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    patient: int
    donor: int
    utility: int
    second: int
    def __init__(self, patient: _Optional[int] = ..., donor: _Optional[int] = ..., utility: _Optional[int] = ..., second: _Optional[int] = ...) -> None: ...

class AllocateDonorsResponse(_message.Message):
    __slots__ = ("provenance", "assignments", "status", "objective", "bound", "explanations", "levels")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    EXPLANATIONS_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    assignments: _containers.RepeatedCompositeFieldContainer[Assignment]
    status: AllocationStatus
    objective: int
    bound: int
    explanations: _containers.RepeatedCompositeFieldContainer[Explanation]
    levels: _containers.RepeatedCompositeFieldContainer[AllocationLevel]
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., assignments: _Optional[_Iterable[_Union[Assignment, _Mapping]]] = ..., status: _Optional[_Union[AllocationStatus, str]] = ..., objective: _Optional[int] = ..., bound: _Optional[int] = ..., explanations: _Optional[_Iterable[_Union[Explanation, _Mapping]]] = ..., levels: _Optional[_Iterable[_Union[AllocationLevel, _Mapping]]] = ...) -> None: ...

class AllocationLevel(_message.Message):
    __slots__ = ("objective", "best", "bound", "least", "reached")
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    LEAST_FIELD_NUMBER: _ClassVar[int]
    REACHED_FIELD_NUMBER: _ClassVar[int]
    objective: AllocationObjective
    best: int
    bound: int
    least: int
    reached: int
    def __init__(self, objective: _Optional[_Union[AllocationObjective, str]] = ..., best: _Optional[int] = ..., bound: _Optional[int] = ..., least: _Optional[int] = ..., reached: _Optional[int] = ...) -> None: ...

class Assignment(_message.Message):
    __slots__ = ("patient", "donor", "utility", "second", "not_first_for")
    PATIENT_FIELD_NUMBER: _ClassVar[int]
    DONOR_FIELD_NUMBER: _ClassVar[int]
    UTILITY_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    NOT_FIRST_FOR_FIELD_NUMBER: _ClassVar[int]
    patient: str
    donor: str
    utility: int
    second: str
    not_first_for: AllocationReason
    def __init__(self, patient: _Optional[str] = ..., donor: _Optional[str] = ..., utility: _Optional[int] = ..., second: _Optional[str] = ..., not_first_for: _Optional[_Union[AllocationReason, str]] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("patient", "reason", "allocated", "best", "recipient", "swap_cost", "limit")
    PATIENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ALLOCATED_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    SWAP_COST_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    patient: str
    reason: AllocationReason
    allocated: str
    best: str
    recipient: str
    swap_cost: int
    limit: str
    def __init__(self, patient: _Optional[str] = ..., reason: _Optional[_Union[AllocationReason, str]] = ..., allocated: _Optional[str] = ..., best: _Optional[str] = ..., recipient: _Optional[str] = ..., swap_cost: _Optional[int] = ..., limit: _Optional[str] = ...) -> None: ...
