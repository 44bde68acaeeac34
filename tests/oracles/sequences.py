"""Where the residues of a protein lie, by whole tables of shifts and cuts, and how two differ."""

from __future__ import annotations

from itertools import product

import numpy as np

from matching.sequences import DELETED, UNKNOWN

GAP_COST, COMMON_GAP_COST, LONGEST_GAP = 6, 2, 9
STRETCH, LEAST_AGREEING = 20, 5


def place(reference: str, sequence: str, absent: int | None = None) -> tuple[str, ...]:
    """See `matching.sequences.place`."""
    n = len(reference)
    letters = np.frombuffer(sequence.removesuffix("X").encode(), dtype=np.uint8)
    padded = np.pad(letters, n + LONGEST_GAP)
    # Row d holds the residues that stand at the reference if the sequence is shifted by d.
    shifted = np.lib.stride_tricks.sliding_window_view(padded, n)
    agrees = shifted == np.frombuffer(reference.encode(), dtype=np.uint8)
    whole = int(agrees.sum(axis=1)[LONGEST_GAP:-LONGEST_GAP].argmax()) + LONGEST_GAP
    lowest = whole - LONGEST_GAP
    near = slice(lowest, whole + LONGEST_GAP + 1)
    # 1 where a residue agrees, -1 where it differs, 0 where there is none; summed up.
    score = np.where(agrees[near], 1, -(shifted[near] != 0).astype(np.int32))
    head = np.pad(score.cumsum(axis=1), ((0, 0), (1, 0)))
    tail = head[:, -1:] - head
    row = int(head[:, -1].argmax())
    best, shift, cut, gap = int(head[row, -1]), lowest + row, n, 0
    for size in range(1, LONGEST_GAP + 1):
        # An insertion moves what follows to a later row, a deletion to an earlier one.
        inserted = head[:-size] + tail[size:] - GAP_COST
        deleted = head[size:, :-size] + tail[:-size, size:] - GAP_COST
        if absent is not None and size == 1:
            deleted[:, absent] += GAP_COST - COMMON_GAP_COST
        for total, change, above in ((inserted, size, 0), (deleted, -size, size)):
            row, column = divmod(int(total.argmax()), total.shape[1])
            if total[row, column] > best:
                best = int(total[row, column])
                shift, cut, gap = lowest + row + above, column, change
    missing = max(-gap, 0)
    residues = [chr(code) if code else UNKNOWN for code in shifted[shift, :cut]]
    residues += [DELETED] * missing
    residues += [chr(c) if c else UNKNOWN for c in shifted[shift + gap, cut + missing :]]
    if gap > 0:
        start = shift + cut
        residues[cut - 1] += padded[start : start + gap].tobytes().decode()
    pairs = zip(residues, reference, strict=True)
    agreeing = [r[0] == expected for r, expected in pairs if r not in (UNKNOWN, DELETED)]
    starts = range(len(agreeing) - STRETCH + 1)
    if min((sum(agreeing[i : i + STRETCH]) for i in starts), default=0) < LEAST_AGREEING:
        return (UNKNOWN,) * n
    return tuple(residues)


def differences(first: dict[int, list[int]], second: dict[int, list[int]]) -> tuple[int, int]:
    """Fewest and most residues at which domains of two positions, by group, differ."""
    fewest, most = [], [0]
    for (group, ours), (other, theirs) in product(first.items(), second.items()):
        pairs = list(zip(ours, theirs, strict=True))
        fewest.append(sum(0 not in pair and pair[0] != pair[1] for pair in pairs))
        most.append(0 if group == other else sum(0 in pair or pair[0] != pair[1] for pair in pairs))
    return min(fewest), max(most)
