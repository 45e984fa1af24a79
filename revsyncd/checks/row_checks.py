"""The rules that need several cells of a record, judged once per distinct combination of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from revsyncd.checks.blocks import Rows
from revsyncd.checks.judges import Finding, IsOn, is_blank
from revsyncd.checks.numbers import NumberForm, is_plain
from revsyncd.checks.revenue_rules import FIELDS, ROW_RULES, Lens, RowRule, lens_of
from revsyncd.checks.totals import exact
from revsyncd.core.dates import DateMask

REMEMBERED = 4_000
"""Good combinations kept per group of rules; beyond, they are forgotten and judged anew."""

_LONGEST_REMEMBERED = 64  # characters of a cell


class Unreadable(Exception):
    """A cell that is no number or date: that is reported as such, and no rule looks at it."""


class RowFinding(NamedTuple):
    """A finding with its row, counted within the block, and its column."""

    row: int
    column: int
    finding: Finding


Read = Callable[[Any], Any]
Seen = tuple[Any, ...]
"""What a group sees of a record in those of its columns that vary in the block."""
Fixed = tuple[Any, ...]
"""For each column of a group what all records of the block have there, or `_VARIES`."""

_VARIES = object()


@dataclass(slots=True)
class _Group:
    """Rules that look at the same cells: one set of combinations serves them all.

    `columns` are (place in the file, whether only filled or not matters), `rules` are (rule,
    reported place, which of the columns it takes, how each is read).
    """

    columns: list[tuple[int, bool]]
    types: frozenset[str] = frozenset()  # where not empty: no other transaction type is concerned
    rules: list[tuple[RowRule, int, list[int], list[Read]]] = field(default_factory=list)
    good: dict["Fixed", set["Seen"]] = field(default_factory=dict)

    def looked_at(self, rows: Rows) -> tuple[list[Sequence[Any]], Fixed]:
        """The columns that vary, and what all records have in the others.

        To the tenant's database a cell of blanks is filled; `required` is the check that says otherwise.
        """
        varying: list[Sequence[Any]] = []
        fixed: list[Any] = []
        for place, filled in self.columns:
            cells = rows.differing(place)
            if len(cells) == 1:
                fixed.append(bool(cells[0]) if filled else cells[0])
            elif filled and all(cells):
                fixed.append(True)
            else:
                fixed.append(_VARIES)
                varying.append(list(map(bool, cells)) if filled else cells)
        return varying, tuple(fixed)

    def remember(self, fixed: Fixed, good: set[Seen]) -> None:
        """Keep what need not be judged again; long texts would take too much memory."""
        if len(good) >= REMEMBERED or not _are_short(fixed):
            return
        if sum(len(seen) + 1 for seen in self.good.values()) + len(good) > REMEMBERED:
            self.good.clear()
        self.good.setdefault(fixed, set()).update(filter(_are_short, good))

    def judge(self, fixed: Fixed, seen: Seen) -> list[tuple[int, Finding]]:
        """What is wrong with one combination, and at which place: one finding a place."""
        vary = iter(seen)
        cells = [next(vary) if cell is _VARIES else cell for cell in fixed]
        found: dict[int, Finding] = {}
        for rule, place, takes, reads in self.rules:
            if place not in found and _is_broken(rule, [cells[i] for i in takes], reads):
                found[place] = Finding(rule.code, f"{rule.message} (RPRO-{rule.number:05})")
        return list(found.items())


def _is_broken(rule: RowRule, cells: Sequence[Any], reads: Sequence[Read]) -> bool:
    try:
        return bool(rule.broken(*(read(cell) for read, cell in zip(reads, cells, strict=True))))
    except Unreadable:
        return False


class RowChecks:
    """All rules that apply to a file's columns."""

    def __init__(
        self, places: dict[str, int], numbers: NumberForm, dates: DateMask | None, is_on: IsOn
    ) -> None:
        """`places` is staging name, in upper case, -> where the column stands in the file."""
        self._numbers = numbers
        self._dates = dates
        self._places = _places_of_fields(places)
        self._groups = self._grouped(rule for rule in ROW_RULES if is_on(rule.code))

    def find(self, rows: Rows) -> list[RowFinding]:
        """Every record of the block that breaks a rule."""
        if not self._groups:
            return []
        types = self._types_in(rows)
        return [
            found
            for group in self._groups
            if not group.types or group.types & types
            for found in _find(group, rows)
        ]

    def _types_in(self, rows: Rows) -> set[str]:
        place = self._places.get("type")
        return set() if place is None else {t.strip().upper() for t in set(rows.differing(place))}

    def _grouped(self, rules: Iterable[RowRule]) -> list[_Group]:
        """The rules that apply, grouped by the cells at which they look."""
        simple = _Group([])  # flags, types, filled or not: few combinations whatever the columns
        groups: dict[tuple[str, ...], _Group] = {(): simple}
        for rule in rules:
            names = [name.removesuffix("?") for name in rule.fields]
            if not all(name in self._places for name in names):
                continue
            is_simple = all(_lens(name) in (Lens.CODE, Lens.FILLED) for name in rule.fields)
            key = () if is_simple else _family(rule)
            self._join(groups.setdefault(key, _Group([], rule.types)), rule)
        return [group for group in groups.values() if group.rules]

    def _join(self, group: _Group, rule: RowRule) -> None:
        takes: list[int] = []
        for name in rule.fields:
            column = (self._places[name.removesuffix("?")], _lens(name) is Lens.FILLED)
            if column not in group.columns:
                group.columns.append(column)
            takes.append(group.columns.index(column))
        reads = [self._read(_lens(name)) for name in rule.fields]
        group.rules.append((rule, self._places[rule.at], takes, reads))

    def _read(self, lens: Lens) -> Read:
        reads: dict[Lens, Read] = {
            Lens.CODE: lambda text: text.strip().upper(),
            Lens.FILLED: bool,
            Lens.NUMBER: self._number,
            Lens.DATE: self._date,
        }
        return reads[lens]

    def _number(self, text: str) -> Any:
        if is_blank(text):
            return None
        plain = self._numbers.plain(text) if self._numbers.is_number(text) else ""
        if not is_plain(plain):
            raise Unreadable
        return exact(plain)

    def _date(self, text: str) -> Any:
        if is_blank(text):
            return None
        try:
            date = self._dates.parse(text) if self._dates else None
        except ValueError:
            date = None
        if date is None:
            raise Unreadable
        return date


