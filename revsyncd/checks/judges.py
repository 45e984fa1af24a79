"""What can be wrong with one cell: each judge is one small thing, and the first that speaks is heard.

A judge is asked once per distinct value. To add one: write it here, give it a code and a level
(`revsyncd.checks.problems`), and name it in `judges_of`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from revsyncd.checks.numbers import NumberForm
from revsyncd.checks.problems import visible
from revsyncd.core.dates import DateMask
from revsyncd.core.template import ColumnType

MOST_CHARACTERS = 240
MOST_IN_COMMENTS = 3000
COMMENTS = "COMMENTS"
LONG_COLUMNS = frozenset(
    {
        COMMENTS,
        "DEF_SEGMENTS",
        "REV_SEGMENTS",
        "COST_DEF_SEGMENTS",
        "COST_REV_SEGMENT",
        "QUOTE_NUM",
    }
)
"""Staging names of columns that may have more than 240 characters."""

FORMULA_LEADS = ("=", "+", "@")
SUSPECT_LEADS = ("#",)
SUSPECT_PIECES = ("E+", "e+", "\xa0", "\u202f", "\u2007", "\ufeff")
"""A value without any of these is not suspect: for a quick look at many values at once."""

_ERROR_VALUE = re.compile(
    r"#(?:N/A|REF!|VALUE!|DIV/0!|NAME\?|NUM!|NULL!|SPILL!|CALC!|#+)", re.IGNORECASE
)
_SCIENTIFIC = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?E\+[0-9]+", re.IGNORECASE)
_ODD_BLANKS = re.compile("[\xa0\u202f\u2007\ufeff]")
_SHOWN = 40


class Finding(NamedTuple):
    """What is wrong with a value, wherever it stands in the column."""

    code: str
    message: str


Judge = Callable[[str], Finding | None]
IsOn = Callable[[str], bool]  # whether a code has a level other than off
Level = Callable[[str], str]  # the level of a code


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of a column's cells; `name` is the staging name, empty if there is none."""

    type: ColumnType
    required: bool = False
    allowed: tuple[str, ...] = ()
    name: str = ""


def judges_of(ask: Ask, numbers: NumberForm, dates: DateMask | None, level: Level) -> list[Judge]:
    """The judges of a column, in the order in which they are heard: those with errors to tell come first."""
    found = (
        ("cell.required", _required if ask.required else None),
        ("cell.number", _number(numbers) if ask.type is ColumnType.NUMBER else None),
        ("cell.date", _date(dates) if dates and ask.type is ColumnType.DATE else None),
        ("cell.allowed", _allowed(ask.allowed) if ask.allowed else None),
        *_of_the_tenant(ask),
        ("cell.suspect", _suspect if ask.type is ColumnType.CHARACTER else None),
    )
    judges = [(level(code), judge) for code, judge in found if judge is not None]
    errors = [judge for heard, judge in judges if heard == "error"]
    return errors + [judge for heard, judge in judges if heard == "warn"]


def _of_the_tenant(ask: Ask) -> Iterator[tuple[str, Judge | None]]:
    """For what the tenant refuses a whole upload, of the columns that it knows."""
    if not ask.name:
        return
    yield "revenue.603", _formula
    if ask.name == COMMENTS:
        yield "revenue.708", _too_long("revenue.708", MOST_IN_COMMENTS)
    elif ask.name not in LONG_COLUMNS:
        yield "revenue.707", _too_long("revenue.707", MOST_CHARACTERS)
    yield "revenue.709", _not_english


def is_blank(value: str) -> bool:
    """Whether a cell is empty or holds nothing but blanks."""
    return not value or value.isspace()


def shown(value: str) -> str:
    """A value between quotes for a message, cut to what a sentence can bear."""
    text = visible(value if len(value) <= _SHOWN else value[:_SHOWN] + "…")
    return (
        '"'
        + "".join(c if c.isprintable() else "\N{SYMBOL FOR SUBSTITUTE FORM TWO}" for c in text)
        + '"'
    )


def _required(value: str) -> Finding | None:
    if is_blank(value):
        return Finding("cell.required", "This cell must not be empty.")
    return None


def _number(numbers: NumberForm) -> Judge:
    expected = f"Expected are digits with at most one leading minus, such as {numbers.example}."

    def judge(value: str) -> Finding | None:
        if not value or numbers.is_number(value):
            return None
        reason = _why_no_number(value)
        return Finding("cell.number", f"{shown(value)} is not a plain number{reason}. {expected}")

    return judge


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


def _date(dates: DateMask) -> Judge:
    expected = f"Expected is {dates.mask}, such as {dates.example}."

    def judge(value: str) -> Finding | None:
        try:
            if not value or dates.parse(value) is not None:
                return None
        except ValueError:
            return Finding("cell.date", f"{shown(value)} is a day that does not exist. {expected}")
        blanks = ": there are blanks around it" if value != value.strip() else ""
        return Finding(
            "cell.date", f"{shown(value)} is not a date in the template's form{blanks}. {expected}"
        )

    return judge


def _allowed(allowed: tuple[str, ...]) -> Judge:
    values = frozenset(allowed)
    few = ", ".join(allowed[:10]) + (", …" if len(allowed) > 10 else "")  # noqa: PLR2004

    def judge(value: str) -> Finding | None:
        if not value or value in values:
            return None
        return Finding("cell.allowed", f"{shown(value)} is not allowed here. Allowed are: {few}.")

    return judge


def _formula(value: str) -> Finding | None:
    if not value.startswith(FORMULA_LEADS):
        return None
    return Finding(
        "revenue.603",
        f"{shown(value)} begins with {value[0]}: the tenant takes it for a formula and refuses the upload."
        " Remove the character in the source.",
    )


def _too_long(code: str, most: int) -> Judge:
    def judge(value: str) -> Finding | None:
        if len(value) <= most:
            return None
        return Finding(
            code,
            f"This cell has {len(value)} characters, and the tenant refuses an upload with more than {most}"
            " in it. Shorten it in the source.",
        )

    return judge


def _not_english(value: str) -> Finding | None:
    if value.isascii():
        return None
    return Finding(
        "revenue.709",
        f"{shown(value)} holds characters that are not English, which this tenant refuses."
        " Write it in plain letters in the source.",
    )


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
