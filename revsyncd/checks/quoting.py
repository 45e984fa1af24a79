"""Records in which quotes stand: proven well formed in one step, or read cell by cell with the fault named.

After a fault reading goes on as a person would: a stray quote is an ordinary character, text behind a
closing quote belongs to its cell, and a quote that nothing closes ends with its own line. So one bad
cell costs one record, never the ones behind it.
"""

from enum import StrEnum
from typing import NamedTuple


class FaultKind(StrEnum):
    """What keeps a record from being read."""

    BARE_QUOTE = "bare_quote"
    AFTER_QUOTE = "after_quote"
    UNTERMINATED = "unterminated"
    CARRIAGE_RETURN = "carriage_return"
    OVERLONG = "overlong"


class Fault(NamedTuple):
    """The first fault of a record: the line and index of its cell, and the cell as it stands."""

    kind: FaultKind
    line: int
    column: int
    value: str


class Reading(NamedTuple):
    """A record read by hand: the text it takes, without its last newline, its cells, its fault."""

    text: str
    fields: list[str]
    fault: Fault | None


class IncompleteError(Exception):
    """More of the file must be seen before this record can be judged."""


def split_well_formed(text: str, delimiter: str) -> list[str] | None:
    """The cells of a record whose quotes all stand where they should, else None.

    `text` has an even count of quotes and ends where that count is first even at a line's end, so
    its odd pieces between quotes are inside of quotes. Each piece outside must then begin and end
    with a delimiter; an empty one between two quotes is a doubled quote.
    """
    pieces = text.removesuffix("\r").split('"')
    if "\r" in text and any("\r" in piece for piece in pieces[::2]):
        return None
    fields = pieces[0].split(delimiter)
    if fields.pop():
        return None
    cell: list[str] = []
    last = len(pieces) - 1
    for i in range(1, last, 2):
        cell.append(pieces[i])
        outside = pieces[i + 1]
        if not outside and i + 1 < last:
            cell.append('"')
            continue
        after, *between = outside.split(delimiter)
        if after or (i + 1 < last and between.pop()):
            return None
        fields.append("".join(cell))
        fields += between
        cell = []
    return fields


class Window:
    """The lines that may belong to one record, joined as far as they are needed."""

    def __init__(self, lines: list[str], at: int, tail: str, *, limit: int, final: bool) -> None:
        """Begin with `lines[at]`; take at most `limit` characters, and `final` when no more will come."""
        self.text = lines[at]
        self._lines = lines
        self._next = at + 1
        self._tail = tail
        self._limit = limit
        self._final = final
        self._line = (0, -1)  # the stretch of the line last asked for

    def line_end(self, position: int) -> int:
        """Where the line at `position` ends: at its newline, or at the end of the text."""
        begin, end = self._line
        if not begin <= position <= end:
            newline = self.text.find("\n", position)
            end = len(self.text) if newline < 0 else newline
            self._line = (position, end)
        return end

    def closing_quote(self, position: int) -> int:
        """The first quote from `position` that is not doubled, -1 when the limit or the file ends before.

        Raises IncompleteError when more of the file must be read to know.
        """
        while True:
            at = self.text.find('"', position)
            if at < 0:
                position = len(self.text)
                if not self._grow():
                    return -1
            elif self.text.startswith('"', at + 1):
                position = at + 2
            else:
                return at

    def _grow(self) -> bool:
        more: list[str] = []
        room = self._limit - len(self.text)
        wanted = len(
            self.text
        )  # doubling: a cell of many short lines is not joined again and again
        while self._next < len(self._lines) and wanted > 0:
            line = self._lines[self._next]
            if len(line) >= room:
                break
            more.append(line)
            self._next += 1
            room -= len(line) + 1
            wanted -= len(line) + 1
        if not more and self._may_come(room):
            raise IncompleteError
        self.text = "\n".join([self.text, *more])
        return bool(more)

    def _may_come(self, room: int) -> bool:
        return self._next == len(self._lines) and not self._final and len(self._tail) < room


def read_by_hand(window: Window, delimiter: str, line: int) -> Reading:
    """Read the record at the window's begin, which stands on `line`. Raises IncompleteError."""
    fields: list[str] = []
    fault: Fault | None = None
    position = 0
    while True:
        quoted = window.text.startswith('"', position)
        cell = (_quoted_cell if quoted else _plain_cell)(window, position, delimiter)
        if cell.kind and not fault:
            at = line + window.text.count("\n", 0, position)
            value = window.text[position : cell.end].removesuffix("\r")
            fault = Fault(cell.kind, at, len(fields), value)
        fields.append(cell.value)
        if not window.text.startswith(delimiter, cell.end):
            return Reading(window.text[: cell.end], fields, fault)
        position = cell.end + 1


class _Cell(NamedTuple):
    value: str
    end: int  # where the delimiter or the newline behind it stands, or the text ends
    kind: FaultKind | None = None


def _plain_cell(window: Window, position: int, delimiter: str) -> _Cell:
    end = _next_end(window, position, delimiter)
    value = window.text[position:end]
    if end == window.line_end(position):
        value = value.removesuffix("\r")
    if '"' in value:
        return _Cell(value, end, FaultKind.BARE_QUOTE)
    return _Cell(value, end, FaultKind.CARRIAGE_RETURN if "\r" in value else None)


def _quoted_cell(window: Window, position: int, delimiter: str) -> _Cell:
    close = window.closing_quote(position + 1)
    if close < 0:
        end = window.line_end(position)
        return _Cell(window.text[position:end], end, FaultKind.UNTERMINATED)
    end = _next_end(window, close + 1, delimiter)
    if window.text[close + 1 : end] in ("", "\r") and _ends_well(window, close + 1, end):
        return _Cell(window.text[position + 1 : close].replace('""', '"'), end)
    if _opens_a_later_cell(window.text, position, close, delimiter):
        end = window.line_end(position)
    return _Cell(window.text[position:end], end, FaultKind.AFTER_QUOTE)


def _ends_well(window: Window, behind: int, end: int) -> bool:
    # A carriage return behind a closing quote belongs to the line's end or is out of place.
    return behind == end or end == window.line_end(behind)


def _next_end(window: Window, position: int, delimiter: str) -> int:
    line_end = window.line_end(position)
    end = window.text.find(delimiter, position, line_end)
    return line_end if end < 0 else end


def _opens_a_later_cell(text: str, position: int, close: int, delimiter: str) -> bool:
    """Whether the quote taken for the closing one plainly begins a cell on a later line.

    Then the first quote was never closed, and what stands between are whole records to be read.
    """
    if "\n" not in text[position:close]:
        return False
    run = close
    while text[run - 1] == '"' and run - 1 > position:
        run -= 1
    return run - 1 > position and text[run - 1] in (delimiter, "\n")
