"""Records that came together, seen column by column: proven in one piece, or read by hand."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Protocol

from revsyncd.checks.proof import ESCAPE, Proof, records_of
from revsyncd.checks.structure import Record

_LONG = 240  # characters


class Rows(Protocol):
    """Readable records, each with as many cells as the header; the first one has row 0."""

    def __len__(self) -> int: ...

    @property
    def numbers(self) -> Sequence[int]:
        """The records' numbers."""

    @property
    def clean(self) -> str:
        """The records, joined by commas and ended by LF, if no cell needs quotes; else empty."""

    def record(self, row: int) -> Record:
        """One record with its place and its text."""

    def column(self, index: int) -> Sequence[str]:
        """A column's cells."""

    def may_hold(self, text: str) -> bool:
        """Whether `text`, without delimiter, quote or newline, may stand in some cell; False is certain."""

    def may_begin(self, text: str) -> bool:
        """Whether some cell may begin with such a `text`; False is certain."""

    @property
    def may_be_long(self) -> bool:
        """Whether some cell may have more than 240 characters; False is certain."""


class HandRead:
    """Records that came one by one; nothing is known of all of them at once."""

    clean = ""
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

    def column(self, index: int) -> Sequence[str]:
        """A column's cells."""
        return self._columns[index]

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
        self._edges = (delimiter, "\n") if proof.clean else ('"',)
        self._text = proof.clean or proof.raw

    def __len__(self) -> int:
        return self._proof.records

    @property
    def numbers(self) -> Sequence[int]:
        """The records' numbers."""
        return range(self._number, self._number + self._proof.records)

    @cached_property
    def clean(self) -> str:
        """The records, joined by commas and ended by LF, if no cell needs quotes; else empty."""
        if self._delimiter != ",":
            return ""
        text = (self._proof.clean or self._without_quotes()).replace("\r\n", "\n")
        records, width = self._proof.records, self._stride - 1
        as_counted = text.count("\n") == records and text.count(",") == records * (width - 1)
        return text if as_counted and ESCAPE not in text and "\r" not in text else ""

    def _without_quotes(self) -> str:
        """The text of records in which every cell is quoted; empty if quotes or CRs are in cells."""
        raw, cells = self._proof.raw, self._proof.records * (self._stride - 1)
        if raw.count('"') != 2 * cells or raw.count("\r") != raw.count('"\r\n'):
            return ""
        return raw.replace('"', "")

    def record(self, row: int) -> Record:
        """One record with its place and its text."""
        begin = row * self._stride
        fields = self._proof.cells[begin : begin + self._stride - 1]
        line = self._line + self._lines_before[row]
        return Record(self._number + row, line, self._texts[row], fields)

    def records(self) -> Iterable[Record]:
        """All of them, one by one."""
        return map(self.record, range(len(self)))

    def column(self, index: int) -> Sequence[str]:
        """A column's cells."""
        return self._proof.cells[index :: self._stride]

    def may_hold(self, text: str) -> bool:
        """See `Rows`."""
        return text[-1] in self._text and text in self._text

    def may_begin(self, text: str) -> bool:
        """See `Rows`."""
        return text[0] in self._text and (
            any(edge + text in self._text for edge in self._edges) or self._text.startswith(text)
        )

    @cached_property
    def may_be_long(self) -> bool:
        """See `Rows`."""
        text, at, first, last = self._text, 0, self._edges[0], self._edges[-1]
        while at + _LONG < len(text):
            # From one edge to the last that is near enough: a long cell leaves none.
            behind = text.rfind(first, at, at + _LONG)
            if behind < 0:
                behind = text.rfind(last, at, at + _LONG)
                if behind < 0:
                    return True
            at = behind + 1
        return False

    @cached_property
    def _texts(self) -> list[str]:
        return records_of(self._proof.raw)

    @cached_property
    def _lines_before(self) -> list[int]:
        """For each record, how many physical lines the earlier ones take."""
        return list(accumulate((text.count("\n") + 1 for text in self._texts), initial=0))
