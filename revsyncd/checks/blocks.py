"""Records that came together, seen column by column: proven in one piece, or read by hand."""

import re
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from itertools import accumulate
from typing import Protocol

from revsyncd.checks.proof import Proof, records_of
from revsyncd.checks.structure import Record

_LONG = 240  # characters


@cache
def _from_edge_to_edge(edge: str) -> re.Pattern[str]:
    """Goes on as long as the next edge is near; of several near ones it takes the last, so it is fast."""
    return re.compile(f"(?:.{{0,{_LONG}}}{re.escape(edge)})*+", re.DOTALL)


class Rows(Protocol):
    """Readable records, each with as many cells as the header; the first one has row 0."""

    def __len__(self) -> int: ...

    @property
    def numbers(self) -> Sequence[int]:
        """The records' numbers."""

    def record(self, row: int) -> Record:
        """One record with its place and its text."""

    def line(self, row: int, column: int) -> int:
        """The physical line on which a cell begins."""

    def column(self, index: int) -> Sequence[str]:
        """A column's cells."""

    def differing(self, index: int) -> Sequence[str]:
        """A column's cells; one of them if all are alike."""

    def may_hold(self, text: str) -> bool:
        """Whether `text`, without delimiter, quote or newline, may stand in some cell; False is certain."""

    def may_begin(self, text: str) -> bool:
        """Whether some cell may begin with such a `text`; False is certain."""

    @property
    def may_be_long(self) -> bool:
        """Whether some cell may have more than 240 characters; False is certain."""


class HandRead:
    """Records that came one by one; nothing is known of all of them at once."""

    may_be_long = True

    def __init__(self, records: Sequence[Record]) -> None:
        """Take records that are readable."""
        self._records = records
        self._columns = list(zip(*(record.fields for record in records), strict=True))

    def __len__(self) -> int:
        return len(self._records)

    @property
    def numbers(self) -> Sequence[int]:
        """The records' numbers."""
        return [record.number for record in self._records]

    def record(self, row: int) -> Record:
        """One record with its place and its text."""
        return self._records[row]

    def line(self, row: int, column: int) -> int:
        """The physical line on which a cell begins."""
        return self._records[row].line_of(column)

    def column(self, index: int) -> Sequence[str]:
        """A column's cells."""
        return self._columns[index]

    def differing(self, index: int) -> Sequence[str]:
        """A column's cells; one of them if all are alike."""
        return _differing(self._columns[index])

    def may_hold(self, text: str) -> bool:  # noqa: ARG002  (see Rows)
        """See `Rows`."""
        return True

    def may_begin(self, text: str) -> bool:  # noqa: ARG002  (see Rows)
        """See `Rows`."""
        return True


class Proven:
    """Records proven in one piece; `number` and `line` are the first one's."""

    def __init__(self, proof: Proof, delimiter: str, *, number: int, line: int) -> None:
        """Take what was proven."""
        self._proof = proof
        self._delimiter = delimiter
        self._number = number
        self._line = line
        self._stride = (len(proof.cells) + 1) // proof.records
        self._columns: dict[int, list[str]] = {}
        self._differing: dict[int, Sequence[str]] = {}

    def __len__(self) -> int:
        return self._proof.records

    @property
    def numbers(self) -> Sequence[int]:
        """The records' numbers."""
        return range(self._number, self._number + self._proof.records)

    def record(self, row: int) -> Record:
        """One record with its place and its text."""
        begin = row * self._stride
        fields = self._proof.cells[begin : begin + self._stride - 1]
        line = self._line + self._lines_before[row]
        return Record(self._number + row, line, self._texts[row], fields)

    def line(self, row: int, column: int) -> int:
        """The physical line on which a cell begins."""
        if self._proof.lines == self._proof.records:  # none has a newline in it
            return self._line + row
        if "\n" in self._texts[row]:
            return self.record(row).line_of(column)
        return self._line + self._lines_before[row]

    def records(self) -> Iterable[Record]:
        """All of them, one by one."""
        return map(self.record, range(len(self)))

    def column(self, index: int) -> Sequence[str]:
        """A column's cells."""
        if index not in self._columns:
            self._columns[index] = self._proof.cells[index :: self._stride]
        return self._columns[index]

    def differing(self, index: int) -> Sequence[str]:
        """A column's cells; one of them if all are alike."""
        if index not in self._differing:
            self._differing[index] = _differing(self.column(index))
        return self._differing[index]

    def may_hold(self, text: str) -> bool:
        """See `Rows`."""
        return text[-1] in self._proof.text and text in self._proof.text

    def may_begin(self, text: str) -> bool:
        """See `Rows`."""
        searched = self._proof.text
        return text[0] in searched and (
            self._proof.edge + text in searched or searched.startswith(text)
        )

    @cached_property
    def may_be_long(self) -> bool:
        """See `Rows`."""
        text = self._proof.text
        if self._proof.longest > _LONG:
            return True
        near = _from_edge_to_edge(self._proof.edge).match(text)
        return near is None or len(text) - near.end() > _LONG

    @cached_property
    def _texts(self) -> list[str]:
        return records_of(self._proof.raw)

    @cached_property
    def _lines_before(self) -> list[int]:
        """For each record, how many physical lines the earlier ones take."""
        return list(accumulate((text.count("\n") + 1 for text in self._texts), initial=0))


def _differing(cells: Sequence[str]) -> Sequence[str]:
    first = cells[0]  # few looks tell most columns of which the cells differ
    if cells[-1] == first == cells[len(cells) // 2] and cells.count(first) == len(cells):
        return cells[:1]
    return cells
