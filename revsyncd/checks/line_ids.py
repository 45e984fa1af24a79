"""Which record has which line id: 16 bytes a record on disk, asked when the tenant names lines in error.

Entry n - 1 belongs to record n: 8 bytes of BLAKE2b of its so_line_id, 8 of its inv_line_id, zeros for
none. Equal hashes only make candidates; `lookup` compares the cells themselves.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from shutil import copyfileobj
from struct import Struct
from typing import BinaryIO

from revsyncd.checks.contract import Dialect
from revsyncd.checks.header import folded, positions
from revsyncd.checks.reading import FileReading
from revsyncd.checks.structure import Record
from revsyncd.checks.writing import disk_errors

SO_LINE_ID = "so_line_id"
INV_LINE_ID = "inv_line_id"
COLUMNS = (SO_LINE_ID, INV_LINE_ID)

_NONE = bytes(8)
_ENTRY = Struct("8s8s")
_ENTRIES_AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True)
class Match:
    """A line id found in a file: by which column, in which record, on which line its cell begins."""

    id: str
    column: str
    record: int
    line: int


def digest(line_id: str) -> bytes:
    """The index's 8 bytes for an id; outer blanks do not count, and nothing is zeros."""
    text = line_id.strip()
    if not text:
        return _NONE
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


class IndexWriter:
    """Writes an index in record order; it appears under its name with `publish`. Raises NoSpace."""

    def __init__(self, path: Path) -> None:
        """Begin a temporary file beside `path`."""
        self._path = path
        self._temporary = path.with_name(path.name + ".tmp")
        self._written = 0
        with disk_errors(path):
            self._remove()  # what a killed process may have left
            self._file = self._temporary.open("xb")

    def add(self, numbers: Sequence[int], so: Sequence[str], inv: Sequence[str]) -> None:
        """Add a batch: record numbers in order, and for each its two ids, "" where there is none.

        Records that are passed over get zeros.
        """
        data = bytearray()
        for number, so_id, inv_id in zip(numbers, so, inv, strict=True):
            data += bytes(_ENTRY.size * (number - 1 - self._written))
            data += digest(so_id) + digest(inv_id)
            self._written = number
        with disk_errors(self._path):
            self._file.write(data)

    def append(self, records: int) -> None:
        """Add the index of what stands behind so many records, which another process has written."""
        with disk_errors(self._path), half_of(self._path).open("rb") as other:
            self._fill(records)
            copyfileobj(other, self._file)
            self._written += other.tell() // _ENTRY.size

    def publish(self, records: int) -> None:
        """Fill up to the count of the file's records and give the index its name."""
        with disk_errors(self._path):
            self._fill(records)
            self._file.close()
            self._temporary.replace(self._path)
            self._remove()

    def discard(self) -> None:
        """Delete what was written."""
        self._remove()
        with suppress(OSError):  # what could not be written is not wanted any more
            self._file.close()

    def _fill(self, records: int) -> None:
        self._file.write(bytes(_ENTRY.size * (records - self._written)))
        self._written = records

    def _remove(self) -> None:
        self._temporary.unlink(missing_ok=True)
        remove_half(self._path)


def half_of(path: Path) -> Path:
    """Where the second half of an index is written while another process writes the first."""
    return path.with_name(path.name + ".half")


def remove_half(path: Path) -> None:
    """Delete what there is of the second half of the index at `path`."""
    half = half_of(path)
    half.unlink(missing_ok=True)
    half.with_name(half.name + ".tmp").unlink(missing_ok=True)


def find(index: Path, column: str, ids: Iterable[str]) -> dict[str, list[int]]:
    """Id -> numbers of the records that may have it in `column` (see `COLUMNS`). Raises OSError."""
    wanted: dict[bytes, list[str]] = {}
    for line_id in ids:
        wanted.setdefault(digest(line_id), []).append(line_id)
    wanted.pop(_NONE, None)
    which = COLUMNS.index(column)
    found: dict[str, list[int]] = {}
    with index.open("rb") as file:
        for number, entry in enumerate(_entries(file), 1):
            for line_id in wanted.get(entry[which], ()):
                found.setdefault(line_id, []).append(number)
    return found


def _entries(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    while data := file.read(_ENTRY.size * _ENTRIES_AT_ONCE):
        yield from _ENTRY.iter_unpack(data[: len(data) // _ENTRY.size * _ENTRY.size])


def rebuild(path: Path, dialect: Dialect, index: Path, labels: Mapping[str, str]) -> None:
    """Write the index of a file anew; `labels` is column (see `COLUMNS`) -> label in the header.

    Raises NoSpace, OSError.
    """
    reading = FileReading(path, dialect)
    writer = IndexWriter(index)
    records = 0
    try:
        for batch in reading.batches():
            places = _places(reading, labels)
            whole = [r for r in batch.records if r.fault is None and r.fields]
            so, inv = ([_cell(r, places.get(column)) for r in whole] for column in COLUMNS)
            writer.add([r.number for r in whole], so, inv)
            records = batch.records[-1].number if batch.records else records
        writer.publish(records)
    except BaseException:
        writer.discard()
        raise


def lookup(
    path: Path,
    dialect: Dialect,
    index: Path,
    labels: Mapping[str, str],
    wanted: Mapping[str, Iterable[str]],
) -> list[Match]:
    """Where the wanted ids stand in a file, compared as text; columns and labels as for `rebuild`.

    The index is written anew if it is missing. In record order. Raises NoSpace, OSError.
    """
    if not index.exists():
        rebuild(path, dialect, index, labels)
    candidates: dict[int, list[tuple[str, str]]] = {}
    for column, ids in wanted.items():
        for line_id, numbers in find(index, column, ids).items():
            for number in numbers:
                candidates.setdefault(number, []).append((column, line_id))
    return list(_confirmed(FileReading(path, dialect), labels, candidates)) if candidates else []


def _confirmed(
    reading: FileReading, labels: Mapping[str, str], candidates: dict[int, list[tuple[str, str]]]
) -> Iterator[Match]:
    last = max(candidates)
    for record in reading.records():
        if record.number > last:
            return
        for column, line_id in candidates.get(record.number, ()):
            place = _places(reading, labels).get(column)
            if place is not None and _cell(record, place).strip() == line_id.strip():
                yield Match(line_id, column, record.number, record.line_of(place))


def _places(reading: FileReading, labels: Mapping[str, str]) -> dict[str, int]:
    if reading.header is None:
        return {}
    found = positions(reading.header)
    wanted = {column: folded(label) for column, label in labels.items() if folded(label)}
    return {column: found[key] for column, key in wanted.items() if key in found}


def _cell(record: Record, place: int | None) -> str:
    if place is None or record.fault is not None or place >= len(record.fields):
        return ""
    return record.fields[place]
