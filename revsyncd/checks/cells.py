"""One column's cells: which break what is asked of them, judged once per distinct value."""

from collections.abc import Collection, Hashable, Iterable, Sequence
from itertools import chain
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
    Level,
    judges_of,
)
from revsyncd.checks.numbers import NumberForm
from revsyncd.core.dates import DateMask
from revsyncd.core.template import ColumnType

REMEMBERED = 16_000
"""Distinct good values kept per family of columns; beyond, they are forgotten and judged anew."""

_FEW = 64  # values: of so few, many are new in any column

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


class Good:
    """Distinct values found good by columns of which the same is asked."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: set[str] = set()

    def unknown(self, *columns: Sequence[str]) -> set[str]:
        """The distinct values of these columns that are not known to be good."""
        return set().union(*columns) - self._known

    def add(self, values: set[str]) -> None:
        """Remember values, if they are neither long nor so many that none of them will come again."""
        if len(values) > REMEMBERED // 16:
            return
        if len(self._known) + len(values) > REMEMBERED:
            self._known.clear()
        self._known.update(v for v in values if len(v) <= _LONGEST_REMEMBERED)


class ColumnCheck:
    """Checks one column, block by block."""

    def __init__(self, ask: Ask, numbers: NumberForm, dates: DateMask | None, level: Level) -> None:
        """Combine what `ask` says; `dates` may be missing only where no column has dates."""
        self._ask = ask
        self._numbers = numbers
        self._judges = judges_of(ask, numbers, dates, level)
        self._is_text = ask.type is ColumnType.CHARACTER
        self._is_number = ask.type is ColumnType.NUMBER
        self.good = Good()
        self.mostly_new = False  # whether most values of the last block had not been seen before

    @property
    def asks(self) -> Hashable:
        """Equal for two checks of which the same is asked, but for how long a text may be."""
        of_tenant = bool(self._ask.name)  # of columns that the tenant does not know, less is asked
        return self._ask.type, self._ask.required, tuple(self._ask.allowed), of_tenant

    @property
    def only_if_odd(self) -> bool:
        """Whether nothing is asked of the column but what `Oddity` can tell for a whole block."""
        return self._is_text and not self._ask.required and not self._ask.allowed

    def find(self, rows: Rows, index: int, *, odd: bool) -> list[Found]:
        """Every cell of the column at `index` that breaks a rule, in order.

        `odd` says whether the block's texts need a look (see `Oddity`).
        """
        if not odd and self.only_if_odd:
            return []
        values = rows.column(index)
        if self.mostly_new and self.surely_good(values, odd=odd):
            return []
        new = self.good.unknown(values)
        self.mostly_new = len(new) * 2 > max(len(values), _FEW)
        if not new:
            return []
        bad = {} if self.surely_good(new, odd=odd) else self.judge_all(new)
        self.good.add(new - bad.keys())
        if not bad:
            return []
        return [Found(row, bad[value]) for row, value in enumerate(values) if value in bad]

    def judge(self, value: str) -> Finding | None:
        """What is wrong with one value, by the first judge that finds something."""
        for judge in self._judges:
            if finding := judge(value):
                return finding
        return None

    def judge_all(self, values: Iterable[str]) -> dict[str, Finding]:
        """What is wrong with each of these values that is not good."""
        found = ((value, self.judge(value)) for value in values)
        return {value: finding for value, finding in found if finding is not None}

    def surely_good(self, values: Collection[str], *, odd: bool) -> bool:
        """A quick word on many values at once; False means only that each must be looked at."""
        if self._ask.allowed or (self._ask.required and not all(map(str.strip, values))):
            return False
        if self._is_number:
            short = not odd or max(map(len, values), default=0) <= MOST_CHARACTERS
            return short and self._numbers.all_good(values)
        return self._is_text and not odd


class Family:
    """Columns of which the same is asked: looked at together as long as nothing is wrong in any."""

    def __init__(self, checks: dict[int, ColumnCheck]) -> None:
        """`checks` is column -> its check. What is good for one of them is so for all."""
        self._checks = checks
        self._any = next(iter(checks.values()))
        for check in checks.values():
            check.good = self._any.good

    def find(self, rows: Rows, *, odd: bool) -> dict[tuple[int, int], Finding]:
        """(row, column) -> what is wrong there; `odd` as in `ColumnCheck.find`."""
        if odd:
            return self._find_in(self._checks, rows, odd=True)
        if self._any.only_if_odd:
            return {}
        often_new = {index: check for index, check in self._checks.items() if check.mostly_new}
        often_known = self._checks.keys() - often_new
        found: dict[tuple[int, int], Finding] = {}
        if not self._are_known([rows.differing(index) for index in often_known], len(rows)):
            known = {index: self._checks[index] for index in sorted(often_known)}
            found |= self._find_in(known, rows, odd=False)
        if often_new and not self._are_good([rows.column(index) for index in often_new]):
            found |= self._find_in(often_new, rows, odd=False)
        return found

    def _are_known(self, columns: list[Sequence[str]], records: int) -> bool:
        """Whether only values stand in these columns that are good, and few of them are new."""
        new = self._any.good.unknown(*columns)
        if not new:
            return True
        if len(new) * 2 > records:
            return False
        if not self._any.surely_good(new, odd=False) and self._any.judge_all(new):
            return False
        self._any.good.add(new)
        return True

    def _are_good(self, columns: list[Sequence[str]]) -> bool:
        return self._any.surely_good(list(chain.from_iterable(columns)), odd=False)

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
