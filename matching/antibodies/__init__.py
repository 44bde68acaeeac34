"""Antibodies of a patient against HLA, and the virtual crossmatch of donors."""

from matching.antibodies.crossmatch import CrossmatchResult, Finding, SystemResult, crossmatch
from matching.antibodies.epitopes import PublicEpitopes
from matching.antibodies.names import SYSTEMS, Names, System
from matching.antibodies.profile import Profile
from matching.antibodies.values import Answer, Basis, Bead, Call, CutOffs

__all__ = [
    "SYSTEMS",
    "Answer",
    "Basis",
    "Bead",
    "Call",
    "CrossmatchResult",
    "CutOffs",
    "Finding",
    "Names",
    "Profile",
    "PublicEpitopes",
    "System",
    "SystemResult",
    "crossmatch",
]
