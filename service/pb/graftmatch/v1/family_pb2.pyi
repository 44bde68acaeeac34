from service.pb.graftmatch.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FamilyWeighting(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAMILY_WEIGHTING_UNSPECIFIED: _ClassVar[FamilyWeighting]
    FAMILY_WEIGHTING_EQUAL: _ClassVar[FamilyWeighting]
    FAMILY_WEIGHTING_FREQUENCIES: _ClassVar[FamilyWeighting]

class RelativeClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RELATIVE_CLASS_UNSPECIFIED: _ClassVar[RelativeClass]
    RELATIVE_CLASS_IDENTICAL: _ClassVar[RelativeClass]
    RELATIVE_CLASS_IDENTICAL_BY_TYPE: _ClassVar[RelativeClass]
    RELATIVE_CLASS_ONE_MISMATCH: _ClassVar[RelativeClass]
    RELATIVE_CLASS_HAPLOIDENTICAL: _ClassVar[RelativeClass]
    RELATIVE_CLASS_OTHER: _ClassVar[RelativeClass]
FAMILY_WEIGHTING_UNSPECIFIED: FamilyWeighting
FAMILY_WEIGHTING_EQUAL: FamilyWeighting
FAMILY_WEIGHTING_FREQUENCIES: FamilyWeighting
RELATIVE_CLASS_UNSPECIFIED: RelativeClass
RELATIVE_CLASS_IDENTICAL: RelativeClass
RELATIVE_CLASS_IDENTICAL_BY_TYPE: RelativeClass
RELATIVE_CLASS_ONE_MISMATCH: RelativeClass
RELATIVE_CLASS_HAPLOIDENTICAL: RelativeClass
RELATIVE_CLASS_OTHER: RelativeClass

class AnalyseFamilyRequest(_message.Message):
    __slots__ = ("members", "patient", "loci", "as_of", "rule", "with_frequencies", "ancestry", "registry")
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    PATIENT_FIELD_NUMBER: _ClassVar[int]
    LOCI_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    WITH_FREQUENCIES_FIELD_NUMBER: _ClassVar[int]
    ANCESTRY_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_FIELD_NUMBER: _ClassVar[int]
    members: _containers.RepeatedCompositeFieldContainer[FamilyMember]
    patient: str
    loci: _containers.RepeatedScalarFieldContainer[str]
    as_of: str
    rule: HaploidenticalRule
    with_frequencies: bool
    ancestry: str
    registry: str
    def __init__(self, members: _Optional[_Iterable[_Union[FamilyMember, _Mapping]]] = ..., patient: _Optional[str] = ..., loci: _Optional[_Iterable[str]] = ..., as_of: _Optional[str] = ..., rule: _Optional[_Union[HaploidenticalRule, _Mapping]] = ..., with_frequencies: _Optional[bool] = ..., ancestry: _Optional[str] = ..., registry: _Optional[str] = ...) -> None: ...

class FamilyMember(_message.Message):
    __slots__ = ("id", "father", "mother", "sex", "birth_date", "typing")
    ID_FIELD_NUMBER: _ClassVar[int]
    FATHER_FIELD_NUMBER: _ClassVar[int]
    MOTHER_FIELD_NUMBER: _ClassVar[int]
    SEX_FIELD_NUMBER: _ClassVar[int]
    BIRTH_DATE_FIELD_NUMBER: _ClassVar[int]
    TYPING_FIELD_NUMBER: _ClassVar[int]
    id: str
    father: str
    mother: str
    sex: str
    birth_date: str
    typing: str
    def __init__(self, id: _Optional[str] = ..., father: _Optional[str] = ..., mother: _Optional[str] = ..., sex: _Optional[str] = ..., birth_date: _Optional[str] = ..., typing: _Optional[str] = ...) -> None: ...

class HaploidenticalRule(_message.Message):
    __slots__ = ("keys", "age_step_years", "dpb1_order")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    AGE_STEP_YEARS_FIELD_NUMBER: _ClassVar[int]
    DPB1_ORDER_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[str]
    age_step_years: float
    dpb1_order: _containers.RepeatedScalarFieldContainer[_common_pb2.Dpb1Tce]
    def __init__(self, keys: _Optional[_Iterable[str]] = ..., age_step_years: _Optional[float] = ..., dpb1_order: _Optional[_Iterable[_Union[_common_pb2.Dpb1Tce, str]]] = ...) -> None: ...

class AnalyseFamilyResponse(_message.Message):
    __slots__ = ("provenance", "as_of", "weighting", "weighted_by", "loci", "compared", "warnings", "notes", "recombinations", "inconsistencies", "haplotypes", "likeliest_share", "members", "relatives", "ordered_by")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    WEIGHTING_FIELD_NUMBER: _ClassVar[int]
    WEIGHTED_BY_FIELD_NUMBER: _ClassVar[int]
    LOCI_FIELD_NUMBER: _ClassVar[int]
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    RECOMBINATIONS_FIELD_NUMBER: _ClassVar[int]
    INCONSISTENCIES_FIELD_NUMBER: _ClassVar[int]
    HAPLOTYPES_FIELD_NUMBER: _ClassVar[int]
    LIKELIEST_SHARE_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    RELATIVES_FIELD_NUMBER: _ClassVar[int]
    ORDERED_BY_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    as_of: str
    weighting: FamilyWeighting
    weighted_by: str
    loci: _containers.RepeatedScalarFieldContainer[str]
    compared: _containers.RepeatedScalarFieldContainer[str]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    notes: _containers.RepeatedScalarFieldContainer[str]
    recombinations: _containers.RepeatedCompositeFieldContainer[FamilyRecombination]
    inconsistencies: _containers.RepeatedCompositeFieldContainer[FamilyInconsistency]
    haplotypes: _containers.RepeatedCompositeFieldContainer[FounderHaplotype]
    likeliest_share: float
    members: _containers.RepeatedCompositeFieldContainer[AnalysedMember]
    relatives: _containers.RepeatedCompositeFieldContainer[RelativeDonor]
    ordered_by: _containers.RepeatedCompositeFieldContainer[RankSource]
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., as_of: _Optional[str] = ..., weighting: _Optional[_Union[FamilyWeighting, str]] = ..., weighted_by: _Optional[str] = ..., loci: _Optional[_Iterable[str]] = ..., compared: _Optional[_Iterable[str]] = ..., warnings: _Optional[_Iterable[str]] = ..., notes: _Optional[_Iterable[str]] = ..., recombinations: _Optional[_Iterable[_Union[FamilyRecombination, _Mapping]]] = ..., inconsistencies: _Optional[_Iterable[_Union[FamilyInconsistency, _Mapping]]] = ..., haplotypes: _Optional[_Iterable[_Union[FounderHaplotype, _Mapping]]] = ..., likeliest_share: _Optional[float] = ..., members: _Optional[_Iterable[_Union[AnalysedMember, _Mapping]]] = ..., relatives: _Optional[_Iterable[_Union[RelativeDonor, _Mapping]]] = ..., ordered_by: _Optional[_Iterable[_Union[RankSource, _Mapping]]] = ...) -> None: ...

