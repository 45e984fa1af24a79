"""Proving text well formed in a few steps over all of it, where a loop over its cells would take ten times as long.

Cut at its quotes, text stands outside and inside of quotes by turns. It is well formed if each piece
outside begins and ends with a delimiter or newline (an empty one is a doubled quote). Then what stands
inside and could be taken for structure is escaped, the quotes go, and one cut at the delimiters gives
every cell. `END` takes the place of each newline, so the field count of all records is proven by where
the ENDs stand. What can't be proven is left to `revsyncd.checks.structure`, record by record.

The text must not hold control characters: `END` and `ESCAPE` are two of them.
"""

from collections.abc import Iterator
from typing import NamedTuple

END = "\x01"
ESCAPE = "\x02"
_QUOTE = ESCAPE + "q"
_NEWLINE = ESCAPE + "n"
_RETURN = ESCAPE + "r"
_DELIMITER = ESCAPE + "d"


class Proof(NamedTuple):
    """Whole records from the begin of a text, all of the wanted width.

    `cells` are those of each record and an END, but for the last END; `lines` the physical lines.
    `text` is what was searched for cells: each of them has `edge` before and behind it, but the first
    and the last. In it a quote may be doubled, which is an edge too; no cell with a quote has more than
    `longest` characters.
    """

    raw: str
    cells: list[str]
    records: int
    lines: int
    text: str
    edge: str
    longest: int = 0


