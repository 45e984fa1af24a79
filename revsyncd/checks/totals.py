"""Control totals: exact decimal sums over the readable records, over the file and by combination of values."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, Inexact
from functools import reduce
from itertools import compress, repeat
from typing import Any, NamedTuple

from revsyncd.checks.numbers import are_plain, is_plain
from revsyncd.checks.problems import visible

MOST_GROUPS = 10_000
"""Combinations that are told apart; what comes beyond is summed under `OTHERS`, so memory stays bounded."""

OTHERS = "(others)"

# Sums of plain numbers are never longer than their digits need: Inexact can only mean a fault of ours.
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact])
_ZERO = Decimal(0)
Key = tuple[str, ...]
_LONGEST_QUICK = 4_000  # digits: `int` reads no more than 4,300


def exact(plain: str) -> Decimal:
    """A plain number's value."""
    return Decimal(plain)


def written(total: Decimal, like: Decimal | None = None) -> str:
    """A total as a plain number: no exponent, no negative zero; with as many decimals as another has."""
    if like is not None:
        total = total.quantize(like, context=_EXACT)
    return format(total or abs(total), "f")


def without(cells: int) -> str:
    """What to say behind a total in which so many cells are not, as they are no numbers; else nothing."""
    if not cells:
        return ""
    return f", without {cells:,} cell" + (
        " that is no number" if cells == 1 else "s that are no numbers"
    )


class Addends(NamedTuple):
    """A block of one column's numbers; `left_out` cells, which are no numbers, count as zero.

    Where all have the same count of decimals they are integers at that `scale`; else Decimals, without one.
    """

    values: Sequence[Any]
    scale: int | None = None
    left_out: int = 0

    def sum_of(self, values: Iterable[Any]) -> Decimal:
        """The exact sum of some of the values."""
        if self.scale is None:
            return reduce(_EXACT.add, values, _ZERO)
        return Decimal(sum(values)).scaleb(-self.scale, _EXACT)


def addends(values: Sequence[str]) -> Addends:
    """Plain numbers ready to be added; an empty cell is nothing, another text is left out and counted."""
    return (_at_one_scale(values) if values else None) or _as_decimals(values)


def _at_one_scale(values: Sequence[str]) -> Addends | None:
    text = "\n".join(values)
    if len(text) > _LONGEST_QUICK and max(map(len, values)) > _LONGEST_QUICK:
        return None
    first = next(filter(None, values), "")
    scale = len(first.partition(".")[2])
    points = {v[-scale - 1 : -scale] for v in values if v} if scale else {"."}
    if points != {"."} or (not scale and "." in text) or not are_plain(text, len(values)):
        return None
    digits = text.replace(".", "").split("\n")
    if "" in digits:
        digits = [digit or "0" for digit in digits]
    return Addends(list(map(int, digits)), scale)


def _as_decimals(values: Sequence[str]) -> Addends:
    good = [is_plain(value) for value in values]
    numbers = [
        Decimal(value) if is_good else _ZERO for value, is_good in zip(values, good, strict=True)
    ]
    left_out = sum(1 for value in compress(values, (not is_good for is_good in good)) if value)
    return Addends(numbers, left_out=left_out)


class Sum:
    """One column's total."""

    def __init__(self) -> None:
        """Begin with zero."""
        self.value = _ZERO
        self.left_out = 0

    def add(self, values: Sequence[str]) -> Addends:
        """Add a block; gives what was added."""
        added = addends(values)
        self.left_out += added.left_out
        self.value = _EXACT.add(self.value, added.sum_of(added.values))
        return added


class _Group:
    def __init__(self, columns: int) -> None:
        self.records = 0
        self.sums = [_ZERO] * columns


class Totals:
    """Sums `labels`' columns, over all and for each combination of the columns `by`."""

    def __init__(self, labels: Sequence[str], by: Sequence[str]) -> None:
        """Both are labels as reported; the columns are handed over in the same order."""
        self._by = tuple(by)
        self._groups: dict[tuple[str, ...], _Group] = {}
        self.sums = {label: Sum() for label in labels}

    def add(self, columns: Sequence[Sequence[str]], keys: Sequence[tuple[str, ...]]) -> None:
        """Add a batch: the cells of each summed column, and for each record its values of `by`."""
        added = [s.add(cells) for s, cells in zip(self.sums.values(), columns, strict=True)]
        if not self._by:
            return
        grouped: defaultdict[Key, list[Sequence[Any]]] = defaultdict(list)
        numbers = zip(*(a.values for a in added), strict=True) if added else repeat((), len(keys))
        for key, row in zip(keys, numbers, strict=True):
            grouped[key].append(row)
        for key, rows in grouped.items():
            sums = [
                a.sum_of(column) for a, column in zip(added, zip(*rows, strict=True), strict=True)
            ]
            self._add_to_group(key, len(rows), sums)

    def merge(self, other: "Totals") -> None:
        """Add what another one has summed of the same columns."""
        for label, found in other.sums.items():
            mine = self.sums[label]
            mine.left_out += found.left_out
            mine.value = _EXACT.add(mine.value, found.value)
        for key, group in other._groups.items():  # noqa: SLF001  (another one of us)
            self._add_to_group(key, group.records, group.sums)

    def _add_to_group(self, key: tuple[str, ...], records: int, parts: Sequence[Decimal]) -> None:
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= MOST_GROUPS:
                key = (OTHERS,) * len(self._by)
            group = self._groups.setdefault(key, _Group(len(self.sums)))
        group.records += records
        group.sums = [_EXACT.add(a, b) for a, b in zip(group.sums, parts, strict=True)]

    def totals(self) -> dict[str, str]:
        """The total of each label."""
        return {label: written(s.value) for label, s in self.sums.items()}

    def totals_by(self) -> tuple[dict[str, str | int], ...]:
        """For each combination its values, its count of records and its totals, sorted by the values."""
        return tuple(
            self._line(key, group) for key, group in sorted(self._groups.items(), key=_key)
        )

    def unsummed(self) -> dict[str, int]:
        """How many cells were left out, for the labels where any was."""
        return {label: s.left_out for label, s in self.sums.items() if s.left_out}

    def _line(self, key: tuple[str, ...], group: _Group) -> dict[str, str | int]:
        line: dict[str, str | int] = dict(zip(self._by, map(visible, key), strict=True))
        line["records"] = group.records
        # An empty cell is a zero with the decimals of its block: those of the column do not depend on it.
        columns = (s.value for s in self.sums.values())
        line.update(zip(self.sums, map(written, group.sums, columns), strict=True))
        return line


def _key(entry: tuple[tuple[str, ...], _Group]) -> tuple[str, ...]:
    return entry[0]
