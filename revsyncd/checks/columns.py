"""The readable records column by column: rules, totals, keys, and numbers brought into the tenant's form."""

from collections import Counter
from collections.abc import Sequence

from revsyncd.checks.cells import Ask, ColumnCheck, Finding
from revsyncd.checks.contract import CheckJob
from revsyncd.checks.header import Header, folded
from revsyncd.checks.keys import Keys
from revsyncd.checks.numbers import NumberForm
from revsyncd.checks.problems import Problems
from revsyncd.checks.structure import Record
from revsyncd.checks.totals import Totals
from revsyncd.core.dates import DateMask
from revsyncd.core.errors import CheckFailed
from revsyncd.core.template import ColumnType

Columns = list[Sequence[str]]
"""The cells of a batch, one sequence a column of the file."""


class ColumnChecks:
    """Everything that is asked of cells, for one file."""

    def __init__(self, job: CheckJob, header: Header, problems: Problems) -> None:
        """Look up where the columns stand. Raises CheckFailed for a date mask that is not known."""
        self._header = header
        self._problems = problems
        self._numbers = NumberForm(job.dialect.decimal, job.dialect.thousands)
        asks = _asks(job, header)
        self._checks = _checks(asks, self._numbers, date_mask(job))
        self._number_columns = [i for i, ask in asks.items() if ask.type is ColumnType.NUMBER]
        self._by = _found(job.rules.totals_by, header)
        self._summed = _found(_summed_labels(job), header)
        self.totals = Totals(list(self._summed), list(self._by))
        self.keys = {index: Keys() for index in _found(job.rules.unique, header).values()}
        self.normalised: Counter[str] = Counter()

    def check(self, rows: list[Record], damaged: set[tuple[int, int]]) -> Columns:
        """Check a batch and add it to totals and keys; gives its columns in the tenant's form.

        Cells in `damaged` (record, column) were reported already, for what makes them unreadable.
        """
        columns: Columns = list(zip(*(row.fields for row in rows), strict=True))
        if not columns:
            return [()] * self._header.width
        self._report(rows, columns, damaged)
        for index, keys in self.keys.items():
            keys.add(columns[index])
        keys_of_totals = list(zip(*(columns[i] for i in self._by.values()), strict=True))
        self.normalised["numbers"] += self.normalise(columns)
        self.totals.add([self._summable(columns, i) for i in self._summed.values()], keys_of_totals)
        return columns

    def normalise(self, columns: Columns) -> int:
        """Bring the number columns into the tenant's form; gives how many cells change by it."""
        if self._numbers.is_plain:
            return 0
        count = 0
        for index in self._number_columns:
            changed = self._in_plain_form(columns[index])
            count += sum(old != new for old, new in zip(columns[index], changed, strict=True))
            columns[index] = changed
        return count

    def _summable(self, columns: Columns, index: int) -> Sequence[str]:
        if self._numbers.is_plain or index in self._number_columns:
            return columns[index]
        return self._in_plain_form(columns[index])

    def _in_plain_form(self, cells: Sequence[str]) -> list[str]:
        plain = {v: self._numbers.plain(v) for v in set(cells) if self._numbers.is_number(v)}
        return [plain.get(cell, cell) for cell in cells]

    def _report(self, rows: list[Record], columns: Columns, damaged: set[tuple[int, int]]) -> None:
        found = [
            (row, index, finding)
            for index, check in self._checks.items()
            for row, finding in check.find(columns[index])
        ]
        found.sort(key=lambda entry: entry[:2])
        for row, index, finding in found:
            if (rows[row].number, index) not in damaged:
                self._report_one(rows[row], index, finding)

    def _report_one(self, record: Record, index: int, finding: Finding) -> None:
        if self._problems.full(finding.code):
            self._problems.count(finding.code, record.number)
            return
        self._problems.add(
            finding.code,
            finding.message,
            line=record.line_of(index),
            record=record.number,
            column=self._header.column(index),
            value=record.fields[index],
            order=index,
        )


def date_mask(job: CheckJob) -> DateMask | None:
    """The mask for the job's dates; None where the template has none. Raises CheckFailed."""
    if all(column.type is not ColumnType.DATE for column in job.mapping.columns):
        return None
    try:
        return DateMask(job.rules.date_format or job.mapping.date_format)
    except ValueError as error:
        hint = "Set csv.date_format of the folder to a mask of the same dates that is known."
        raise CheckFailed(f"The dates can't be checked: {error}.", hint=hint) from error


def _asks(job: CheckJob, header: Header) -> dict[int, Ask]:
    """What is asked of each column of the file that anybody asks anything of."""
    types = {folded(column.label): column.type for column in job.mapping.columns}
    required = {folded(label) for label in job.rules.required}
    allowed = {folded(label): values for label, values in job.rules.allowed.items()}
    return {
        index: Ask(types.get(key, ColumnType.CHARACTER), key in required, allowed.get(key, ()))
        for key, index in header.places.items()
        if key in types or key in required or key in allowed
    }


def _checks(
    asks: dict[int, Ask], numbers: NumberForm, dates: DateMask | None
) -> dict[int, ColumnCheck]:
    return {index: ColumnCheck(ask, numbers, dates) for index, ask in sorted(asks.items())}


def _summed_labels(job: CheckJob) -> Sequence[str]:
    """The folder's totals and those that the manifest speaks of."""
    return (*job.rules.totals, *(job.manifest.totals if job.manifest else ()))


def _found(labels: Sequence[str], header: Header) -> dict[str, int]:
    """Label as reported -> place in the file, for the labels that the file has."""
    places = (header.find(label) for label in labels)
    return {header.labels[place]: place for place in places if place is not None}