class FamilyRecombination(_message.Message):
    __slots__ = ("child", "parent", "role", "after", "before", "probability")
    CHILD_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    child: str
    parent: str
    role: str
    after: str
    before: str
    probability: float
    def __init__(self, child: _Optional[str] = ..., parent: _Optional[str] = ..., role: _Optional[str] = ..., after: _Optional[str] = ..., before: _Optional[str] = ..., probability: _Optional[float] = ...) -> None: ...

class FamilyInconsistency(_message.Message):
    __slots__ = ("locus", "conflicts", "suspects")
    LOCUS_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    SUSPECTS_FIELD_NUMBER: _ClassVar[int]
    locus: str
    conflicts: _containers.RepeatedCompositeFieldContainer[FamilyConflict]
    suspects: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, locus: _Optional[str] = ..., conflicts: _Optional[_Iterable[_Union[FamilyConflict, _Mapping]]] = ..., suspects: _Optional[_Iterable[str]] = ...) -> None: ...

class FamilyConflict(_message.Message):
    __slots__ = ("child", "role", "parent")
    CHILD_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    child: str
    role: str
    parent: str
    def __init__(self, child: _Optional[str] = ..., role: _Optional[str] = ..., parent: _Optional[str] = ...) -> None: ...

class FounderHaplotype(_message.Message):
    __slots__ = ("letter", "founder", "alleles")
    LETTER_FIELD_NUMBER: _ClassVar[int]
    FOUNDER_FIELD_NUMBER: _ClassVar[int]
    ALLELES_FIELD_NUMBER: _ClassVar[int]
    letter: str
    founder: str
    alleles: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, letter: _Optional[str] = ..., founder: _Optional[str] = ..., alleles: _Optional[_Iterable[str]] = ...) -> None: ...

class AnalysedMember(_message.Message):
    __slots__ = ("id", "paternal", "maternal", "refined")
    ID_FIELD_NUMBER: _ClassVar[int]
    PATERNAL_FIELD_NUMBER: _ClassVar[int]
    MATERNAL_FIELD_NUMBER: _ClassVar[int]
    REFINED_FIELD_NUMBER: _ClassVar[int]
    id: str
    paternal: _containers.RepeatedScalarFieldContainer[str]
    maternal: _containers.RepeatedScalarFieldContainer[str]
    refined: _containers.RepeatedCompositeFieldContainer[RefinedLocus]
    def __init__(self, id: _Optional[str] = ..., paternal: _Optional[_Iterable[str]] = ..., maternal: _Optional[_Iterable[str]] = ..., refined: _Optional[_Iterable[_Union[RefinedLocus, _Mapping]]] = ...) -> None: ...

