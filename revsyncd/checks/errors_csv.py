"""`<file>.errors.csv`: one row a problem, safe and readable in a spreadsheet."""

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from revsyncd.checks.contract import Problem
from revsyncd.checks.problems import visible
from revsyncd.checks.writing import csv_lines, synced

HEADER = ("line", "record", "column", "value", "code", "level", "message", "source")

# What spreadsheets take for the begin of a formula, full-width forms included.
_FORMULA = re.compile("[=+\\-@\t\r\n＝＋－＠]")  # noqa: RUF001  (these very characters are meant)
_NEGATIVE_NUMBER = re.compile(r"-[0-9]+(?:[.,][0-9]+)*")
# Also what ends a line or turns the direction of the text: the cell would show other words than it holds.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_PICTURES = 0x2400  # U+2400 to U+241F picture the control characters 0 to 31
_ROWS_AT_ONCE = 1000


def write_errors_csv(problems: Iterable[Problem], out: Path | BinaryIO) -> None:
    """Write `problems` in the order given, as UTF-8 with BOM and CRLF.

    A path must not exist; it is on disk afterwards, and a failure leaves none. Raises NoSpace, OSError.
    """
    if isinstance(out, Path):
        with synced(out) as file:
            _write(problems, file)
    else:
        _write(problems, out)


def read_errors_csv(path: Path) -> list[Problem]:
    """The problems of such a file, their texts as they stand there. Raises OSError, ValueError."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file, strict=True))
    if not rows or tuple(rows[0]) != HEADER:
        raise ValueError(f"{path.name} has another header")
    return [Problem(int(row[0] or 0), int(row[1] or 0), *row[2:8]) for row in rows[1:]]


def safe(text: str) -> str:
    r"""`text` so that a spreadsheet shows it and does nothing else with it.

    A lead that would begin a formula gets an apostrophe before it, a plain negative number does not;
    control characters become their pictures, so a row stays one line; marks that turn the direction
    of what follows become `\u202e` and so on.
    """
    lead = "'" if _FORMULA.match(text) and not _NEGATIVE_NUMBER.fullmatch(text) else ""
    return lead + _CONTROL.sub(_picture, visible(text))


def _write(problems: Iterable[Problem], file: BinaryIO) -> None:
    file.write(codecs.BOM_UTF8)
    file.write(csv_lines([HEADER])[0].encode())
    file.writelines("".join(lines).encode() for lines in _in_batches(problems))


def _in_batches(problems: Iterable[Problem]) -> Iterator[list[str]]:
    rows: list[tuple[str | int, ...]] = []
    for problem in problems:
        rows.append(_row(problem))
        if len(rows) == _ROWS_AT_ONCE:
            yield csv_lines(rows)
            rows = []
    yield csv_lines(rows)


def _row(p: Problem) -> tuple[str | int, ...]:
    texts = (p.column, p.value, p.code, p.level, p.message, p.source)
    return (p.line or "", p.record or "", *map(safe, texts))


def _picture(found: re.Match[str]) -> str:
    point = ord(found[0])
    if point < 0x20:  # noqa: PLR2004  (C0)
        return chr(_PICTURES + point)
    if point == 0x7F:  # noqa: PLR2004  (DEL)
        return "\N{SYMBOL FOR DELETE}"
    return f"\\x{point:02x}" if point <= 0xFF else f"\\u{point:04x}"  # noqa: PLR2004  (one byte)
