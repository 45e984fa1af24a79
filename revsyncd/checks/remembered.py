"""Keys that earlier drops of the folder have staged, as hashes: 8 bytes a key, in sorted files.

A file of keys holds hashes of 8 bytes, big end first, sorted. While a dropped file passes, 8 bytes a
record and unique column are kept; at its end each part of them meets its part of the known ones.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

from revsyncd.checks.blocks import HandRead, Proven, Rows
from revsyncd.checks.contract import Dialect
from revsyncd.checks.header import folded, positions
from revsyncd.checks.keys import readable
from revsyncd.checks.reading import Batch, FileReading
from revsyncd.checks.selection import Chosen
from revsyncd.checks.writing import disk_errors

KEY = 8  # bytes
CODE = "record.seen_before"

_BUCKETS = 256
_TOP = 56  # bits: what is left of a hash is its bucket


def hashes(label: str, values: Iterable[str]) -> list[int]:
    """The hash of each key of a column; 0 for an empty cell, which is none."""
    begun = blake2b(folded(label).encode("utf-8", "surrogatepass") + b"\0", digest_size=KEY)
    found = []
    for value in values:
        key = begun.copy()
        key.update(value.encode("utf-8", "surrogatepass"))
        found.append(int.from_bytes(key.digest(), "big") if value else 0)
    return found


class SeenBefore:
    """The keys of one file, and which of them are known."""

    def __init__(self, labels: dict[int, str]) -> None:
        """`labels` is column -> label."""
        self._labels = labels
        self._buckets = [array("Q") for _ in range(_BUCKETS)]

    def add(self, rows: Rows) -> None:
        """Take the keys of a block."""
        buckets = self._buckets
        for index, label in self._labels.items():
            for key in hashes(label, rows.column(index)):
                if key:
                    buckets[key >> _TOP].append(key)

    def known(self, path: Path) -> Sequence[int]:
        """Those that the file of keys at `path` holds, each once, sorted. Raises OSError."""
        found: array[int] = array("Q")
        with path.open("rb") as file:
            pending = file.read(KEY)
            for number, bucket in enumerate(self._buckets):
                wanted, there = set(bucket), []
                while pending and pending[0] == number:
                    key = int.from_bytes(pending, "big")
                    if key in wanted:
                        there.append(key)
                    pending = file.read(KEY)
                found.extend(there)
        return found

    def holders(self, rows: Rows, wanted: frozenset[int]) -> Iterator[tuple[int, int]]:
        """Row and column of each key that is wanted."""
        found = [
            (row, index)
            for index, label in self._labels.items()
            for row, key in enumerate(hashes(label, rows.column(index)))
            if key in wanted
        ]
        yield from sorted(found)


def keys_of(
    path: Path,
    dialect: Dialect,
    labels: Sequence[str],
    ranges: Iterable[tuple[int, int]],
    out: Path,
) -> int:
    """Write the file of keys of the records in `ranges` (first and last inclusive); gives their count.

    Raises NoSpace, OSError.
    """
    reading, chosen = FileReading(path, dialect), Chosen(ranges)
    keys: set[int] = set()
    for blocks in reading.blocks():
        for block in blocks:
            rows = _rows(reading, block)
            if rows is not None:
                keys.update(_keys(reading, rows, labels, chosen))
    keys.discard(0)
    with disk_errors(out):
        out.write_bytes(b"".join(key.to_bytes(KEY, "big") for key in sorted(keys)))
    return len(keys)


def _rows(reading: FileReading, block: Proven | Batch) -> Rows | None:
    if isinstance(block, Proven):
        return block
    width = len(reading.header.fields) if reading.header else 0
    records = list(readable(block.records, width))
    return HandRead(records) if records else None


def _keys(reading: FileReading, rows: Rows, labels: Sequence[str], chosen: Chosen) -> Iterator[int]:
    places = positions(reading.header) if reading.header else {}
    taken = [row for row, number in enumerate(rows.numbers) if number in chosen]
    for label in labels:
        place = places.get(folded(label))
        if place is not None:
            cells = rows.column(place)
            yield from hashes(label, [cells[row] for row in taken])
