"""The readable records column by column: rules, totals, keys, and numbers brought into the tenant's form."""

from collections import Counter
from collections.abc import Sequence

from revsyncd.checks.blocks import Rows
from revsyncd.checks.cells import ColumnCheck, Oddity, families
from revsyncd.checks.contract import CheckJob
from revsyncd.checks.header import Header, folded
from revsyncd.checks.judges import Ask, Finding
from revsyncd.checks.keys import Keys
from revsyncd.checks.numbers import NumberForm
from revsyncd.checks.organisation import OneOrganisation
from revsyncd.checks.problems import Problems
from revsyncd.checks.remembered import CODE as SEEN_BEFORE
from revsyncd.checks.remembered import SeenBefore
from revsyncd.checks.revenue_rules import INVOICE_LINE, ORGANISATION
from revsyncd.checks.row_checks import RowChecks
from revsyncd.checks.totals import Totals
from revsyncd.core.dates import DateMask
from revsyncd.core.errors import CheckFailed
from revsyncd.core.template import ColumnType

_NO_NUMBER = "?"


class Columns:
    """A block's columns with its numbers in the tenant's form."""

    def __init__(self, rows: Rows, changed: dict[int, Sequence[str]]) -> None:
        """`changed` takes the place of the columns of the same index."""
        self._rows = rows
        self._changed = changed

    def __getitem__(self, index: int) -> Sequence[str]:
        return self._changed.get(index) or self._rows.column(index)


