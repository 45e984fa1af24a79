"""One column's cells: which break what is asked of them, judged once per distinct value."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from revsyncd.checks.blocks import Rows
from revsyncd.checks.judges import (
    FORMULA_LEADS,
    MOST_CHARACTERS,
    SUSPECT_LEADS,
    SUSPECT_PIECES,
    Ask,
    Finding,
    IsOn,
    judges_of,
)
from revsyncd.checks.numbers import NumberForm
from revsyncd.core.dates import DateMask
from revsyncd.core.template import ColumnType

REMEMBERED = 4_000
"""Distinct good values kept per column; beyond, they are forgotten and judged anew."""

_LONGEST_REMEMBERED = 64


class Found(NamedTuple):
    """A finding with the row, counted within the block, that has it."""

    row: int
    finding: Finding


class Oddity:
    """Tells from a whole block whether some text in it could be odd in a way that is asked about."""

    def __init__(self, is_on: IsOn) -> None:
        """Look for what has a level other than off."""
        suspect, formula = is_on("cell.suspect"), is_on("revenue.603")
        self._leads = (FORMULA_LEADS if formula else ()) + (SUSPECT_LEADS if suspect else ())
        self._pieces = SUSPECT_PIECES if suspect else ()
        self._english = is_on("revenue.709")
        self._length = is_on("revenue.707") or is_on("revenue.708")

    def may_be_in(self, rows: Rows) -> bool:
        """False is certain: texts of which nothing else is asked need not be looked at."""
        return (
            self._english
            or any(map(rows.may_begin, self._leads))
            or any(map(rows.may_hold, self._pieces))
            or (self._length and rows.may_be_long)
        )


class ColumnCheck:
    """Checks one column, block by block."""

    def __init__(self, ask: Ask, numbers: NumberForm, dates: DateMask | None, is_on: IsOn) -> None:
        """Combine what `ask` says; `dates` may be missing only where no column has dates."""
        self._ask = ask
        self._numbers = numbers
        self._judges = judges_of(ask, numbers, dates, is_on)
        self._is_text = ask.type is ColumnType.CHARACTER
        self._is_number = ask.type is ColumnType.NUMBER
        self._good: set[str] = set()
        self._mostly_new = False

    def find(self, rows: Rows, index: int, *, odd: bool) -> list[Found]:
        """Every cell of the column at `index` that breaks a rule, in order.

        `odd` says whether the block's texts need a look (see `Oddity`).
        """
        if not odd and self._is_text and not self._ask.required and not self._ask.allowed:
            return []
        values = rows.column(index)
        if self._mostly_new and self._surely_good(values, odd=odd):
            return []
        new = set(values) - self._good
        self._mostly_new = len(new) * 2 > len(values)
        if not new:
            return []
        bad = {} if self._surely_good(new, odd=odd) else self._judge_all(new)
        self._remember(new - bad.keys())
        if not bad:
            return []
        return [Found(row, bad[value]) for row, value in enumerate(values) if value in bad]

    def judge(self, value: str) -> Finding | None:
        """What is wrong with one value, by the first judge that finds something."""
        for judge in self._judges:
            if finding := judge(value):
                return finding
        return None

    def _judge_all(self, values: Iterable[str]) -> dict[str, Finding]:
        found = ((value, self.judge(value)) for value in values)
        return {value: finding for value, finding in found if finding is not None}

    def _surely_good(self, values: Collection[str], *, odd: bool) -> bool:
        """A quick word on many values at once; False means only that each must be looked at."""
        if self._ask.allowed or (self._ask.required and not all(map(str.strip, values))):
            return False
        if self._is_number:
            short = not odd or max(map(len, values), default=0) <= MOST_CHARACTERS
            return short and self._numbers.all_good(values)
        return self._is_text and not odd

    def _remember(self, values: set[str]) -> None:
        if len(values) > REMEMBERED // 4:  # a column of ids: none of them will come again
            return
        if len(self._good) + len(values) > REMEMBERED:
            self._good.clear()
        self._good.update(v for v in values if len(v) <= _LONGEST_REMEMBERED)
