"""Records that can't be read, and characters that must not be in a file: who is left for the checks by column."""

import re
from collections.abc import Sequence

from revsyncd.checks.blocks import Rows
from revsyncd.checks.header import Header
from revsyncd.checks.judges import Finding
from revsyncd.checks.problems import Problems
from revsyncd.checks.quoting import FaultKind
from revsyncd.checks.reading import Batch
from revsyncd.checks.source import Source
from revsyncd.checks.structure import MAX_RECORD, Record

_UNDECODABLE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_CUT_CHARACTER = 3  # bytes that the beginning of a character can have, the rest being cut off
_MORE = f"{MAX_RECORD >> 20} MiB"

_FAULTS = {
    FaultKind.BARE_QUOTE: (
        "record.quote",
        "A quote stands inside a cell that does not begin with one. Put the cell between quotes and double those in it.",
    ),
    FaultKind.AFTER_QUOTE: (
        "record.quote",
        "Text follows the closing quote of this cell, or its quote is never closed. Double the quotes inside the cell.",
    ),
    FaultKind.UNTERMINATED: (
        "file.unterminated_quote",
        f"A quote opens this cell and none closes it before the file ends or {_MORE} have passed.",
    ),
    FaultKind.CARRIAGE_RETURN: (
        "file.control",
        "A carriage return stands here without a newline behind it. Lines must end with CRLF or LF.",
    ),
    FaultKind.OVERLONG: (
        "record.fields",
        f"This line is longer than {_MORE}; a record must be shorter.",
    ),
}


class RecordFaults:
    """Judges records as wholes; what it lets through has as many trustworthy cells as the header."""

    def __init__(self, problems: Problems, source: Source, *, cut_is_told: bool) -> None:
        """`cut_is_told`: a missing final newline is reported, so its record needs no second report."""
        self._problems = problems
        self._source = source
        self._cut_is_told = cut_is_told
        self.damaged: set[tuple[int, int]] = (
            set()
        )  # record and column of bad characters, of one batch
        self.unreadable = 0
        self.records = 0
        self.last_is_short = False

    def readable(self, batch: Batch, header: Header | None) -> list[Record]:
        """The batch's readable records; the others are reported. Without a header only quotes are judged."""
        self.damaged.clear()
        if batch.suspect:
            for record in batch.records:
                self.report_characters(record, header)
        good = [record for record in batch.records if self._is_readable(record, header)]
        if batch.records:
            last = batch.records[-1]
            self.records = last.number
            self.last_is_short = _is_short(last, header)
        return good

    def passed(self, rows: Rows) -> None:
        """Note records that were proven: none of them has a fault."""
        self.damaged.clear()
        self.records = rows.numbers[-1]
        self.last_is_short = False

    def join(self, records: int, unreadable: int, *, last_is_short: bool) -> None:
        """Add what stands behind, as another one counted it."""
        self.records += records
        self.unreadable += unreadable
        self.last_is_short = last_is_short if records else self.last_is_short

    def report_fault(self, record: Record, header: Header | None) -> None:
        """Report the fault of a record or header, which is an error whatever the levels say."""
        if record.fault is None:
            return
        code, message = _FAULTS[record.fault.kind]
        self._problems.file_refused |= (
            record.number == 0
        )  # without a header no record means anything
        self._problems.add(
            code,
            message,
            line=record.fault.line,
            record=record.number,
            column=header.column(record.fault.column) if header else "",
            value=record.fault.value,
            order=record.fault.column,
            insist=True,
        )

    def report_characters(self, record: Record, header: Header | None) -> None:
        """Report each cell with an undecodable byte or a control character."""
        cells, line = _cells(record), record.line
        for index, cell in enumerate(cells):
            column = header.column(index) if header and record.fault is None else ""
            is_cut = self._cut_is_told and not record.end and index == len(cells) - 1
            kept = cell[:-_CUT_CHARACTER] if is_cut else cell
            if bad := _UNDECODABLE.search(kept):
                found = Finding("file.encoding", self._undecodable(bad[0]))
            elif bad := _CONTROL.search(cell):
                found = Finding("file.control", _control(bad[0]))
            else:
                found = None
            if found is not None:
                self._report_cell(found, line, record.number, (index, column, cell))
            line += cell.count("\n")

    def _report_cell(
        self, found: Finding, line: int, number: int, cell: tuple[int, str, str]
    ) -> None:
        """`cell` is its place in the record, its column and its text."""
        index, column, value = cell
        if self._problems.level(found.code) == "error":  # a lesser word must not hide an error
            self.damaged.add((number, index))
        self._problems.add(
            found.code,
            found.message,
            line=line,
            record=number,
            column=column,
            value=value,
            order=index,
        )

    def _undecodable(self, character: str) -> str:
        encoding = self._source.encoding.name.removesuffix("-sig")
        if encoding.startswith("utf-16"):
            return "Half a character stands here, which is not UTF-16. Export the file again."
        return (
            f"The byte 0x{ord(character) & 0xFF:02X} is not {encoding} here."
            f" Save the file as {encoding}, or set the folder's encoding to what the file really has."
        )

    def _is_readable(self, record: Record, header: Header | None) -> bool:
        if record.fault is None and header is not None and len(record.fields) == header.width:
            return True
        if record.fault is not None:
            self.report_fault(record, header)
        elif record.fields and header is not None:
            self._report_fields(record, header.width)
        self.unreadable += bool(record.fields or record.fault)  # the pieces of one line count once
        return False

    def _report_fields(self, record: Record, width: int) -> None:
        if self._cut_is_told and not record.end and len(record.fields) < width:
            return
        few = "few" if len(record.fields) < width else "many"
        message = (
            f"This record has {len(record.fields)} fields, the header has {width}: too {few}."
            " Cells with the delimiter or a newline in them must stand between quotes."
        )
        self._problems.add(
            "record.fields",
            message,
            line=record.line,
            record=record.number,
            value=record.text.rstrip("\r"),
        )


def _cells(record: Record) -> Sequence[str]:
    return record.fields if record.fault is None and record.fields else (record.text,)


def _is_short(record: Record, header: Header | None) -> bool:
    return header is not None and record.fault is None and 0 < len(record.fields) < header.width


def _control(character: str) -> str:
    hint = ""
    if ord(character) >= 0x80:  # noqa: PLR2004  (C1: what Windows-1252 becomes when read as Latin-1)
        hint = " If the file comes from Windows, its encoding may be windows-1252."
    return f"The control character U+{ord(character):04X} stands in this cell. Remove it in the source.{hint}"
