"""The table of what the bench tried and found, for a terminal and for `docs/reliability.md`."""

import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby
from pathlib import Path

from prove.faults import FAULTS
from prove.kills import Figures

Tried = tuple[str, bool]  # a test and whether it passed
FULL = "prove or prove_full"  # the marks of a whole run; the figures of a part go on no page
HEADINGS = ("tried", "points", "as if nothing had happened", "held in doubt", "violations")


class Kind(StrEnum):
    """What a line of the table counts."""

    FAULTS = "faults"  # single faults: each is one test
    KILLS = "kills"  # moments at which a process was ended, or power was lost
    CONTROL = "control"  # a build that breaks the promise, and has to be caught


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; of a negative control `violations` has to be more than none."""

    what: str
    points: int
    done: int = 0
    doubts: int = 0
    violations: int = 0
    kind: str = Kind.KILLS

    @classmethod
    def of(cls, what: str, found: Figures) -> "Row":
        """The line of a sweep."""
        return cls(what, found.points, found.done, found.doubts, len(found.violations))

    @classmethod
    def of_control(cls, without: str, found: Figures, *, caught: bool) -> "Row":
        """The line of a build that leaves something out."""
        return cls(without, found.points, violations=int(caught), kind=Kind.CONTROL)

    @property
    def cells(self) -> tuple[str, ...]:
        """As text."""
        if self.kind == Kind.CONTROL:
            told = "caught" if self.violations else "NOT CAUGHT"
            return (f"a build without {self.what}", f"{self.points:,}", "", "", told)
        numbers = (self.points, self.done, self.doubts, self.violations)
        return (self.what, *(f"{number:,}" for number in numbers))


def of_tests(tests: Sequence[Tried]) -> list[Row]:
    """A line for each file with tests of single faults."""
    rows = []
    for path, group in groupby(sorted(tests), key=lambda each: each[0].partition("::")[0]):
        passed = [good for _, good in group]
        row = Row(path, len(passed), sum(passed), 0, passed.count(False), Kind.FAULTS)
        rows.append(row)
    return rows


def summary(rows: Sequence[Row]) -> list[str]:
    """What an auditor looks for first."""
    faults, kills, controls = ([r for r in rows if r.kind == kind] for kind in Kind)
    caught = sum(bool(row.violations) for row in controls)
    return [
        f"faults tried: {_points(faults):,}",
        f"kill points tried: {_points(kills):,}",
        f"violations: {sum(row.violations for row in (*faults, *kills)):,}",
        f"negative controls caught: {caught} of {len(controls)}",
    ]


def unfit(rows: Sequence[Row], *, passed: bool, skipped: bool, whole: bool) -> str:
    """Why these figures go on no page; empty where they may."""
    # A control has to be caught, and nothing else may have a violation.
    good = all(bool(row.violations) == (row.kind == Kind.CONTROL) for row in rows)
    if not passed or not good:
        return "not everything passed"
    if skipped:
        return "not everything could be tried here"
    return "" if whole else "that was not the whole bench"


def _points(rows: Iterable[Row]) -> int:
    return sum(row.points for row in rows)


def _with_sum(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    ordered = sorted(rows, key=lambda row: (list(Kind).index(Kind(row.kind)), row.what))
    tried = [row for row in ordered if row.kind != Kind.CONTROL]
    controls = [row for row in ordered if row.kind == Kind.CONTROL]
    total = Row(
        "all",
        _points(tried),
        sum(row.done for row in tried),
        sum(row.doubts for row in tried),
        sum(row.violations for row in tried),
    )
    return [row.cells for row in (*tried, total, *controls)]


def plain(rows: Sequence[Row]) -> str:
    """For a terminal."""
    lines = [HEADINGS, *_with_sum(rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    told = [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([*told, "", *summary(rows)])


def figures(rows: Sequence[Row], seconds: float) -> str:
    """For the page."""
    now = datetime.now(UTC)
    where = f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}"
    told = f"{now:%Y-%m-%d}, {where}, {os.cpu_count()} cores, {seconds / 60:.0f} minutes.\n\n"
    told += "".join(f"- {line}\n" for line in summary(rows)) + "\n"
    return told + _markdown(HEADINGS, _with_sum(rows))


def faults() -> str:
    """The table of faults for the page, one for each kind."""
    told = []
    for kind, group in groupby(FAULTS, key=lambda fault: fault.kind):
        lines = [(f.fault, f.injected, f.must, f"`{f.test}`") for f in group]
        headings = ("fault", "how it is brought about", "what must happen", "test")
        told.append(f"### {kind}\n\n{_markdown(headings, lines)}")
    return "\n".join(told)


def _markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [headings, ["---"] * len(headings), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def write(page: Path, name: str, text: str) -> None:
    """Replace what stands on a page between `<!-- name -->` and `<!-- /name -->`."""
    between = re.compile(rf"(<!-- {name} -->\n).*(<!-- /{name} -->)", re.DOTALL)
    page.write_text(between.sub(lambda found: f"{found[1]}{text}{found[2]}", page.read_text()))


def read(page: Path, name: str) -> str:
    """What stands there."""
    found = re.search(rf"<!-- {name} -->\n(.*)<!-- /{name} -->", page.read_text(), re.DOTALL)
    return found[1] if found else ""


if __name__ == "__main__":
    write(Path("docs/reliability.md"), "faults", faults())
