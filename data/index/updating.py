"""An index made and brought up to date.

The manifest is swapped by one rename and everything it names is there before, so whatever happens
to a writer, the index is the one before or the one after. Writers exclude each other with a lock
that ends with their process.
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.files import remove_folder, replacing
from data.index.columns import DonorColumns, WrittenDonors
from data.index.encoding import EncodedDonors, encode_donors
from data.index.segments import DamagedIndexError, StoredSegment, write_segment
from data.index.stored import (
    FORMAT,
    LOCK,
    MANIFEST,
    DonorSource,
    Manifest,
    SegmentEntry,
    StoredIndex,
    open_index,
    read_manifest,
)
from matching.errors import OutputError, StoreError
from matching.genotypes import book_builders
from matching.nomenclature import Nomenclature

# An index with more segments has the later ones made into one.
MAX_SEGMENTS = 8
# Donors that changed since the first segment, as a share of it, beyond which all is built anew.
MAX_CHANGED = 0.1


@dataclass(frozen=True)
class Changed:
    """What `DonorSource.changed` gives after the revision before this one, being encoded."""

    revision: int
    encoded: Future[EncodedDonors]


def update_index(
    root: Path,
    source: DonorSource,
    nomenclature: Nomenclature,
    progress: Callable[[int], object] = lambda _: None,
    latest: Changed | None = None,
    keep: Callable[[str, WrittenDonors], object] = lambda _, __: None,
    set_back: bool = False,
) -> StoredIndex:
    """The index of a store under a release, brought up to the revision of `source`.

    What changed since becomes a further segment; everything is encoded anew where there is no
    index of this store and release, where it is damaged, or where much has changed. An index that
    is already newer stays as it is, unless the store was `set_back` since. `progress` is given the
    number of donors read so far. `latest` saves reading them from the source; `keep` is given the
    name of a segment that was written, and its typings. Raises `StoreError` and `OutputError`.
    """
    opened = _usable(root, source, nomenclature, set_back)
    if (
        opened is not None
        and opened.revision >= source.revision
        and not _others(root, opened.manifest)
    ):
        return opened
    with _locked(root):
        opened = _usable(root, source, nomenclature, set_back, opened)
        if opened is None or opened.revision < source.revision:
            _write_update(root, opened, source, nomenclature, progress, latest, keep)
        _remove_others(root, nomenclature)
    opened = open_index(root, nomenclature, opened)
    if opened is None:
        raise StoreError(f"the index in {root} cannot be read back; check the disk")
    return opened


def _usable(
    root: Path,
    source: DonorSource,
    nomenclature: Nomenclature,
    set_back: bool,
    before: StoredIndex | None = None,
) -> StoredIndex | None:
    """The index that is there, unless it is damaged, or that of another store or history."""
    try:
        opened = open_index(root, nomenclature, before)
    except DamagedIndexError:
        return None
    if opened is None or opened.is_of(source):
        return opened
    is_newer = opened.manifest.store_id == source.store_id and opened.revision > source.revision
    return opened if is_newer and not set_back else None


def _write_update(
    root: Path,
    opened: StoredIndex | None,
    source: DonorSource,
    nomenclature: Nomenclature,
    progress: Callable[[int], object],
    latest: Changed | None,
    keep: Callable[[str, WrittenDonors], object],
) -> None:
    kept: Sequence[StoredSegment] = ()
    entries: Sequence[SegmentEntry] = ()
    after = 0
    changed: list[str] = []
    unreadable: list[tuple[str, str]] = []
    if opened is not None:
        kept, entries = opened.segments, opened.manifest.segments
        after = opened.revision
        if len(entries) >= MAX_SEGMENTS:
            kept, entries, after = kept[:1], entries[:1], entries[0].revision
        changed = source.changed_ids(after)
        unreadable = _unreadable_but(opened.unreadable, changed)
        later = sum(entry.rows for entry in entries[1:]) + len(changed)
        if not entries or later > MAX_CHANGED * entries[0].rows:
            kept, entries, unreadable, after = (), (), [], 0
    if latest is not None and latest.revision == source.revision == after + 1:
        encoded = latest.encoded.result()
    else:
        batches = source.changed(after) if after else source.donors()
        encoded = encode_donors(DonorColumns.of(batches, progress), book_builders(nomenclature))
    # Nothing of the former state is named by more than one manifest, so each can be removed whole.
    token = secrets.token_hex(8)
    written = [
        replace(entry, removed=_write_removed(root, f"removed-{token}-{i}.bin", stored, changed))
        for i, (entry, stored) in enumerate(zip(entries, kept, strict=True))
    ]
    if len(encoded.ids) or not entries:
        name = f"segment-{token}"
        write_segment(root / name, encoded)
        keep(name, encoded.written)
        written.append(SegmentEntry(name, len(encoded.ids), source.revision))
    unreadable += encoded.unreadable
    manifest = Manifest(
        FORMAT,
        nomenclature.release,
        nomenclature.fingerprint,
        source.store_id,
        source.revision,
        source.stamp(source.revision),
        tuple(written),
        f"unreadable-{token}.csv",
        len(unreadable),
    )
    _write_unreadable(root / manifest.unreadable, unreadable)
    with replacing(root / MANIFEST) as temporary:
        temporary.write_text(json.dumps(asdict(manifest), indent=1), encoding="utf-8")


def _write_removed(root: Path, name: str, stored: StoredSegment, changed: list[str]) -> str | None:
    """Write which rows are no longer valid, with those that changed; None where all are."""
    found = pc.is_in(stored.ids, value_set=pa.array(changed, pa.string()))
    bits = np.packbits(np.asarray(found.to_numpy(zero_copy_only=False)), bitorder="little")
    if stored.segment.removed is not None:
        bits |= stored.segment.removed
    if not bits.any():
        return None
    with replacing(root / name) as temporary:
        temporary.write_bytes(bits.data)
    return name


def _write_unreadable(path: Path, unreadable: Iterable[tuple[str, str]]) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "reason"), *unreadable])


def _unreadable_but(path: Path, changed: list[str]) -> list[tuple[str, str]]:
    """The donors of a file of unreadable ones that did not change."""
    gone = set(changed)
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        return [(name, reason) for name, reason in rows if name not in gone]


@contextmanager
def completing(root: Path) -> Iterator[None]:
    """While this lasts, and its process lives, `is_being_completed` is true: the index is brought
    up to date, and its masses are made. Several may do so at once."""
    with ExitStack() as stack:
        # Where it cannot be written, whoever writes it is told.
        with suppress(OSError):
            root.mkdir(parents=True, exist_ok=True)
            folder = _descriptor(root, stack)
            fcntl.flock(folder, fcntl.LOCK_SH)
        yield


def is_being_completed(root: Path) -> bool:
    """See `completing`."""
    with ExitStack() as stack:
        try:
            fcntl.flock(_descriptor(root, stack), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            pass
    return False


def _descriptor(folder: Path, stack: ExitStack) -> int:
    """Of a folder, until the stack is closed. A lock of the folder itself needs no file in it."""
    opened = os.open(folder, os.O_RDONLY)
    stack.callback(os.close, opened)
    return opened


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Wait until no other process or thread writes this index, and keep others from it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / LOCK).open("a")
    except OSError as error:
        raise OutputError(
            f"cannot write {root}: {error.strerror}; free space or choose another place, then run "
            "it again"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_others(root: Path, nomenclature: Nomenclature) -> None:
    manifest = read_manifest(root, nomenclature)
    for path in [] if manifest is None else _others(root, manifest):
        if path.is_dir():
            remove_folder(path)
        else:
            path.unlink(missing_ok=True)


def _others(root: Path, manifest: Manifest) -> list[Path]:
    """What the manifest does not name: former segments, and what a killed writer left."""
    named = manifest.files
    return [path for path in root.iterdir() if path.name not in named]
