"""Whether a fetched general-ledger file is whole, what is in it, and whether its amounts balance.

One pass in constant memory: bytes are hashed on the way to the CSV reader, amounts are exact decimals.
"""

import codecs
import csv
import hashlib
import io
import re
from collections.abc import Iterator
from decimal import Context, Decimal, Inexact, Overflow
from pathlib import Path

from revsyncd.checks.contract import Fault, GlResult, GlRules, LineEnd
from revsyncd.checks.gl_answer import LOOKED_AT, answer_in
from revsyncd.checks.gl_unpack import Unpacked, unpack

LONGEST_CELL = 1 << 24  # characters; what is longer is a quote that nobody closed
MOST_CURRENCIES = 1000  # the world has fewer: with more, the column holds something else
SHOWN = 60  # characters of a label or value that a message repeats
_AMOUNT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_EXACT = Context(prec=2000, traps=[Inexact, Overflow])
_DELIMITERS = ("\t", ";", "|")  # tried where a header has no comma
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip


def examine(path: Path, unpacked: Path, rules: GlRules) -> GlResult:
    """Unpack `path` into `unpacked` where it is packed, and read it. Raises OSError."""
    found = unpack(path, unpacked, rules.max_size)
    if found.fault is not None:
        return GlResult(found.fault, found.told, found.packing)
    return _read(path if found.packing == "plain" else unpacked, found, rules)


def _read(path: Path, found: Unpacked, rules: GlRules) -> GlResult:
    csv.field_size_limit(LONGEST_CELL)
    with path.open("rb", buffering=0) as raw:
        if told := answer_in(raw.read(LOOKED_AT)):
            return GlResult(Fault.ANSWER, told, found.packing)
        raw.seek(0)
        encoding = _encoding(raw)
        hashed = _Hashed(raw)
        buffered = io.BufferedReader(hashed, 1 << 16)
        text = io.TextIOWrapper(buffered, encoding, "surrogateescape", newline="")
        reading = _Pass(rules)
        fault = reading.go(text, hashed)
        while hashed.read(1 << 16):  # what the reader left where it gave up
            continue
    told = reading.told if fault else ""
    return reading.result(fault, told, found.packing, hashed)


def _encoding(raw: io.FileIO) -> str:
    head = raw.read(4)
    raw.seek(0)
    return next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")


class _Hashed(io.RawIOBase):
    """A file that is hashed, counted and remembered by its last bytes as it is read."""

    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw
        self._digest = hashlib.sha256()
        self.size = 0
        self.end = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # (any writable buffer)
        """Read on."""
        size = self._raw.readinto(buffer) or 0
        seen = bytes(memoryview(buffer)[:size])
        self._digest.update(seen)
        self.size += size
        self.end = (self.end + seen[-4:])[-4:]
        return size

    @property
    def sha256(self) -> str:
        """Of what was read so far."""
        return self._digest.hexdigest()


