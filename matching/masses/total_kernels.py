"""Total masses of typings: haplotypes summed by class, then classes combined (rule R16)."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from matching.array_types import array
from matching.kernels import kernel
from matching.masses.arrays import (
    ENTRY_ARRAYS,
    ROW_ARRAYS,
    Bytes,
    EntryArrays,
    Floats,
    Int32s,
    Int64s,
    RowArrays,
)

# Classes of whole haplotypes that a typing may have; more only with long genotype lists.
MAX_CLASSES = 65_536
# Classes of names at one locus: one bit each.
MAX_LOCUS_CLASSES = 64
_NOT_ADMITTED = 255

_SCAN = (
    ROW_ARRAYS,
    numba.int64,
    numba.int64,
    numba.int64,
    array(numba.uint8, 2, readonly=False),
    array(numba.int64, readonly=False),
    array(numba.float64, readonly=False),
)


@kernel(numba.void(*_SCAN))
def _add_rows(
    rows: RowArrays, start: int, end: int, at: int, classes: Bytes, strides: Int64s, sums: Floats
) -> None:
    """Add the admitted rows of a range, whose first two loci are class `at`."""
    n_loci = len(rows.order)
    for row in range(start, end):
        index = at
        for p in range(2, n_loci):
            found = classes[p, rows.columns[p, row]]
            if found == _NOT_ADMITTED:
                index = -1
                break
            index += found * strides[p]
        if index >= 0:
            sums[index] += rows.frequencies[row]


@kernel(numba.void(*_SCAN, array(numba.int32)))
def _add_cell(
    rows: RowArrays,
    start: int,
    end: int,
    at: int,
    classes: Bytes,
    strides: Int64s,
    sums: Floats,
    third: Int32s,
) -> None:
    """Add the admitted rows of a cell; `third`: the names admitted at its third locus."""
    if end - start <= 8 * len(third):
        _add_rows(rows, start, end, at, classes, strides, sums)
        return
    for name in third:
        low, high = start, end
        while low < high:
            middle = (low + high) // 2
            if rows.columns[2, middle] < name:
                low = middle + 1
            else:
                high = middle
        stop = low
        while stop < end and rows.columns[2, stop] == name:
            stop += 1
        _add_rows(rows, low, stop, at, classes, strides, sums)


@kernel(
    numba.float64(
        ENTRY_ARRAYS,
        array(numba.int64, readonly=False),
        array(numba.int64, readonly=False),
        numba.int64,
        array(numba.float64, readonly=False),
        array(numba.float64, readonly=False),
    )
)
def _combined(
    entries: EntryArrays, typing: Int64s, strides: Int64s, size: int, sums: Floats, other: Floats
) -> float:
    """Mass of all ordered pairs of classes that explain the typing together.

    Only sums of products of what is there: a typing that nothing explains has mass 0 exactly.
    """
    other[:size] = sums[:size]
    column = np.empty(MAX_LOCUS_CLASSES)
    for p in range(len(typing)):
        first = entries.class_starts[typing[p]]
        n_classes = entries.class_starts[typing[p] + 1] - first
        if n_classes == 1 and entries.compatible[first] == 1:
            continue
        stride = strides[p]
        for block in range(0, size, stride * n_classes):
            for at in range(block, block + stride):
                for c in range(n_classes):
                    column[c] = other[at + c * stride]
                for c in range(n_classes):
                    bits = entries.compatible[first + c]
                    total = 0.0
                    for d in range(n_classes):
                        if (bits >> np.uint64(d)) & np.uint64(1):
                            total += column[d]
                    other[at + c * stride] = total
    mass = 0.0
    for at in range(size):
        mass += sums[at] * other[at]
    return mass


@kernel(
    numba.void(
        array(numba.int32, 2), ENTRY_ARRAYS, ROW_ARRAYS, array(numba.float64, readonly=False)
    )
)
def total_masses(codes: Int32s, entries: EntryArrays, rows: RowArrays, out: Floats) -> None:
    """Mass of every typing: the sum over the haplotype pairs that explain it.

    codes: (n, n_loci) entries. out: (n,), 0 where no pair does, NaN where the classes of a typing
    are more than `MAX_CLASSES`. Typings that share entries with the one before are faster.
    """
    n_loci = codes.shape[1]
    classes = np.full((n_loci, rows.n_names.max()), _NOT_ADMITTED, dtype=np.uint8)
    typing = np.full(n_loci, -1, dtype=np.int64)
    strides = np.empty(n_loci, dtype=np.int64)
    sums, other = np.empty(MAX_CLASSES), np.empty(MAX_CLASSES)
    for donor in range(len(codes)):
        size = 1
        for p in range(n_loci):
            column = rows.order[p]
            entry = entries.base[column] + codes[donor, column]
            if entry != typing[p]:
                if typing[p] >= 0:
                    for k in range(entries.starts[typing[p]], entries.starts[typing[p] + 1]):
                        classes[p, entries.names[k]] = _NOT_ADMITTED
                for k in range(entries.starts[entry], entries.starts[entry + 1]):
                    classes[p, entries.names[k]] = entries.classes[k]
                typing[p] = entry
            strides[p] = size
            if size <= MAX_CLASSES:
                size *= entries.class_starts[entry + 1] - entries.class_starts[entry]
        if size > MAX_CLASSES:
            out[donor] = np.nan
            continue
        if size == 0:
            # A locus admits nothing of the set.
            out[donor] = 0
            continue
        sums[:size] = 0
        second = entries.names[entries.starts[typing[1]] : entries.starts[typing[1] + 1]]
        third = entries.names[entries.starts[typing[2]] : entries.starts[typing[2] + 1]]
        for k in range(entries.starts[typing[0]], entries.starts[typing[0] + 1]):
            i = entries.names[k]
            at = entries.classes[k] * strides[0]
            here, stop = rows.present_starts[i], rows.present_starts[i + 1]
            found = second if len(second) < stop - here else rows.present[here:stop]
            for j in found:
                of_second = classes[1, j]
                cell = i * rows.n_names[1] + j
                if of_second != _NOT_ADMITTED and rows.cells[cell] < rows.cells[cell + 1]:
                    _add_cell(
                        rows,
                        rows.cells[cell],
                        rows.cells[cell + 1],
                        at + of_second * strides[1],
                        classes,
                        strides,
                        sums,
                        third,
                    )
        out[donor] = _combined(entries, typing, strides, size, sums, other)


@kernel(
    numba.void(
        array(numba.int64),
        array(numba.int32),
        array(numba.int64, 2),
        array(numba.int64, readonly=False),
        array(numba.int32, readonly=False),
        array(numba.uint8, readonly=False),
        array(numba.uint8, readonly=False),
    )
)
def merge_positions(
    starts: Int64s,
    names: Int32s,
    pairs: npt.NDArray[np.int64],
    ends: Int64s,
    out_names: Int32s,
    out_classes: Bytes,
    overlap: Bytes,
) -> None:
    """Names and classes of genotypes of two positions.

    starts, names: the names that position i admits, ascending. pairs: (n, 2) positions. Writes
    the names of both one pair after another, up to ends (n,), their classes (0 the first position
    alone, 1 the second, 2 both; all 0 where both positions are one) and overlap (n,) 1 where
    class 2 occurs.
    """
    at = 0
    for row in range(len(pairs)):
        first, second = pairs[row, 0], pairs[row, 1]
        i, j = starts[first], starts[second]
        overlap[row] = 0
        while i < starts[first + 1] or j < starts[second + 1]:
            if j == starts[second + 1] or (i < starts[first + 1] and names[i] < names[j]):
                out_names[at], out_classes[at] = names[i], 0
                i += 1
            elif i == starts[first + 1] or names[j] < names[i]:
                out_names[at], out_classes[at] = names[j], 1
                j += 1
            else:
                out_names[at], out_classes[at] = names[i], 0 if first == second else 2
                overlap[row] = 1
                i += 1
                j += 1
            at += 1
        ends[row] = at
