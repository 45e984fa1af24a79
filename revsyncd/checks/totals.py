"""Control totals: exact decimal sums over the readable records, over the file and by combination of values."""

from collections.abc import Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, Inexact

from revsyncd.checks.numbers import is_plain

MOST_GROUPS = 10_000
"""Combinations that are told apart; what comes beyond is summed under `OTHERS`, so memory stays bounded."""

OTHERS = "(others)"

# Sums of plain numbers are never longer than their digits need: Inexact can only mean a fault of ours.
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact])
_ZERO = Decimal(0)


def written(total: Decimal) -> str:
    """A total as a plain number: no exponent, no negative zero."""
    return format(total or abs(total), "f")


class Sum:
    """One column's total."""

    def __init__(self) -> None:
        """Begin with zero."""
        self.value = _ZERO
        self.left_out = 0

    def add(self, values: Sequence[str]) -> list[Decimal]:
        """Add plain numbers; an empty cell is nothing, another text is left out and counted."""
        numbers = [self._number(value) for value in values]
        total = self.value
        for number in numbers:
            total = _EXACT.add(total, number)
        self.value = total
        return numbers

    def _number(self, value: str) -> Decimal:
        if not value:
            return _ZERO
        if not is_plain(value):
            self.left_out += 1
            return _ZERO
        return Decimal(value)


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
        numbers = [s.add(cells) for s, cells in zip(self.sums.values(), columns, strict=True)]
        if self._by:
            for key, *row in zip(keys, *numbers, strict=True):
                self._add_to_group(key, row)

    def _add_to_group(self, key: tuple[str, ...], row: list[Decimal]) -> None:
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= MOST_GROUPS:
                key = (OTHERS,) * len(self._by)
            group = self._groups.setdefault(key, _Group(len(self.sums)))
        group.records += 1
        group.sums = [_EXACT.add(a, b) for a, b in zip(group.sums, row, strict=True)]

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
        line: dict[str, str | int] = dict(zip(self._by, key, strict=True))
        line["records"] = group.records
        line.update(zip(self.sums, map(written, group.sums), strict=True))
        return line


def _key(entry: tuple[tuple[str, ...], _Group]) -> tuple[str, ...]:
    return entry[0]
