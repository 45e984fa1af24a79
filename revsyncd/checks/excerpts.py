"""The line of a problem with the place of its cell, for people who look at a terminal."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from revsyncd.checks.contract import Dialect, Problem
from revsyncd.checks.header import folded, positions
from revsyncd.checks.problems import visible
from revsyncd.checks.reading import FileReading
from revsyncd.checks.structure import Record

_BEFORE, _WIDTH = (
    30,
    76,
)  # characters: how much of a long line is shown, and how much before the cell
_CUT = "…"


class Excerpt(NamedTuple):
    """A piece of a physical line, and the cell in it; no `length` where the whole line is meant."""

    text: str
    begin: int
    length: int


def excerpts(path: Path, dialect: Dialect, problems: Sequence[Problem]) -> dict[Problem, Excerpt]:
    """The lines of those problems that belong to a record, in one reading. Raises OSError."""
    wanted: dict[int, list[Problem]] = {}
    for problem in problems:
        if problem.record:
            wanted.setdefault(problem.record, []).append(problem)
    if not wanted:
        return {}
    reading = FileReading(path, dialect)
    found: dict[Problem, Excerpt] = {}
    for record in _records(reading, set(wanted)):
        places = positions(reading.header) if reading.header else {}
        for problem in wanted.pop(record.number, ()):
            column = places.get(folded(problem.column))
            found[problem] = _excerpt(record, column, problem, reading.delimiter)
        if not wanted:
            break
    return found


def _records(reading: FileReading, numbers: set[int]) -> Iterable[Record]:
    for blocks in reading.blocks():
        for block in blocks:
            if isinstance(block, tuple):
                yield from (record for record in block.records if record.number in numbers)
            else:
                yield from map(
                    block.record,
                    (row for row, n in enumerate(block.numbers) if n in numbers),
                )


def _excerpt(record: Record, column: int | None, problem: Problem, delimiter: str) -> Excerpt:
    lines = record.text.split("\n")
    at = min(max(problem.line - record.line, 0), len(lines) - 1)
    text = lines[at].removesuffix("\r")
    if column is None:
        return _cropped(text, 0, 0)
    spans = _cells(record.text, delimiter)
    begin, end = spans[column] if column < len(spans) else (0, 0)
    before = sum(len(line) + 1 for line in lines[:at])
    begin, end = begin - before, min(end - before, len(text))
    if not 0 <= begin <= len(text):  # the fault is one of quotes: the cell is where its text is
        begin = max(text.find(problem.value), 0)
        end = begin + len(problem.value)
    return _cropped(text, begin, max(end - begin, 1))


def _cells(text: str, delimiter: str) -> list[tuple[int, int]]:
    """Where each cell of a record begins and ends, its quotes included."""
    spans: list[tuple[int, int]] = []
    begin, quoted = 0, False
    for at, char in enumerate(text):
        if char == '"' and (quoted or at == begin):
            quoted = not quoted
        elif char == '"' and text[at - 1] == '"' and text.startswith('"', begin):
            quoted = True  # the second of two
        elif char == delimiter and not quoted:
            spans.append((begin, at))
            begin = at + 1
    return [*spans, (begin, len(text))]


def _cropped(text: str, begin: int, length: int) -> Excerpt:
    first = max(begin - _BEFORE, 0) if len(text) > _WIDTH else 0
    lead = _CUT if first else ""
    shown = text[first : first + _WIDTH]
    tail = _CUT if first + _WIDTH < len(text) else ""
    begin = begin - first + len(lead)
    printable = "".join(c if c.isprintable() else "." for c in _one_for_one(shown))
    return Excerpt(lead + printable + tail, begin, min(length, len(lead + shown) - begin))


def _one_for_one(text: str) -> str:
    """One character for each of the text's, so that a mark below stands right."""
    return "".join(c if visible(c) == c else "\N{REPLACEMENT CHARACTER}" for c in text)
