"""Antibodies of a patient against HLA, and the virtual crossmatch of donors."""

from matching.antibodies.crossmatch import CrossmatchResult, Finding, SystemResult, crossmatch
from matching.antibodies.epitopes import PublicEpitopes
from matching.antibodies.imputed import ImputedAnswers
from matching.antibodies.names import SYSTEMS, Names, System
from matching.antibodies.profile import Profile
from matching.antibodies.registry import DonorAnswers, RegistryAnswers, registry_answers
from matching.antibodies.values import Answer, Basis, Bead, Call, CutOffs

__all__ = [
    "SYSTEMS",
    "Answer",
    "Basis",
    "Bead",
    "Call",
    "CrossmatchResult",
    "CutOffs",
    "DonorAnswers",
    "Finding",
    "ImputedAnswers",
    "Names",
    "Profile",
    "PublicEpitopes",
    "RegistryAnswers",
    "System",
    "SystemResult",
    "crossmatch",
    "registry_answers",
]
