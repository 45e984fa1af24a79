"""The pre-stage: a file is taken whole or refused whole; then staging looks at single lines.

Header, field counts and types must fit the template; the refusal codes are the documented ones.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import masks
from .rules import Line, Rule, applicable
from .settings import Settings
from .templates import Column, Template, Type

_NUMBER = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_LONG = frozenset(
    (
        "COMMENTS",
        "DEF_SEGMENTS",
        "REV_SEGMENTS",
        "COST_DEF_SEGMENTS",
        "COST_REV_SEGMENT",
        "QUOTE_NUM",
    )
)
_CELL_LIMIT = 240
_COMMENTS_LIMIT = 3000
_REFUSALS_SHOWN = 20

Check = Callable[[str], str]  # of a cell that is not empty: what is wrong with it, "" for nothing


@dataclass(frozen=True, slots=True)
class LineInError:
    """A line that staging put in error, with the fields by which the tenant names it."""

    message: str
    type: str = ""
    so_num: str = ""
    so_line_num: str = ""
    so_line_id: str = ""
    inv_line_num: str = ""
    inv_line_id: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of a file: with `refusals` nothing was taken."""

    records: int
    refusals: tuple[str, ...] = ()
    lines_in_error: tuple[LineInError, ...] = ()


@dataclass(slots=True)
class _Pass:
    """What one pass over a file has gathered so far."""

    records: int = 0
    refusals: list[str] = field(default_factory=list)
    lines_in_error: list[LineInError] = field(default_factory=list)
    invoice_lines: set[str] = field(default_factory=set)

    @property
    def full(self) -> bool:
        return len(self.refusals) >= _REFUSALS_SHOWN

    def reading(self) -> Reading:
        """Nothing is in error where nothing was taken."""
        if self.refusals:
            return Reading(self.records, tuple(self.refusals))
        if not self.records:
            return Reading(0, ("No data found in the file",))
        return Reading(self.records, (), tuple(self.lines_in_error))


def read_file(path: Path, template: Template, settings: Settings) -> Reading:
    """Read a file from disk; what is not UTF-8 is refused."""
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return read(lines, template, settings)
    except UnicodeDecodeError as error:
        return Reading(0, (f"The file is not UTF-8: {error.reason} at byte {error.start}",))
    except OSError as error:
        return Reading(0, (f"The file can't be read: {error.strerror}",))


def read(lines: Iterable[str], template: Template, settings: Settings) -> Reading:
    """Read a file's text, given in any portions that `csv` takes, line ends kept."""
    done = _Pass()
    rows = csv.reader(lines, strict=True)
    try:
        header = next(rows, [])
        if header != template.labels:
            done.refusals.append(_header_refusal(header, template.labels))
        else:
            _read_records(rows, template, settings, done)
    except csv.Error as error:
        done.refusals.append(f"Line {rows.line_num}: {error}")
    return done.reading()


def _header_refusal(header: list[str], labels: list[str]) -> str:
    """Where the header first differs from the template's labels."""
    for place, (found, expected) in enumerate(zip(header, labels, strict=False), 1):
        if found != expected:
            return f"Header: column {place} is {found!r} where {expected!r} is expected"
    return f"Header: {len(header)} columns where {len(labels)} are expected"


def _read_records(
    rows: Iterator[list[str]], template: Template, settings: Settings, done: _Pass
) -> None:
    names = template.names
    checks = [(column.label, _check(column, template, settings)) for column in template.columns]
    rules = applicable(settings.stage_rules, names)
    invoice_line = names.index("INV_LINE_ID") if "INV_LINE_ID" in names else None
    for row in rows:
        done.records += 1
        done.refusals += _refusals(row, checks, done.records)
        if invoice_line is not None and len(row) == len(names) and row[invoice_line]:
            _look_for_twin(row[invoice_line], done)
        if done.full:
            return
        if rules and not done.refusals:
            _stage(
                Line(dict(zip(names, row, strict=True)), masks.reader(template.date_format)),
                rules,
                done,
            )


def _refusals(row: list[str], checks: list[tuple[str, Check]], record: int) -> list[str]:
    if len(row) != len(checks):
        return [f"Record {record}: {len(row)} fields where {len(checks)} are expected"]
    return [
        f"Record {record}, {label}: {words}"
        for cell, (label, check) in zip(row, checks, strict=True)
        if cell and (words := check(cell))
    ]


def _look_for_twin(invoice_line: str, done: _Pass) -> None:
    if invoice_line in done.invoice_lines:
        done.refusals.append(
            f"Record {done.records}: RPRO-00715 invoice line id {invoice_line!r} stands in the file twice"
        )
    done.invoice_lines.add(invoice_line)


def _stage(line: Line, rules: tuple[Rule, ...], done: _Pass) -> None:
    """Put the line in error by the first rule that it breaks."""
    rule = next((rule for rule in rules if rule.broken(line)), None)
    if rule is None:
        return
    done.lines_in_error.append(
        LineInError(
            message=rule.words,
            type=line.text("TYPE"),
            so_num=line.text("DOC_NUM"),
            so_line_num=line.text("DOC_LINE_NUM"),
            so_line_id=line.text("DOC_LINE_ID"),
            inv_line_num=line.text("INV_LINE_NUM"),
            inv_line_id=line.text("INV_LINE_ID"),
        )
    )


def _check(column: Column, template: Template, settings: Settings) -> Check:
    """The check of a column's cells."""
    if column.type is Type.NUMBER:
        return lambda cell: (
            "" if _NUMBER.fullmatch(cell) else f"RPRO-00712 {cell!r} is not a number"
        )
    if column.type is Type.DATE:
        read_date, mask = masks.reader(template.date_format), template.date_format
        return lambda cell: "" if read_date(cell) else f"RPRO-00713 {cell!r} is not a date ({mask})"
    return _text_check(column, english_only=settings.english_only)


def _text_check(column: Column, *, english_only: bool) -> Check:
    comments = column.name == "COMMENTS"
    limit = _COMMENTS_LIMIT if comments else None if column.name in _LONG else _CELL_LIMIT
    code = "RPRO-00708" if comments else "RPRO-00707"

    def check(cell: str) -> str:
        if cell[0] in "=+@":
            return "RPRO-00603 begins like a formula"
        if limit is not None and len(cell) > limit:
            return f"{code} longer than {limit} characters"
        if english_only and not cell.isascii():
            return "RPRO-00709 characters that are not English"
        return ""

    return check
