"""Keys that must be unique in the file, at 8 bytes a record and column.

While the file passes, only hashes are kept. Hashes met twice are candidates; whether their texts are
equal is settled by reading the file once more, and a file without candidates is not read again.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from struct import Struct
from typing import BinaryIO, NamedTuple

from revsyncd.checks.blocks import Rows
from revsyncd.checks.structure import Record

CANDIDATES_AT_ONCE = 150_000
"""How many candidates one further reading settles: bounds memory where a whole file is there twice."""

_BUCKETS = 256
_LONGEST_KEPT = 200
_COUNT = Struct(">Q")


class Repeat(NamedTuple):
    """The later of two cells with the same key: where it and the first one stand."""

    record: int
    line: int
    column: int
    value: str
    first_record: int
    first_line: int


class Keys:
    """The hashes of one column's cells."""

    def __init__(self) -> None:
        """Begin empty. Buckets keep what must be sorted at once small."""
        self._buckets = [array("q") for _ in range(_BUCKETS)]
        self._into = [bucket.append for bucket in self._buckets]

    def add(self, values: Iterable[str]) -> None:
        """Remember the cells of a batch; an empty cell is no key."""
        into = self._into
        for hashed in map(hash, filter(None, values)):
            into[hashed & 0xFF](hashed)

    def send(self, pipe: BinaryIO) -> None:
        """Give the hashes to a process with the same seed of hashes, and let go of them on the way."""
        for bucket in self._buckets:
            pipe.write(_COUNT.pack(len(bucket)))
            bucket.tofile(pipe)
            del bucket[:]

    def receive(self, pipe: BinaryIO) -> None:
        """Add what another one has sent. Raises EOFError where the other one has ended too early."""
        for bucket in self._buckets:
            (count,) = _COUNT.unpack(_all_of(pipe, _COUNT.size))
            bucket.frombytes(_all_of(pipe, count * bucket.itemsize))

    def candidates(self) -> Sequence[int]:
        """Every hash that came more than once."""
        found = array("q")
        for bucket in self._buckets:
            if len(set(bucket)) < len(bucket):
                found.extend(_repeated(bucket))
        return found


def _all_of(pipe: BinaryIO, size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _repeated(bucket: Sequence[int]) -> Iterator[int]:
    counts = Counter(bucket)
    return (hashed for hashed, count in counts.items() if count > 1)


def batches_of(candidates: dict[int, Sequence[int]]) -> Iterator[dict[int, frozenset[int]]]:
    """Column -> hashes, cut so that one reading can keep the texts of all of them."""
    pairs = ((column, hashed) for column, hashes in candidates.items() for hashed in hashes)
    while batch := list(islice(pairs, CANDIDATES_AT_ONCE)):
        columns = dict.fromkeys(column for column, _ in batch)
        yield {c: frozenset(hashed for column, hashed in batch if column == c) for c in columns}


def repeats(blocks: Iterable[Rows], wanted: dict[int, frozenset[int]]) -> Iterator[Repeat]:
    """Every cell whose text, of the hashes wanted in its column, stood in an earlier record; readable ones only."""
    first: dict[tuple[int, str | bytes], tuple[int, int]] = {}
    for rows in blocks:
        for row, column in sorted(_holders(rows, wanted)):
            if value := rows.column(column)[row]:
                place = (rows.numbers[row], rows.line(row, column))
                earlier = first.setdefault((column, _kept(value)), place)
                if earlier != place:
                    yield Repeat(*place, column, value, *earlier)


def _holders(rows: Rows, wanted: dict[int, frozenset[int]]) -> Iterator[tuple[int, int]]:
    for column, hashes in wanted.items():
        for row, hashed in enumerate(map(hash, rows.column(column))):
            if hashed in hashes:
                yield row, column


def _kept(value: str) -> str | bytes:
    if len(value) <= _LONGEST_KEPT:
        return value
    return sha256(value.encode("utf-8", "surrogatepass")).digest()


def readable(records: Iterable[Record], width: int) -> Iterator[Record]:
    """The records that the checks by column saw."""
    return (r for r in records if r.fault is None and len(r.fields) == width)
