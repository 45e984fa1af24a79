"""Single records of a dropped file, byte for byte: what rejects.csv and remaining.csv are made of."""

from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path

from revsyncd.checks.contract import Dialect
from revsyncd.checks.reading import FileReading
from revsyncd.checks.structure import Record
from revsyncd.checks.writing import synced


def select(path: Path, dialect: Dialect, ranges: Iterable[tuple[int, int]], out_path: Path) -> int:
    """Write the original header and the records in `ranges` (first and last inclusive); gives their count.

    Byte order mark, `sep=` line, encoding, delimiter and line ends stay. `out_path` must not
    exist; it is on disk afterwards, and a failure leaves none. Raises NoSpace, OSError.
    """
    reading = FileReading(path, dialect)
    chosen = Chosen(ranges)
    begun = False
    count = last = 0
    with synced(out_path) as out:
        for batch in reading.batches():
            if not begun and reading.header is not None:
                out.write(reading.beginning)
                begun = True
            picked = [record for record in batch.records if record.number in chosen]
            out.write(_bytes(reading, picked))
            count += len({record.number for record in picked} - {last})
            last = picked[-1].number if picked else last
        if last and batch.records and batch.records[-1].number == last:
            out.write(reading.source.odd_byte)
    return count


def locate(path: Path, dialect: Dialect, records: Iterable[int]) -> dict[int, int]:
    """Record number -> the physical line on which it begins. Raises OSError."""
    wanted = set(records)
    found: dict[int, int] = {}
    for record in FileReading(path, dialect).records():
        if record.number in wanted:
            found.setdefault(record.number, record.line)
    return found


class Chosen:
    """Ranges of records, asked one number at a time."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Take ranges in any order, first and last inclusive."""
        ordered = sorted(ranges)
        self._firsts = [first for first, _ in ordered]
        self._lasts = [last for _, last in ordered]

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]


def _bytes(reading: FileReading, records: list[Record]) -> bytes:
    return reading.source.encode("".join(record.text + record.end for record in records))