class RefinedLocus(_message.Message):
    __slots__ = ("locus", "written", "refined", "genotypes")
    LOCUS_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_FIELD_NUMBER: _ClassVar[int]
    REFINED_FIELD_NUMBER: _ClassVar[int]
    GENOTYPES_FIELD_NUMBER: _ClassVar[int]
    locus: str
    written: str
    refined: str
    genotypes: _containers.RepeatedCompositeFieldContainer[FamilyGenotype]
    def __init__(self, locus: _Optional[str] = ..., written: _Optional[str] = ..., refined: _Optional[str] = ..., genotypes: _Optional[_Iterable[_Union[FamilyGenotype, _Mapping]]] = ...) -> None: ...

class FamilyGenotype(_message.Message):
    __slots__ = ("text", "p")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    P_FIELD_NUMBER: _ClassVar[int]
    text: str
    p: float
    def __init__(self, text: _Optional[str] = ..., p: _Optional[float] = ...) -> None: ...

class RelativeDonor(_message.Message):
    __slots__ = ("rank", "id", "relationship", "likeliest_class", "classes", "shares_a", "shares_c", "mismatches", "nima", "by_descent", "age_years", "drb1_favourable", "leader_matched", "dpb1_tce", "ranked_below_previous_for")
    RANK_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    RELATIONSHIP_FIELD_NUMBER: _ClassVar[int]
    LIKELIEST_CLASS_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    SHARES_A_FIELD_NUMBER: _ClassVar[int]
    SHARES_C_FIELD_NUMBER: _ClassVar[int]
    MISMATCHES_FIELD_NUMBER: _ClassVar[int]
    NIMA_FIELD_NUMBER: _ClassVar[int]
    BY_DESCENT_FIELD_NUMBER: _ClassVar[int]
    AGE_YEARS_FIELD_NUMBER: _ClassVar[int]
    DRB1_FAVOURABLE_FIELD_NUMBER: _ClassVar[int]
    LEADER_MATCHED_FIELD_NUMBER: _ClassVar[int]
    DPB1_TCE_FIELD_NUMBER: _ClassVar[int]
    RANKED_BELOW_PREVIOUS_FOR_FIELD_NUMBER: _ClassVar[int]
    rank: int
    id: str
    relationship: str
    likeliest_class: RelativeClass
    classes: _containers.RepeatedCompositeFieldContainer[ClassProbability]
    shares_a: float
    shares_c: float
    mismatches: _containers.RepeatedCompositeFieldContainer[MismatchProbability]
    nima: float
    by_descent: _containers.RepeatedScalarFieldContainer[str]
    age_years: float
    drb1_favourable: bool
    leader_matched: bool
    dpb1_tce: _common_pb2.Dpb1Tce
    ranked_below_previous_for: str
    def __init__(self, rank: _Optional[int] = ..., id: _Optional[str] = ..., relationship: _Optional[str] = ..., likeliest_class: _Optional[_Union[RelativeClass, str]] = ..., classes: _Optional[_Iterable[_Union[ClassProbability, _Mapping]]] = ..., shares_a: _Optional[float] = ..., shares_c: _Optional[float] = ..., mismatches: _Optional[_Iterable[_Union[MismatchProbability, _Mapping]]] = ..., nima: _Optional[float] = ..., by_descent: _Optional[_Iterable[str]] = ..., age_years: _Optional[float] = ..., drb1_favourable: _Optional[bool] = ..., leader_matched: _Optional[bool] = ..., dpb1_tce: _Optional[_Union[_common_pb2.Dpb1Tce, str]] = ..., ranked_below_previous_for: _Optional[str] = ...) -> None: ...

class ClassProbability(_message.Message):
    __slots__ = ("relative_class", "p")
    RELATIVE_CLASS_FIELD_NUMBER: _ClassVar[int]
    P_FIELD_NUMBER: _ClassVar[int]
    relative_class: RelativeClass
    p: float
    def __init__(self, relative_class: _Optional[_Union[RelativeClass, str]] = ..., p: _Optional[float] = ...) -> None: ...

class MismatchProbability(_message.Message):
    __slots__ = ("mismatches", "p")
    MISMATCHES_FIELD_NUMBER: _ClassVar[int]
    P_FIELD_NUMBER: _ClassVar[int]
    mismatches: int
    p: float
    def __init__(self, mismatches: _Optional[int] = ..., p: _Optional[float] = ...) -> None: ...

class RankSource(_message.Message):
    __slots__ = ("key", "source")
    KEY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    key: str
    source: str
    def __init__(self, key: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...
