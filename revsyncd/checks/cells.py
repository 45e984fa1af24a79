"""One column's cells: which break what is asked of them, judged once per distinct value."""

from collections.abc import Collection, Hashable, Iterable, Sequence
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
        self.mostly_new = False  # whether most values of the last block had not been seen before

    @property
    def asks(self) -> Hashable:
        """Equal for two checks of which the same is asked as long as nothing is odd."""
        return self._ask.type, self._ask.required, tuple(self._ask.allowed)

    @property
    def only_if_odd(self) -> bool:
        """Whether nothing is asked of the column but what `Oddity` can tell for a whole block."""
        return self._is_text and not self._ask.required and not self._ask.allowed

    def all_good(self, columns: Sequence[Sequence[str]]) -> bool:
        """Whether nothing is wrong in several columns of which the same is asked, in no odd block.

        False only means that each must be looked at.
        """
        new = set().union(*columns) - self._good
        if not new:
            return True
        if len(new) * 2 > len(columns[0]):
            return False
        if not self._surely_good(new, odd=False) and self._judge_all(new):
            return False
        self._remember(new)
        return True

    def find(self, rows: Rows, index: int, *, odd: bool) -> list[Found]:
        """Every cell of the column at `index` that breaks a rule, in order.

        `odd` says whether the block's texts need a look (see `Oddity`).
        """
        if not odd and self.only_if_odd:
            return []
        values = rows.column(index)
        if self.mostly_new and self._surely_good(values, odd=odd):
            return []
        new = set(values) - self._good
        self.mostly_new = len(new) * 2 > len(values)
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


class Family:
    """Columns of which the same is asked: looked at together as long as nothing is wrong in any."""

    def __init__(self, checks: dict[int, ColumnCheck]) -> None:
        """`checks` is column -> its check."""
        self._checks = checks
        self._any = next(iter(checks.values()))

    def find(self, rows: Rows, *, odd: bool) -> dict[tuple[int, int], Finding]:
        """(row, column) -> what is wrong there; `odd` as in `ColumnCheck.find`."""
        if odd:
            return self._find_in(self._checks, rows, odd=True)
        if self._any.only_if_odd:
            return {}
        few = [rows.column(index) for index, check in self._checks.items() if not check.mostly_new]
        if not few or not self._any.all_good(few):
            return self._find_in(self._checks, rows, odd=False)
        return self._find_in(
            {index: check for index, check in self._checks.items() if check.mostly_new},
            rows,
            odd=False,
        )

    def _find_in(
        self, checks: dict[int, ColumnCheck], rows: Rows, *, odd: bool
    ) -> dict[tuple[int, int], Finding]:
        return {
            (row, index): finding
            for index, check in checks.items()
            for row, finding in check.find(rows, index, odd=odd)
        }


def families(checks: dict[int, ColumnCheck]) -> list[Family]:
    """The checks, column -> check, put together by what they ask."""
    found: dict[Hashable, dict[int, ColumnCheck]] = {}
    for index, check in checks.items():
        found.setdefault(check.asks, {})[index] = check
    return [Family(alike) for alike in found.values()]