def _lens(name: str) -> Lens:
    return Lens.FILLED if name.endswith("?") else lens_of(name)


def _family(rule: RowRule) -> tuple[str, ...]:
    """Rules of one family share their combinations: dates of a term, currencies and rates."""
    names = {name.removesuffix("?") for name in rule.fields}
    for family in (("start", "end"), ("currency", "base_currency", "f_rate")):
        if names <= set(family):
            return family
    return rule.fields


def _places_of_fields(places: dict[str, int]) -> dict[str, int]:
    """Field -> place, for the fields that the template and the file have."""
    found = {
        field: next((places[name] for name in names if name in places), None)
        for field, names in FIELDS.items()
    }
    return {field: place for field, place in found.items() if place is not None}


def _are_short(cells: Iterable[Any]) -> bool:
    return all(not isinstance(cell, str) or len(cell) <= _LONGEST_REMEMBERED for cell in cells)


def _find(group: _Group, rows: Rows) -> Iterator[RowFinding]:
    columns, fixed = group.looked_at(rows)
    known = group.good.get(fixed, set())
    new = (set(zip(*columns, strict=True)) if columns else {()}) - known
    if not new:
        return
    bad: dict[Seen, list[tuple[int, Finding]]] = {}
    for seen in new:
        if found := group.judge(fixed, seen):
            bad[seen] = found
    group.remember(fixed, new - bad.keys())
    if not bad:
        return
    for row, seen in enumerate(zip(*columns, strict=True) if columns else [()] * len(rows)):
        for place, finding in bad.get(seen, ()):
            yield RowFinding(row, place, finding)
