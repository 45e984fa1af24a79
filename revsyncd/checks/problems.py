"""What was found, counted in full and listed in part: levels, limits, and which records are at fault."""

import re
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

from revsyncd.checks.contract import Problem
from revsyncd.checks.revenue_rules import ROW_RULES

DEFAULT_LEVELS = {
    "cell.suspect": "warn",
    "record.seen_before": "warn",
    "revenue.709": "off",
    **{rule.code: rule.level for rule in ROW_RULES},
}
"""Every other code is an error unless the folder says otherwise."""

UNBENDING = frozenset(
    {
        "file.empty",
        "file.encoding",
        "file.unterminated_quote",
        "file.group",
        "header.duplicate",
        "record.fields",
        "record.quote",
    }
)
"""Errors whatever the folder says: what can't be read can't be sent, nor left out in silence."""

FILE_FAMILIES = ("file", "header", "manifest")
"""An error under one of these speaks of the file as a whole: nothing of it is sent."""

VALUE_LENGTH = 200

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def level_of(code: str, levels: dict[str, str]) -> str:
    """The level of `code`: error, warn or off. The exact code counts first, then the longest prefix."""
    if code in UNBENDING:
        return "error"
    prefix = code
    while prefix:
        if prefix in levels:
            return levels[prefix]
        prefix = prefix.rpartition(".")[0]
    return DEFAULT_LEVELS.get(code, "error")


def visible(text: str) -> str:
    r"""`text` with undecodable bytes spelled out as they were: `M\xfcller`."""
    return text if text.isascii() else _LONE_SURROGATE.sub(_spelled, text)


def _spelled(found: re.Match[str]) -> str:
    point = ord(found[0])
    # Surrogateescape keeps the bytes 80 to FF at DC80 to DCFF.
    return f"\\x{point - 0xDC00:02x}" if 0xDC80 <= point <= 0xDCFF else f"\\u{point:04x}"  # noqa: PLR2004


def share(found: dict[str, int], limit: int) -> dict[str, int]:
    """How many of each code to list: equal shares of `limit`, what one does not need going to the others."""
    shares: dict[str, int] = {}
    for place, code in enumerate(sorted(found, key=lambda code: (found[code], code))):
        fair = (limit - sum(shares.values())) // (len(found) - place)
        shares[code] = min(found[code], fair)
    return shares


class Marks:
    """Which records have errors, as one byte a record, and nothing while there is none."""

    def __init__(self) -> None:
        """Begin without a mark."""
        self._flags = bytearray()

    def __contains__(self, record: int) -> bool:
        return record < len(self._flags) and self._flags[record] == 1

    def __bool__(self) -> bool:
        return bool(self._flags)

    def add(self, record: int) -> None:
        """Mark one record; records come in any order."""
        if record >= len(self._flags):
            self._flags.extend(bytes(record + 1 - len(self._flags)))
        self._flags[record] = 1

    def append(self, other: "Marks", records: int) -> None:
        """Mark what another one has marked behind so many records."""
        if other:
            self._flags.extend(bytes(max(0, records + 1 - len(self._flags))))
            self._flags += other._flags[1:]  # noqa: SLF001  (another one of us)

    def ranges(self) -> tuple[tuple[int, int], ...]:
        """The marked records, first and last inclusive."""
        found: list[tuple[int, int]] = []
        first = self._flags.find(1)
        while first >= 0:
            end = self._flags.find(0, first)
            end = len(self._flags) if end < 0 else end
            found.append((first, end - 1))
            first = self._flags.find(1, end)
        return tuple(found)


class KeptProblems(NamedTuple):
    """The findings in one half of a file."""

    listed: dict[str, list[tuple[int, Problem]]]
    by_code: Counter[str]
    errors: int
    warnings: int
    marks: Marks
    file_refused: bool


class Problems:
    """Collects findings. Memory is bounded by some problems a code and one byte a record."""

    def __init__(self, levels: dict[str, str], limit: int) -> None:
        """Apply the folder's `levels`; list at most `limit`."""
        self._levels = levels
        self._limit = limit
        self._listed: dict[str, list[tuple[int, Problem]]] = {}
        self._known_levels: dict[str, str] = {}
        self.by_code: Counter[str] = Counter()
        self.errors = 0
        self.warnings = 0
        self.marks = Marks()
        self.file_refused = False

    def level(self, code: str) -> str:
        """error, warn or off."""
        if code not in self._known_levels:
            self._known_levels[code] = level_of(code, self._levels)
        return self._known_levels[code]

    def is_on(self, code: str) -> bool:
        """Whether findings of this code count at all."""
        return self.level(code) != "off"

    def full(self, code: str) -> bool:
        """Whether another finding of this code, found in file order, would only be counted."""
        return len(self._listed.get(code, ())) >= self._limit

    def count(self, code: str, record: int = 0, *, insist: bool = False) -> str:
        """Count a finding without listing it, and mark its record if it is an error; gives the level."""
        level = "error" if insist else self.level(code)
        if level == "off":
            return level
        self.by_code[code] += 1
        if level == "warn":
            self.warnings += 1
            return level
        self.errors += 1
        self.file_refused |= code.partition(".")[0] in FILE_FAMILIES
        if record:
            self.marks.add(record)
        return level

    def add(  # noqa: PLR0913  (the facts of a problem, each by its name)
        self,
        code: str,
        message: str,
        *,
        line: int = 0,
        record: int = 0,
        column: str = "",
        value: str = "",
        order: int = 0,
        insist: bool = False,
    ) -> None:
        """Count a finding and list it while there is room.

        `order` is its cell's place in the record; `insist` makes it an error whatever the levels say.
        """
        level = self.count(code, record, insist=insist)
        if level == "off":
            return
        shown = visible(value[:VALUE_LENGTH])[:VALUE_LENGTH]
        problem = Problem(line, record, column, shown, code, level, message)
        listed = self._listed.setdefault(code, [])
        listed.append((order, problem))
        if len(listed) > 2 * self._limit:
            self._listed[code] = sorted(listed, key=_place)[: self._limit]

    def kept(self) -> "KeptProblems":
        """Everything found so far, to be merged into another's findings."""
        return KeptProblems(
            self._listed, self.by_code, self.errors, self.warnings, self.marks, self.file_refused
        )

    def merge(self, found: "KeptProblems", *, records: int, lines: int) -> None:
        """Add what was found behind so many `records` and `lines`."""
        for code, entries in found.listed.items():
            moved = [
                (order, replace(p, line=p.line + lines, record=p.record + records))
                for order, p in entries
            ]
            self._listed.setdefault(code, []).extend(moved)
        self.by_code.update(found.by_code)
        self.errors += found.errors
        self.warnings += found.warnings
        self.file_refused |= found.file_refused
        self.marks.append(found.marks, records)

    def listed(self) -> tuple[Problem, ...]:
        """The first problems of each code, as many of each as the limit allows, in file order."""
        # By what was counted: how many are kept besides depends on how the file was cut.
        counts = {code: min(self.by_code[code], self._limit) for code in self._listed}
        shares = share(counts, self._limit)
        chosen = [
            entry
            for code, n in shares.items()
            for entry in sorted(self._listed[code], key=_place)[:n]
        ]
        return tuple(problem for _, problem in sorted(chosen, key=_place))


def _place(entry: tuple[int, Problem]) -> tuple[int, int, int]:
    order, problem = entry
    return problem.line, problem.record, order
