"""Fields of messages as bytes, made of arrays: protobuf's own way makes an object of each value.

See the encoding of protobuf, https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import Message

_LENGTH_DELIMITED = 2


def packed(message: type[Message], name: str, values: npt.NDArray[Any]) -> bytes:
    """A repeated field of numbers: doubles of floats, and of integers from 0 to 2^32 - 1 whatever
    is written as they are, which is enums too."""
    if values.dtype.kind == "f":
        return delimited(message, name, values.astype("<f8").tobytes())
    return delimited(message, name, _varints(values))


def delimited(message: type[Message], name: str, content: bytes) -> bytes:
    """A field of what has a length: bytes, a message, packed numbers."""
    number = message.DESCRIPTOR.fields_by_name[name].number
    return _head(number, len(content)) + content


# Most are asked for again with the next batch.
@lru_cache(maxsize=10_000)
def _head(number: int, length: int) -> bytes:
    return _varints(np.array([number << 3 | _LENGTH_DELIMITED])) + _varints(np.array([length]))


def _varints(values: npt.NDArray[Any]) -> bytes:
    """Of each seven bits a byte, the lowest first, with a bit that says that more follow."""
    highest = int(values.max(initial=0))
    if highest < 128:
        return values.astype(np.uint8).tobytes()
    shifts = np.arange(0, highest.bit_length(), 7, dtype=np.uint64)
    left = values.astype(np.uint64)[:, None] >> shifts
    written = (left & 127).astype(np.uint8)
    written[:, :-1] |= (left[:, 1:] > 0).astype(np.uint8) << 7
    is_needed = left > 0
    is_needed[:, 0] = True
    return written[is_needed].tobytes()