class _Pass:
    """One reading of one file."""

    def __init__(self, rules: GlRules) -> None:
        self._rules = rules
        self._header = ""
        self._columns: tuple[str, ...] = ()
        self._records = 0
        self._ragged: tuple[int, int] | None = None  # the first: record, fields
        self._last_is_ragged = False
        self._sums: dict[str, list[Decimal]] = {}
        self._unsummed = 0
        self._unsummed_told = ""
        self._missing: tuple[str, ...] = ()
        self.told = ""

    def go(self, text: io.TextIOWrapper, hashed: _Hashed) -> Fault | None:
        """Read all of it; returns what is wrong with it, with words in `told`."""
        for _ in range(self._rules.preamble_lines):
            text.readline(LONGEST_CELL)
        header = self._header = text.readline(LONGEST_CELL)
        if not header.strip():
            return self._say(Fault.CUT, "it has no header")
        delimiter = _delimiter(header)
        rows = csv.reader(_chained(header, text), delimiter=delimiter, strict=True)
        try:
            self._columns = tuple(label.strip() for label in next(rows))
            if len(self._columns) == 1 and self._places() is None:
                return self._say(Fault.UNREADABLE, "its header is one cell, and no column is known")
            self._records_of(rows)
        except csv.Error as error:
            # The reader speaks of the end where a quote is open there: a cut, not a fault.
            cut = "end of data" in str(error)
            words = f"record {self._records + 1:,}: {error}"
            return self._say(Fault.CUT if cut else Fault.UNREADABLE, words)
        except UnicodeError as error:
            words = f"record {self._records + 1:,}: the text can't be decoded: {error.__class__.__name__}"
            return self._say(Fault.UNREADABLE, words)
        return self._end(hashed)

    def _say(self, fault: Fault, told: str) -> Fault:
        self.told = told
        return fault

    def _end(self, hashed: _Hashed) -> Fault | None:
        if self._ragged is not None:
            record, fields = self._ragged
            words = f"record {record:,} has {fields} fields, the header {len(self._columns)}"
            only_last = record == self._records and fields < len(self._columns)
            return self._say(Fault.CUT if only_last else Fault.UNREADABLE, words)
        # Between the two signs of a line end is no end, unless this file ends its lines with one.
        alone = self._records and self._header.endswith("\r")
        signs = (b"\n", b"\r") if alone else (b"\n",)
        ended = hashed.end.rstrip(b"\0").endswith(signs)
        if not ended and self._rules.final_newline is LineEnd.REQUIRE:
            return self._say(Fault.CUT, "its last line has no end")
        return None

    def _records_of(self, rows: Iterator[list[str]]) -> None:
        width, places = len(self._columns), self._places()
        records = 0
        for row in rows:
            if not row:
                continue
            records += 1
            self._records = records
            if len(row) != width:
                self._ragged = self._ragged or (records, len(row))
            elif places:
                self._sum(row, *places)

    def _places(self) -> tuple[int, int, int] | None:
        """Where debit, credit and currency stand; None where one is missing."""
        labels = (self._rules.debit, self._rules.credit, self._rules.currency)
        known = {_plain(label): at for at, label in reversed(list(enumerate(self._columns)))}
        found = [known.get(_plain(label)) for label in labels]
        self._missing = tuple(x for x, at in zip(labels, found, strict=True) if at is None)
        places = [at for at in found if at is not None]
        return (places[0], places[1], places[2]) if len(places) == len(labels) else None

    def _sum(self, row: list[str], debit: int, credit: int, currency: int) -> None:
        sums = self._sums.get(row[currency])
        if sums is None:
            if len(self._sums) == MOST_CURRENCIES:
                self._not_summed(f"it would be the {MOST_CURRENCIES + 1:,}th currency")
                return
            sums = self._sums[row[currency]] = [Decimal(0), Decimal(0)]
        try:
            sums[0] = _EXACT.add(sums[0], _amount(row[debit]))
            sums[1] = _EXACT.add(sums[1], _amount(row[credit]))
        except (ValueError, Inexact, Overflow):
            self._not_summed(f"{row[debit]!r} and {row[credit]!r}"[: 2 * SHOWN])

    def _not_summed(self, why: str) -> None:
        self._unsummed += 1
        if self._unsummed == 1:
            self._unsummed_told = f"record {self._records:,}: {why}"

    def result(self, fault: Fault | None, told: str, packing: str, hashed: _Hashed) -> GlResult:
        """All that was found."""
        totals = {
            code: {"debit": f"{debit:f}", "credit": f"{credit:f}"}
            for code, (debit, credit) in sorted(self._sums.items())
        }
        unbalanced = tuple(code for code, (d, c) in sorted(self._sums.items()) if d != c)
        return GlResult(
            fault=fault,
            told=told,
            packing=packing,
            columns=self._columns,
            records=self._records,
            bytes=hashed.size,
            sha256=hashed.sha256,
            totals=totals,
            unbalanced=unbalanced,
            missing=self._missing,
            unsummed=self._unsummed,
            unsummed_told=self._unsummed_told,
        )


def _amount(cell: str) -> Decimal:
    """A cell as it stands; empty is zero. Raises ValueError for what is no plain number."""
    text = cell.strip()
    if not text:
        return Decimal(0)
    if _AMOUNT.fullmatch(text) is None:
        raise ValueError(text)
    return Decimal(text)


def _plain(label: str) -> str:
    """How labels are compared: `Accounted Dr` is `accounted_dr`."""
    return re.sub(r"[\s_-]+", "_", label.strip()).casefold()


def _delimiter(header: str) -> str:
    if "," in header:
        return ","
    return next((sign for sign in _DELIMITERS if sign in header), ",")


def _chained(first: str, rest: io.TextIOWrapper) -> Iterator[str]:
    yield first
    yield from rest
