"""One column's cells: what is asked of them, and which break it, judged once per distinct value."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from revsyncd.checks.numbers import NumberForm
from revsyncd.checks.problems import visible
from revsyncd.core.dates import DateMask
from revsyncd.core.template import ColumnType

REMEMBERED = 2_000
"""Distinct good values kept per column; beyond, they are forgotten and judged anew."""

_LONGEST_REMEMBERED = 64
_SHOWN = 40

_SUSPECT_HINTS = ("#", "E+", "e+", "\xa0", "\u202f", "\u2007", "\ufeff")
_ERROR_VALUE = re.compile(
    r"#(?:N/A|REF!|VALUE!|DIV/0!|NAME\?|NUM!|NULL!|SPILL!|CALC!|#+)", re.IGNORECASE
)
_SCIENTIFIC = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?E\+[0-9]+", re.IGNORECASE)
_ODD_BLANKS = re.compile("[\xa0\u202f\u2007\ufeff]")


class Finding(NamedTuple):
    """What is wrong with a value, wherever it stands in the column."""

    code: str
    message: str


class Found(NamedTuple):
    """A finding with the row, counted within the batch, that has it."""

    row: int
    finding: Finding


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of a column's cells."""

    type: ColumnType
    required: bool = False
    allowed: tuple[str, ...] = ()


Judge = Callable[[str], Finding | None]


class ColumnCheck:
    """Checks one column, batch by batch."""

    def __init__(self, ask: Ask, numbers: NumberForm, dates: DateMask | None) -> None:
        """Combine what `ask` says; `dates` may be missing only where no column has dates."""
        self._ask = ask
        self._numbers = numbers
        self._judge_type = _judge_of_type(ask.type, numbers, dates)
        self._allowed = frozenset(ask.allowed)
        self._good: set[str] = set()

    def find(self, values: Sequence[str]) -> list[Found]:
        """Every cell of `values` that breaks a rule, in order."""
        new = set(values) - self._good
        if not new:
            return []
        bad = {} if self._surely_good(new) else self._judge_all(new)
        self._remember(new - bad.keys())
        if not bad:
            return []
        return [Found(row, bad[value]) for row, value in enumerate(values) if value in bad]

    def judge(self, value: str) -> Finding | None:
        """What is wrong with one value: the first of required, type, allowed, suspect."""
        if not value or value.isspace():
            if self._ask.required:
                return Finding("cell.required", "This cell must not be empty.")
            if not value:
                return None
        finding = self._judge_type(value)
        if finding is None and self._allowed and value not in self._allowed:
            return _not_allowed(value, self._ask.allowed)
        if finding is None and self._ask.type is ColumnType.CHARACTER:
            return _suspect(value)
        return finding

    def _judge_all(self, values: Iterable[str]) -> dict[str, Finding]:
        found = ((value, self.judge(value)) for value in values)
        return {value: finding for value, finding in found if finding is not None}

    def _surely_good(self, values: set[str]) -> bool:
        """A quick word on many values at once; False means only that each must be looked at."""
        if self._allowed or (self._ask.required and any(not v or v.isspace() for v in values)):
            return False
        if self._ask.type is ColumnType.NUMBER:
            return self._numbers.all_good(values)
        if self._ask.type is ColumnType.DATE:
            return False
        text = "\n".join(values)
        return not any(hint in text for hint in _SUSPECT_HINTS)

    def _remember(self, values: set[str]) -> None:
        if len(values) > REMEMBERED // 4:  # a column of ids: none of them will come again
            return
        if len(self._good) + len(values) > REMEMBERED:
            self._good.clear()
        self._good.update(v for v in values if len(v) <= _LONGEST_REMEMBERED)


def _judge_of_type(kind: ColumnType, numbers: NumberForm, dates: DateMask | None) -> Judge:
    if kind is ColumnType.NUMBER:
        return lambda value: None if numbers.is_number(value) else _not_a_number(value, numbers)
    if kind is ColumnType.DATE and dates is not None:
        return lambda value: _judge_date(value, dates)
    return lambda _value: None


def shown(value: str) -> str:
    """A value between quotes for a message, cut to what a sentence can bear."""
    text = visible(value if len(value) <= _SHOWN else value[:_SHOWN] + "…")
    return (
        '"'
        + "".join(c if c.isprintable() else "\N{SYMBOL FOR SUBSTITUTE FORM TWO}" for c in text)
        + '"'
    )


def _not_a_number(value: str, numbers: NumberForm) -> Finding:
    reason = _why_no_number(value)
    expected = f"Expected are digits with at most one leading minus, such as {numbers.example}."
    return Finding("cell.number", f"{shown(value)} is not a plain number{reason}. {expected}")


def _why_no_number(value: str) -> str:
    if value != value.strip():
        return ": there are blanks around it"
    if value.endswith("-"):
        return ": the minus stands behind it"
    if value.startswith("(") and value.endswith(")"):
        return ": it is in parentheses"
    if _SCIENTIFIC.fullmatch(value):
        return ": a spreadsheet has shortened it"
    return ""


def _judge_date(value: str, dates: DateMask) -> Finding | None:
    expected = f"Expected is {dates.mask}, such as {dates.example}."
    try:
        date = dates.parse(value)
    except ValueError:
        return Finding("cell.date", f"{shown(value)} is a day that does not exist. {expected}")
    if date is not None:
        return None
    blanks = ": there are blanks around it" if value != value.strip() else ""
    return Finding(
        "cell.date", f"{shown(value)} is not a date in the template's form{blanks}. {expected}"
    )


def _not_allowed(value: str, allowed: tuple[str, ...]) -> Finding:
    few = ", ".join(allowed[:10]) + (", …" if len(allowed) > 10 else "")  # noqa: PLR2004
    return Finding("cell.allowed", f"{shown(value)} is not allowed here. Allowed are: {few}.")


def _suspect(value: str) -> Finding | None:
    if _ERROR_VALUE.fullmatch(value):
        reason = "looks like a spreadsheet's error. Correct the cell in the source."
    elif _SCIENTIFIC.fullmatch(value):
        reason = "looks like an id that a spreadsheet has shortened. Format the column as text in the source."
    elif _ODD_BLANKS.search(value):
        reason = "holds a no-break space, which the tenant does not take for a blank."
    else:
        return None
    return Finding("cell.suspect", f"{shown(value)} {reason}")