class ColumnChecks:
    """Everything that is asked of cells, for one file."""

    def __init__(self, job: CheckJob, header: Header, problems: Problems) -> None:
        """Look up where the columns stand. Raises CheckFailed for a date mask that is not known."""
        self._header = header
        self._problems = problems
        self._numbers = NumberForm(job.dialect.decimal, job.dialect.thousands)
        dates = date_mask(job)
        asks = _asks(job, header)
        self._oddity = Oddity(problems.is_on)
        self._families = families(
            {
                index: ColumnCheck(ask, self._numbers, dates, problems.level)
                for index, ask in sorted(asks.items())
            }
        )
        self._number_columns = [i for i, ask in asks.items() if ask.type is ColumnType.NUMBER]
        names = {ask.name: index for index, ask in asks.items() if ask.name}
        self._row_checks = RowChecks(names, self._numbers, dates, problems.is_on)
        self._organisation = OneOrganisation(_first(names, ORGANISATION), problems.is_on)
        self._by = _found(job.rules.totals_by, header)
        self._summed = _found(_summed_labels(job), header)
        self.totals = Totals(list(self._summed), list(self._by))
        self.key_codes = _key_codes(job, header, names, problems)
        self.keys = {index: Keys() for index in self.key_codes}
        labels = {place: label for label, place in _found(job.rules.unique, header).items()}
        asked = job.remembered is not None and problems.is_on(SEEN_BEFORE)
        self.seen_before = SeenBefore(labels if asked else {})
        self.normalised: Counter[str] = Counter()

    def check(self, rows: Rows, damaged: set[tuple[int, int]]) -> Columns:
        """Check a block and add it to totals and keys; gives its columns in the tenant's form.

        Cells in `damaged` (record, column) were reported already, for what makes them unreadable.
        """
        self._report(rows, damaged)
        for index, keys in self.keys.items():
            keys.add(rows.column(index))
        self.seen_before.add(rows)
        columns, count = self.normalise(rows)
        self.normalised["numbers"] += count
        by = [rows.column(index) for index in self._by.values()]
        summed = [self._summable(rows, index) for index in self._summed.values()]
        self.totals.add(summed, list(zip(*by, strict=True)))
        return columns

    @property
    def organisation(self) -> str:
        """The first organisation met; empty where there is none."""
        return self._organisation.first

    def fits(self, organisation: str) -> bool:
        """Whether records with this first organisation would have been judged alike behind these."""
        return organisation in ("", self.organisation)

    def normalise(self, rows: Rows) -> tuple[Columns, int]:
        """The block's columns in the tenant's form, and how many cells differ by it."""
        changed: dict[int, Sequence[str]] = {}
        count = 0
        for index in () if self._numbers.is_plain else self._number_columns:
            cells = rows.column(index)
            changed[index] = plain = self._in_plain_form(cells)
            count += sum(old != new for old, new in zip(cells, plain, strict=True))
        return Columns(rows, changed), count

    def _summable(self, rows: Rows, index: int) -> Sequence[str]:
        """Plain numbers; a cell that is none in the folder's notation is none here either."""
        cells = rows.column(index)
        if self._numbers.is_plain:
            return cells
        plain = self._plain_forms(cells)
        return [plain.get(cell, _NO_NUMBER) if cell else "" for cell in cells]

    def _in_plain_form(self, cells: Sequence[str]) -> list[str]:
        plain = self._plain_forms(cells)
        return [plain.get(cell, cell) for cell in cells]

    def _plain_forms(self, cells: Sequence[str]) -> dict[str, str]:
        return {v: self._numbers.plain(v) for v in set(cells) if self._numbers.is_number(v)}

    def _report(self, rows: Rows, damaged: set[tuple[int, int]]) -> None:
        odd = self._oddity.may_be_in(rows)
        found: dict[tuple[int, int], Finding] = {}
        for family in self._families:
            found.update(family.find(rows, odd=odd))
        # One defect, one code: a cell that is wrong by itself breaks no rule of the record besides. But
        # a warning must not hide an error.
        for row, index, finding in (*self._organisation.find(rows), *self._row_checks.find(rows)):
            earlier = found.setdefault((row, index), finding)
            if self._is_error(finding) and not self._is_error(earlier):
                found[row, index] = finding
        for (row, index), finding in sorted(found.items()):
            self._report_one(rows, row, index, finding, damaged)

    def _is_error(self, finding: Finding) -> bool:
        return self._problems.level(finding.code) == "error"

    def _report_one(
        self, rows: Rows, row: int, index: int, finding: Finding, damaged: set[tuple[int, int]]
    ) -> None:
        number = rows.numbers[row]
        if (number, index) in damaged:
            return
        if self._problems.full(finding.code):
            self._problems.count(finding.code, number)
            return
        record = rows.record(row)
        self._problems.add(
            finding.code,
            finding.message,
            line=record.line_of(index),
            record=number,
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
        told = f"The dates can't be checked: {error}."
        raise CheckFailed(told, hint=hint, lasting=True) from error


def _asks(job: CheckJob, header: Header) -> dict[int, Ask]:
    """What is asked of each column of the file that anybody asks anything of."""
    known = {folded(column.label): column for column in job.mapping.columns}
    required = {folded(label) for label in job.rules.required}
    allowed = {folded(label): values for label, values in job.rules.allowed.items()}
    asks: dict[int, Ask] = {}
    for key, index in header.places.items():
        if key in known:
            kind, name = known[key].type, known[key].name.strip().upper()
        elif key in required or key in allowed:
            kind, name = ColumnType.CHARACTER, ""
        else:
            continue
        asks[index] = Ask(kind, key in required, allowed.get(key, ()), name)
    return asks


def _key_codes(
    job: CheckJob, header: Header, names: dict[str, int], problems: Problems
) -> dict[int, str]:
    """Which columns must not repeat, and the code under which it is told that one does."""
    codes: dict[int, str] = {}
    invoice_line = _first(names, INVOICE_LINE)
    if invoice_line is not None and problems.is_on("revenue.715"):
        codes[invoice_line] = "revenue.715"
    for place in _found(job.rules.unique, header).values():
        told = problems.level(codes[place]) if place in codes else "off"
        level = problems.level("record.duplicate")
        if level != "off" and not (told == "error" and level == "warn"):
            codes[place] = "record.duplicate"
    return codes


def _first(places: dict[str, int], names: Sequence[str]) -> int | None:
    return next((places[name] for name in names if name in places), None)


def _summed_labels(job: CheckJob) -> Sequence[str]:
    """The folder's totals and those that the manifest speaks of."""
    return (*job.rules.totals, *(job.manifest.totals if job.manifest else ()))


def _found(labels: Sequence[str], header: Header) -> dict[str, int]:
    """Label as reported -> place in the file, for the labels that the file has."""
    places = (header.find(label) for label in labels)
    return {header.labels[place]: place for place in places if place is not None}
