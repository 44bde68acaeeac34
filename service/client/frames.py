"""Answers as tables of pandas, which is only imported here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message

from service.pb.graftmatch.v1 import antibodies_pb2, columns_pb2, graftmatch_pb2

if TYPE_CHECKING:
    import pandas as pd


def frame(messages: Iterable[Message]) -> pd.DataFrame:
    """A row a message, such as the candidates of a search.

    Fields of a message inside are columns `comparison.p10`; a list is one value; an enum is its
    name. What is not set is missing.
    """
    import pandas as pd

    return pd.DataFrame([dict(_cells(message, "")) for message in messages])


def columns_frame(messages: Iterable[columns_pb2.CandidateColumns]) -> pd.DataFrame:
    """The candidates of `StreamCandidates`, a row each, with the columns of the message.

    Those of a locus are `A.matches_best`, facts and rank values have the names that they come with.
    """
    import pandas as pd

    parts = [pd.DataFrame(_columns(message)) for message in messages]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def stream_frame(answers: Iterable[graftmatch_pb2.StreamCandidatesResponse]) -> pd.DataFrame:
    """The candidates of answers of `StreamCandidates`, a row each: those of `columns_frame`, with
    columns `crossmatch.answer` and `cord.tnc_1e7_per_kg` where the answers hold them.

    Of a system they are `crossmatch.DRB1.answer`; answers are names of `CrossmatchAnswer`.
    """
    import pandas as pd

    parts = []
    for answer in answers:
        columns = _columns(answer.candidates)
        if answer.HasField("crossmatches"):
            columns |= _crossmatches(answer.crossmatches)
        if answer.HasField("cord_units"):
            columns |= _values(answer.cord_units, "cord.")
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _crossmatches(message: antibodies_pb2.CrossmatchColumns) -> dict[str, Any]:
    found = _values(message, "crossmatch.")
    found.pop("crossmatch.systems", None)
    for system in message.systems:
        prefix = f"crossmatch.{system.system}."
        found |= {f"{prefix}answer": list(system.answer), f"{prefix}untyped": list(system.untyped)}
    names = antibodies_pb2.CrossmatchAnswer.DESCRIPTOR.values_by_number
    for key, value in found.items():
        if key.rpartition(".")[2] in ("answer", "worst"):
            found[key] = [names[number].name for number in value]
    return found


def _values(message: Message, prefix: str) -> dict[str, Any]:
    """Its columns, those that are not empty."""
    return {f"{prefix}{field.name}": list(value) for field, value in message.ListFields()}


def _columns(message: columns_pb2.CandidateColumns) -> dict[str, Any]:
    found: dict[str, Any] = {
        "rank": range(message.first_rank, message.first_rank + len(message.donors))
    }
    for field, value in message.ListFields():
        if field.name == "loci":
            for locus in value:
                found |= {
                    f"{locus.locus}.{f.name}": list(v)
                    for f, v in locus.ListFields()
                    if f.name != "locus"
                }
        elif field.name in ("facts", "rank_values"):
            found |= {
                one.name if field.name == "facts" else f"{one.name}.value": _texts(one)
                for one in value
            }
        elif field.name == "ranked_below_previous_for":
            found[field.name] = _texts(value)
        elif field.enum_type is not None:
            names = field.enum_type.values_by_number
            found[field.name] = [names[number].name for number in value]
        elif field.name != "first_rank":
            found[field.name] = list(value)
    return found


def _texts(column: columns_pb2.TextColumn) -> list[str]:
    return [column.values[code] for code in column.codes]


def _cells(message: Message, prefix: str) -> Iterable[tuple[str, Any]]:
    for field in message.DESCRIPTOR.fields:
        name, value = f"{prefix}{field.name}", getattr(message, field.name)
        if field.is_repeated:
            yield name, list(value)
        elif field.message_type is not None:
            yield from _cells(value, f"{name}.")
        elif field.has_presence and not message.HasField(field.name):
            yield name, None
        elif field.enum_type is not None:
            number = field.enum_type.values_by_number.get(value)
            yield name, value if number is None else number.name
        else:
            yield name, value
