"""Columns that are written as bytes are those that protobuf writes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.convert.wire import delimited, packed
from service.pb.graftmatch.v1.columns_pb2 import CandidateColumns, TextColumn

CODES = st.lists(
    st.one_of(st.integers(0, 200), st.integers(0, 2**32 - 1), st.sampled_from([127, 128, 2**14])),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(CODES, st.sampled_from([np.int64, np.uint32, np.uint64]))
def test_codes(codes: list[int], dtype: type) -> None:
    written = TextColumn(codes=codes)
    found = packed(TextColumn, "codes", np.array(codes, dtype=dtype))
    assert TextColumn.FromString(found) == written
    assert codes == [] or found == written.SerializeToString()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(width=64), max_size=30))
def test_numbers(values: list[float]) -> None:
    found = CandidateColumns.FromString(packed(CandidateColumns, "p9", np.array(values)))
    assert np.array_equal(found.p9, values, equal_nan=True)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=300), max_size=3), CODES)
def test_messages_inside(values: list[str], codes: list[int]) -> None:
    column = TextColumn(values=values, codes=codes)
    found = delimited(CandidateColumns, "facts", column.SerializeToString())
    assert found == CandidateColumns(facts=[column]).SerializeToString()
