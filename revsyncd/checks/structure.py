"""Text -> records: numbered, placed on their physical lines, each with its cells or with what is wrong.

Lines end with LF or CRLF. A line without quotes is one record, cut at the delimiters. Where quotes
stand, the record is taken in one step when their places prove it well formed, else it is read cell
by cell (`revsyncd.checks.quoting`). What comes out does not depend on how the text was cut into pieces.
"""

from typing import NamedTuple

from revsyncd.checks.quoting import (
    Fault,
    FaultKind,
    IncompleteError,
    Reading,
    Window,
    read_by_hand,
    split_well_formed,
)

MAX_RECORD = 1 << 20
"""Characters: how long a record may be, and so how far an open quote is followed."""


class Record(NamedTuple):
    """One record; the header is number 0.

    `text` is the record as it stands in the file (a CR may end it) and `end` the newline behind it,
    empty where the file ends without one. With a `fault`, `fields` are not to be trusted. A line
    longer than `MAX_RECORD` comes in pieces of one number, of which only the first has the fault.
    """

    number: int
    line: int
    text: str
    fields: list[str]
    fault: Fault | None = None
    end: str = "\n"

    def line_of(self, column: int) -> int:
        """The physical line on which the cell with this index begins."""
        return self.line + sum(cell.count("\n") for cell in self.fields[:column])


class RecordReader:
    """Cuts text, fed in pieces of any size, into records; keeps at most the text of one record."""

    def __init__(self, delimiter: str, *, line: int = 1, limit: int = MAX_RECORD) -> None:
        """Begin on `line`; the first record is the header."""
        self._delimiter = delimiter
        self._limit = limit
        self._line = line
        self._number = -1
        self._rest = ""
        self._inside_overlong = False
        self._final = False
        self.ended = True  # whether the last line has a newline; known after the last `feed`

    @property
    def lines(self) -> int:
        """Physical lines seen so far."""
        return self._line - 1

    @property
    def waits(self) -> bool:
        """Whether a record has begun that more text must complete."""
        return bool(self._rest) or self._inside_overlong

    @property
    def next_place(self) -> tuple[int, int]:
        """The number and the line of the next record, as long as none `waits`."""
        return self._number + 1, self._line

    def pass_over(self, records: int, lines: int) -> None:
        """Count what was read in another way; nothing may wait."""
        self._number += records
        self._line += lines

    def feed(self, text: str, *, final: bool = False) -> list[Record]:
        """The records that are complete by now; the call with `final` gives what is left."""
        lines = (self._rest + text).split("\n")
        tail = lines.pop()
        self._final = final
        if final and tail:
            lines.append(tail)
            tail = ""
            self.ended = False
        records: list[Record] = []
        waiting = self._take(lines, tail, records)
        self._keep(lines, waiting, tail, records)
        return records

    def _take(self, lines: list[str], tail: str, records: list[Record]) -> int:
        """Append what is complete; the index of the first line that has to wait."""
        at = 0
        while at < len(lines):
            line = lines[at]
            if self._inside_overlong or len(line) > self._limit:
                self._overlong(line, self._end(at, lines), records)
                self._inside_overlong = False
                taken = 1
            elif '"' in line:
                taken = self._quoted(lines, at, tail, records)
            else:
                self._plain(line, self._end(at, lines), records)
                taken = 1
            if not taken:
                break
            at += taken
            self._line += taken
        return at

    def _keep(self, lines: list[str], waiting: int, tail: str, records: list[Record]) -> None:
        """Keep what waits for more text; a line that is too long already goes out in pieces."""
        no_line_waits = waiting == len(lines)
        if tail and no_line_waits and (self._inside_overlong or len(tail) > self._limit):
            self._overlong(tail, "", records)
            self._inside_overlong = True
            tail = ""
        self._rest = "\n".join([*lines[waiting:], tail])

    def _end(self, at: int, lines: list[str]) -> str:
        return "\n" if self.ended or at + 1 < len(lines) else ""

    def _take_number(self) -> int:
        self._number += 1
        return self._number

    def _plain(self, line: str, end: str, records: list[Record]) -> None:
        body = line.removesuffix("\r")
        if not body:  # a blank line is not a record
            return
        fields = body.split(self._delimiter)
        fault = _lone_return(self._line, fields) if "\r" in body else None
        records.append(Record(self._take_number(), self._line, line, fields, fault, end))

    def _overlong(self, piece: str, end: str, records: list[Record]) -> None:
        if self._inside_overlong:
            records.append(Record(self._number, self._line, piece, [], None, end))
            return
        fault = Fault(FaultKind.OVERLONG, self._line, 0, "")
        records.append(Record(self._take_number(), self._line, piece, [], fault, end))

    def _quoted(self, lines: list[str], at: int, tail: str, records: list[Record]) -> int:
        """Append the record at `lines[at]`; the number of lines it takes, 0 when it has to wait."""
        reading = self._in_one_step(lines, at)
        if reading is None:
            window = Window(lines, at, tail, limit=self._limit, final=self._final)
            try:
                reading = read_by_hand(window, self._delimiter, self._line)
            except IncompleteError:
                return 0
        text, fields, fault = reading
        taken = text.count("\n") + 1
        end = self._end(at + taken - 1, lines)
        records.append(Record(self._take_number(), self._line, text, fields, fault, end))
        return taken

    def _in_one_step(self, lines: list[str], at: int) -> Reading | None:
        count = self._lines_to_even_quotes(lines, at)
        if not count:
            return None
        text = lines[at] if count == 1 else "\n".join(lines[at : at + count])
        fields = split_well_formed(text, self._delimiter)
        return None if fields is None else Reading(text, fields, None)

    def _lines_to_even_quotes(self, lines: list[str], at: int) -> int:
        quotes = length = 0
        for index in range(at, len(lines)):
            length += len(lines[index]) + 1
            quotes += lines[index].count('"')
            if length > self._limit + 1:
                return 0
            if quotes % 2 == 0:
                return index - at + 1
        return 0


def _lone_return(line: int, fields: list[str]) -> Fault:
    column = next(index for index, cell in enumerate(fields) if "\r" in cell)
    return Fault(FaultKind.CARRIAGE_RETURN, line, column, fields[column])
