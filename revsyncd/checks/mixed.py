"""Text -> records in blocks: most are proven in one piece, those at a fault are read one by one.

The reader of single records (`revsyncd.checks.structure`) has the last word: it takes what can't be
proven, counts numbers and lines, and from a fault on as much as it takes to be behind it.
"""

import re
from collections.abc import Iterable
from typing import Self

from revsyncd.checks.blocks import Proven
from revsyncd.checks.proof import Prover
from revsyncd.checks.structure import MAX_RECORD, Record, RecordReader

LEAST = 16
"""Records that a proven block must have to be worth it; fewer join those read one by one."""

_LONGEST_RUN = 512  # lines read one by one before the proof is tried again
_WORTH = 64  # records: where so many can be proven, faults are not dense
_NEAR = 1 << 13  # characters in which a proof is first tried behind a fault
_BLANK = re.compile(r"(?:\r?\n)+")
_BAD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


Blocks = list[Proven | list[Record]]


class BlockReader:
    """Reads text, fed in pieces of any size; keeps at most the text of one record and one piece."""

    def __init__(self, delimiter: str, *, line: int = 1, limit: int = MAX_RECORD) -> None:
        """Begin on `line`; the first record is the header and tells how many cells the others have."""
        self._delimiter = delimiter
        self._limit = limit
        self._by_hand = RecordReader(delimiter, line=line, limit=limit)
        self._prover: Prover | None = None
        self._text = ""
        self._suspect = False
        self._bad = -1  # where the next bad character stands, as far as looked for
        self._run = 1
        self._reach = limit

    @classmethod
    def behind_header(cls, delimiter: str, width: int, *, limit: int = MAX_RECORD) -> Self:
        """For text that begins with a record; its first line is counted as line 1."""
        reader = cls(delimiter, limit=limit)
        reader._prover = Prover(delimiter, width)
        reader._by_hand.pass_over(1, 0)
        return reader

    @property
    def between_records(self) -> bool:
        """Whether all that was fed is whole records."""
        return not self._text and not self._by_hand.waits

    @property
    def lines(self) -> int:
        """Physical lines seen so far."""
        return self._by_hand.lines

    @property
    def ended(self) -> bool:
        """Whether the last line has a newline; known after the last `feed`."""
        return self._by_hand.ended

    def feed(self, text: str, *, suspect: bool = True, final: bool = False) -> Blocks:
        """What is complete by now, in order; the call with `final` gives what is left.

        `suspect` says that the text may hold characters that must not be in it.
        """
        found = _Found()
        self._text += text
        self._suspect = self._suspect or suspect
        self._bad = -1
        self._text = self._text[self._take(found) :]
        if final:
            self._read_by_hand(self._text, found, final=True)
        self._suspect = self._suspect and _BAD.search(self._text) is not None
        return found.blocks

    def _take(self, found: "_Found") -> int:
        """Read as far as can be known without what follows; gives where that ends."""
        at = 0
        while at < len(self._text):
            at = self._skip_blank(at)
            if self._prover is None or self._by_hand.waits:
                at = self._some_by_hand(at, found)
                continue
            used, fault = self._prove(self._prover, at, found)
            at += used
            if fault:
                at = self._some_by_hand(at, found)
            elif not used:
                break
        return at

    def _skip_blank(self, at: int) -> int:
        """Pass over blank lines where a record could begin."""
        if self._text[at : at + 1] not in ("\n", "\r") or self._by_hand.waits:
            return at
        rest = self._text[at:]
        if lines := len(rest) - len(rest.lstrip("\n")):
            self._by_hand.pass_over(0, lines)
            return at + lines
        if blank := _BLANK.match(self._text, at):
            self._by_hand.pass_over(0, self._text.count("\n", at, blank.end()))
            return blank.end()
        return at

    def _prove(self, prover: Prover, at: int, found: "_Found") -> tuple[int, bool]:
        """Prove what can be; how many characters that takes, and whether a fault stands behind it."""
        proof, fault, window = None, False, ""
        end = self._end_of_good(at)
        while proof is None and not fault:
            window = self._text[at : min(at + self._reach, end)]
            proof, fault = prover.prove(window)
            if at + self._reach >= end or self._reach >= self._limit:
                break
            self._reach = min(self._reach * 4, self._limit)
        if (
            proof is None
        ):  # the record here is cut by a bad character, too long, or not all there yet
            return 0, fault or end < len(self._text) or len(self._text) - at > self._limit
        number, line = self._by_hand.next_place
        self._by_hand.pass_over(proof.records, proof.lines)
        found.proven(Proven(proof, self._delimiter, number=number, line=line))
        if proof.records >= _WORTH:
            self._run = 1
        return len(proof.raw), fault

    def _end_of_good(self, at: int) -> int:
        """Where the next character stands that must not be in the text, or the text ends."""
        if self._suspect and self._bad < at:
            bad = _BAD.search(self._text, at)
            self._bad = bad.start() if bad else len(self._text)
        return self._bad if self._suspect else len(self._text)

    def _some_by_hand(self, at: int, found: "_Found") -> int:
        """Read one record or, where faults are dense, some; more where one is not complete by then."""
        self._reach = min(self._limit, _NEAR)
        lines = self._run
        self._run = min(self._run * 2, _LONGEST_RUN)
        while at < len(self._text):
            end = _behind_lines(self._text, at, lines)
            self._read_by_hand(self._text[at:end], found)
            at = end
            if not self._by_hand.waits:
                break
            lines *= 2
        return at

    def _read_by_hand(self, text: str, found: "_Found", *, final: bool = False) -> None:
        records = self._by_hand.feed(text, final=final)
        if self._prover is None and records and records[0].number == 0 and not records[0].fault:
            self._prover = Prover(self._delimiter, len(records[0].fields))
        found.by_hand(records)


class _Found:
    """What one piece of text gave."""

    def __init__(self) -> None:
        self.blocks: Blocks = []

    def proven(self, block: Proven) -> None:
        if len(block) < LEAST:
            self.by_hand(block.records())
        else:
            self.blocks.append(block)

    def by_hand(self, records: Iterable[Record]) -> None:
        last = self.blocks[-1] if self.blocks else None
        if isinstance(last, list):
            last.extend(records)
        elif records := list(records):
            self.blocks.append(records)


def _behind_lines(text: str, at: int, lines: int) -> int:
    """Where the line `lines` further on begins, or the text ends."""
    for _ in range(lines):
        at = text.find("\n", at) + 1
        if not at:
            return len(text)
    return at
