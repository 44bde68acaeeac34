"""P(10/10), P(9/10) and P(8/10) of every candidate of a search, without imputing donors."""

from matching.masses.entries import UNTYPED, Entries, EntryTable, LocusEntries
from matching.masses.tables import MassTables, PatientGenotypes

__all__ = ["UNTYPED", "Entries", "EntryTable", "LocusEntries", "MassTables", "PatientGenotypes"]