class Prover:
    """Proves text whose records have `width` cells."""

    def __init__(self, delimiter: str, width: int) -> None:
        """Prepare what depends on the dialect alone."""
        self._delimiter = delimiter
        self._width = width
        self._end = f"{delimiter}{END}{delimiter}"
        self._quoted_delimiter = f'"{delimiter}"'
        self._quoted_end = f'"{delimiter}"{END}"{delimiter}"'
        self._quoted: set[int] = set()  # columns that had quotes in their cells

    def prove(self, text: str) -> tuple[Proof | None, bool]:
        """The longest prefix of whole records that can be proven, and whether a fault stands behind it.

        Without a fault, more text may prove more.
        """
        whole = text[: text.rfind("\n") + 1]
        if '"' not in whole:
            return self._of_width(whole, (whole, 0), fault=False) if whole else (None, False)
        if whole.startswith('"') and (proof := self._all_quoted(whole)):
            return proof, False
        pieces = whole.split('"')
        fault = self._first_fault(pieces)
        kept = self._whole_records(pieces, fault)
        if not kept:
            return None, fault < len(pieces)
        used = sum(map(len, kept)) + len(kept) - 1
        return self._of_width(whole[:used], self._cleaned(kept), fault=fault < len(pieces))

    def _all_quoted(self, whole: str) -> Proof | None:
        """The shortcut for files that quote every cell: cut at each `","` and at each quoted line end.

        Some of these may belong to a cell. But a text can be read in one way only as cells between
        quotes in which every quote is doubled: if the cut gives such cells, it is the right one.
        """
        used = _behind_quoted_end(whole)
        if used * 2 < len(whole) or self._width == 1:
            return None
        raw = whole[:used]
        body = raw[1:].removesuffix("\n").removesuffix("\r").removesuffix('"')
        cut, records, cells = body, 1, [""]
        for line_end in ('"\r\n"', '"\n"') if "\r" in body else ('"\n"',):
            if not self._ends_stand_right(cells, records):
                lines_of_cut = cut.split(line_end)
                cut = self._quoted_end.join(lines_of_cut)
                records += len(lines_of_cut) - 1
                cells = cut.split(self._quoted_delimiter)
        if not self._ends_stand_right(cells, records):
            return None
        lines = records + (cut.count("\n") if "\n" in cut else 0)
        quotes = raw.count('"') - 2 * self._width * records
        if not quotes:
            return Proof(raw, cells, records, lines, raw, '"')
        if not self._undouble(cells, quotes):
            return None
        longest = max(
            len(cell) for place in self._quoted for cell in cells[place :: self._width + 1]
        )
        return Proof(raw, cells, records, lines, raw, '"', longest)

    def _undouble(self, cells: list[str], quotes: int) -> bool:
        """Make one of each doubled quote in the cells, which hold so many; False if one is not doubled.

        Quotes stand mostly in the columns in which they stood before: where these have all of them, no
        other needs a look.
        """
        stride = self._width + 1
        for places in (self._quoted, range(self._width)):
            counts = {place: "".join(cells[place::stride]).count('"') for place in places}
            if sum(counts.values()) == quotes:
                break
        for place in (place for place, count in counts.items() if count):
            self._quoted.add(place)
            column = cells[place::stride]
            if any('"' in cell.replace('""', "") for cell in column):
                return False
            cells[place::stride] = [cell.replace('""', '"') for cell in column]
        return True

    def _first_fault(self, pieces: list[str]) -> int:
        """The index of the first piece outside of quotes that is not as it must be; else their count."""
        if self._all_sound(pieces):
            return len(pieces)
        last = len(pieces) - 1
        for index in range(0, len(pieces), 2):
            piece = pieces[index]
            if not (index == 0 or not piece or self._begins_well(piece)):
                return index
            if not (index == last or not piece or self._ends_well(piece)):
                return index
        return len(pieces)

    def _all_sound(self, pieces: list[str]) -> bool:
        distinct = set(pieces[2:-1:2])  # few, where most cells are quoted
        distinct.discard("")
        if pieces[0]:
            distinct.add(self._delimiter + pieces[0])
        if len(pieces) % 2:
            distinct.add(pieces[-1])
        edges = {piece[0] for piece in distinct} | {piece[-1] for piece in distinct}
        if edges <= {self._delimiter, "\n"}:
            return True
        return all(map(self._begins_well, distinct)) and all(map(self._ends_well, distinct))

    def _whole_records(self, pieces: list[str], fault: int) -> list[str]:
        """The pieces up to the last newline, outside of quotes, that stands before the fault."""
        last = min(fault, (len(pieces) - 1) // 2 * 2)
        if last == fault and last and not self._begins_well(pieces[last]):
            last -= 2
        for index in range(last, -1, -2):
            newline = pieces[index].rfind("\n")
            if newline >= 0:
                return [*pieces[:index], pieces[index][: newline + 1]]
        return []

    def _begins_well(self, piece: str) -> bool:
        return piece.startswith((self._delimiter, "\n", "\r\n"))

    def _ends_well(self, piece: str) -> bool:
        return piece.endswith((self._delimiter, "\n"))

    def _cleaned(self, pieces: list[str]) -> tuple[str, int]:
        """The text without quotes, what they covered escaped, and how many newlines they covered."""
        inside, newlines = _replaced('"'.join(pieces[1::2]), "\n", _NEWLINE)
        inside = inside.replace(self._delimiter, _DELIMITER).replace("\r", _RETURN)
        if inside:
            pieces[1::2] = inside.split('"')
        doubled = pieces[2:-1:2]
        if "" in doubled:
            pieces[2:-1:2] = [piece or _QUOTE for piece in doubled]
        return "".join(pieces), newlines

    def _of_width(
        self, raw: str, cleaned: tuple[str, int], *, fault: bool
    ) -> tuple[Proof | None, bool]:
        """Cut clean text into cells and prove their count; records before a wrong one are kept."""
        clean, newlines = cleaned
        text, ends = _replaced(clean[:-1], "\n", self._end)
        records = ends + 1
        cells = text.split(self._delimiter)
        if not self._ends_stand_right(cells, records) or not self._drop_returns(clean, cells):
            wrong = next(self._wrong_records(clean), 0)
            good = sum(map(len, records_of(raw)[:wrong])) + wrong
            return (self.prove(raw[:good])[0] if wrong else None), True
        if ESCAPE in text:
            self._unescape(text, cells)
        return Proof(raw, cells, records, records + newlines, text, self._delimiter), fault

    def _ends_stand_right(self, cells: list[str], records: int) -> bool:
        stride = self._width + 1
        return (
            len(cells) == records * stride - 1
            and cells[self._width :: stride].count(END) == records - 1
        )

    def _drop_returns(self, clean: str, cells: list[str]) -> bool:
        """Take the CR of CRLF from each record's last cell; False if there is another CR somewhere.

        False as well for a blank line that passes for a record where a record is one cell.
        """
        last = cells[self._width - 1 :: self._width + 1]
        if "\r" in clean:
            returns = clean.count("\r")
            dropped = [cell.removesuffix("\r") for cell in last]
            if sum(map(len, last)) - sum(map(len, dropped)) != returns:
                return False
            cells[self._width - 1 :: self._width + 1] = last = dropped
        return self._width > 1 or "" not in last

    def _wrong_records(self, clean: str) -> Iterator[int]:
        """The indices of the records for which the proof fails."""
        delimiters = self._width - 1
        for index, line in enumerate(clean.split("\n")[:-1]):
            body = line.removesuffix("\r")
            if not body or "\r" in body or body.count(self._delimiter) != delimiters:
                yield index

    def _unescape(self, text: str, cells: list[str]) -> None:
        """Give the cells back what was escaped in them."""
        for place in self._escaped_columns(text):
            column = cells[place :: self._width + 1]
            cells[place :: self._width + 1] = [
                self._unescaped(cell) if ESCAPE in cell else cell for cell in column
            ]

    def _escaped_columns(self, text: str) -> set[int]:
        """Where in their records the cells stand in which something was escaped: mostly in few places."""
        found: set[int] = set()
        at = text.find(ESCAPE)
        while at >= 0:
            begin = text.rfind(END, 0, at) + 1
            # A delimiter stands before each record but the first: the END before it was cut off like a cell.
            found.add(text.count(self._delimiter, begin, at) - (begin > 0))
            behind = text.find(self._delimiter, at)
            at = text.find(ESCAPE, behind) if behind >= 0 else -1
        return found

    def _unescaped(self, cell: str) -> str:
        plain = cell.replace(_DELIMITER, self._delimiter).replace(_NEWLINE, "\n")
        return plain.replace(_RETURN, "\r").replace(_QUOTE, '"')


def _replaced(text: str, old: str, new: str) -> tuple[str, int]:
    """The text with `new` for each `old`, and how many there were: told by its length, without a count."""
    changed = text.replace(old, new)
    return changed, (len(changed) - len(text)) // (len(new) - len(old))


def _behind_quoted_end(text: str) -> int:
    """Where the last line that ends with a quote ends, 0 without one."""
    at = len(text)
    while (at := text.rfind("\n", 0, at)) >= 0:
        if text.endswith(('"', '"\r'), 0, at):
            return at + 1
    return 0


def records_of(raw: str) -> list[str]:
    """Proven text cut into its records, as they stand in the file but for the newline behind each."""
    pieces = raw.split('"')
    inside = '"'.join(pieces[1::2])
    if "\n" not in inside:
        return raw.removesuffix("\n").split("\n")
    pieces[1::2] = inside.replace("\n", ESCAPE).split('"')
    masked = '"'.join(pieces).removesuffix("\n").split("\n")
    return [record.replace(ESCAPE, "\n") for record in masked]
