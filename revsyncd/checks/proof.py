"""Proving text well formed in a few steps over all of it, where a loop over its cells would take ten times as long.

Cut at its quotes, text stands outside and inside of quotes by turns. It is well formed if each piece
outside begins and ends with a delimiter or newline (an empty one is a doubled quote). Then what stands
inside and could be taken for structure is escaped, the quotes go, and one cut at the delimiters gives
every cell. `END` takes the place of each newline, so the field count of all records is proven by where
the ENDs stand. What can't be proven is left to `revsyncd.checks.structure`, record by record.

The text must not hold control characters: `END` and `ESCAPE` are two of them.
"""

import re
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

    `cells` are those of each record and an END, but for the last END. `clean` is the same as text:
    no quotes, what they covered escaped; empty where the records could be proven without it.
    """

    raw: str
    cells: list[str]
    records: int
    clean: str


class Prover:
    """Proves text whose records have `width` cells."""

    def __init__(self, delimiter: str, width: int) -> None:
        """Prepare what depends on the dialect alone."""
        self._delimiter = delimiter
        self._width = width
        self._end = f"{delimiter}{END}{delimiter}"
        self._quoted_delimiter = f'"{delimiter}"'
        self._rest_of_cell = re.compile(f"[^{re.escape(delimiter)}\n]*")

    def prove(self, text: str) -> tuple[Proof | None, bool]:
        """The longest prefix of whole records that can be proven, and whether a fault stands behind it.

        Without a fault, more text may prove more.
        """
        whole = text[: text.rfind("\n") + 1]
        if '"' not in whole:
            return self._of_width(whole, whole, fault=False) if whole else (None, False)
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
        used = max(_behind(whole, '"\n'), _behind(whole, '"\r\n'))
        if used * 2 < len(whole) or self._width == 1:
            return None
        raw = whole[:used]
        body = raw[1:].removesuffix("\n").removesuffix("\r").removesuffix('"')
        cells = self._parted(body.split(self._quoted_delimiter))
        records = (len(cells) + 1) // (self._width + 1)
        two_a_cell = raw.count('"') == 2 * self._width * records
        if not cells or not (two_a_cell or _undoubled(cells)):
            return None
        return Proof(raw, cells, records, "")

    def _parted(self, cut: list[str]) -> list[str]:
        """Part each record's last cell from the next one's first; nothing if some are not so joined."""
        cells = cut[:1]
        begin = 1
        for at in range(self._width - 1, len(cut) - 1, self._width - 1):
            last, line_end, first = cut[at].partition('"\r\n"')
            if not line_end:
                last, line_end, first = cut[at].partition('"\n"')
                if not line_end:
                    return []
            cells += cut[begin:at]
            cells += (last, END, first)
            begin = at + 1
        cells += cut[begin:]
        return cells if self._ends_stand_right(cells, (len(cells) + 1) // (self._width + 1)) else []

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

    def _cleaned(self, pieces: list[str]) -> str:
        """The text without quotes, what they covered escaped."""
        inside = '"'.join(pieces[1::2])
        for covered, escape in (
            (self._delimiter, _DELIMITER),
            ("\n", _NEWLINE),
            ("\r", _RETURN),
        ):
            inside = inside.replace(covered, escape)
        if inside:
            pieces[1::2] = inside.split('"')
        doubled = pieces[2:-1:2]
        if "" in doubled:
            pieces[2:-1:2] = [piece or _QUOTE for piece in doubled]
        return "".join(pieces)

    def _of_width(self, raw: str, clean: str, *, fault: bool) -> tuple[Proof | None, bool]:
        """Cut clean text into cells and prove their count; records before a wrong one are kept."""
        records = clean.count("\n")
        cells = clean[:-1].replace("\n", self._end).split(self._delimiter)
        if not self._ends_stand_right(cells, records) or not self._drop_returns(clean, cells):
            wrong = next(self._wrong_records(clean), 0)
            good = sum(map(len, records_of(raw)[:wrong])) + wrong
            return (self.prove(raw[:good])[0] if wrong else None), True
        if ESCAPE in clean:
            self._unescape(clean, cells)
        return Proof(raw, cells, records, clean), fault

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
        returns = clean.count("\r")
        if returns:
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

    def _unescape(self, clean: str, cells: list[str]) -> None:
        """Give the cells back what was escaped in them."""
        begin = record = line = 0
        while (at := clean.find(ESCAPE, begin)) >= 0:
            newlines = clean.count("\n", line, at)
            if newlines:
                record += newlines
                line = clean.rfind("\n", line, at) + 1
            index = record * (self._width + 1) + clean.count(self._delimiter, line, at)
            cells[index] = (
                cells[index]
                .replace(_DELIMITER, self._delimiter)
                .replace(_NEWLINE, "\n")
                .replace(_RETURN, "\r")
                .replace(_QUOTE, '"')
            )
            begin = self._end_of_cell(clean, at)

    def _end_of_cell(self, clean: str, at: int) -> int:
        found = self._rest_of_cell.match(clean, at)
        return found.end() if found else at


def _undoubled(cells: list[str]) -> bool:
    """Make one quote of each doubled one; False if there are others."""
    text = ESCAPE.join(cells)
    begin = index = 0
    while (at := text.find('"', begin)) >= 0:
        index += text.count(ESCAPE, begin, at)
        if '"' in cells[index].replace('""', ""):
            return False
        cells[index] = cells[index].replace('""', '"')
        begin = text.find(ESCAPE, at)
        if begin < 0:
            break
    return True


def _behind(text: str, wanted: str) -> int:
    """Where the last `wanted` in the text ends, 0 without one."""
    at = text.rfind(wanted)
    return at + len(wanted) if at >= 0 else 0


def records_of(raw: str) -> list[str]:
    """Proven text cut into its records, as they stand in the file but for the newline behind each."""
    if '"' not in raw:
        return raw.removesuffix("\n").split("\n")
    pieces = raw.split('"')
    pieces[1::2] = [piece.replace("\n", ESCAPE) for piece in pieces[1::2]]
    masked = '"'.join(pieces).removesuffix("\n").split("\n")
    return [record.replace(ESCAPE, "\n") for record in masked]
