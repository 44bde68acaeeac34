"""The patients of a batch."""

from __future__ import annotations

from pathlib import Path

from data.donor_files import Person, ReadingOptions, RecordReader, Rejects
from matching.errors import InputFileError
from matching.nomenclature import Nomenclature
from service.search import SearchSettings, wanted_of


def people_of(
    file: Path, nomenclature: Nomenclature, options: ReadingOptions, asked: SearchSettings
) -> tuple[list[Person], Rejects]:
    """Those of a file who can be searched for, and the others with their reasons.

    Raises `InputFileError`.
    """
    reader = RecordReader(nomenclature, options)
    people = []
    for person in reader.people(file):
        try:
            wanted_of(person, asked)
        except InputFileError as error:
            reader.rejects.add([("", person.id, str(error))])
        else:
            people.append(person)
    return people, reader.rejects
