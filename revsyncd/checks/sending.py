"""What may be sent of a file: its records in the template's order and the tenant's form, cut into parts."""

from collections.abc import Sequence

from revsyncd.checks.blocks import Rows
from revsyncd.checks.columns import Columns
from revsyncd.checks.contract import CheckJob, Preparation, PreparedPart
from revsyncd.checks.header import Header
from revsyncd.checks.line_ids import IndexWriter
from revsyncd.checks.parts import GroupTooLargeError, PartsWriter
from revsyncd.checks.problems import Problems
from revsyncd.checks.structure import Record
from revsyncd.checks.writing import csv_lines


class Sending:
    """Writes the parts and the index of line ids. Raises NoSpace."""

    def __init__(
        self, job: CheckJob, preparation: Preparation, header: Header, delimiter: str
    ) -> None:
        """Take the columns from where `header` says they stand; a missing one is sent empty."""
        self._preparation = preparation
        self._parts = PartsWriter(preparation, job.mapping.labels)
        self._index = IndexWriter(preparation.line_ids) if preparation.line_ids else None
        self._ids = [
            header.find(label) for label in (preparation.so_line_id, preparation.inv_line_id)
        ]
        self._sent = header.sent
        found = [header.find(label) for label in preparation.keep_together]
        self._together = [index for index in found if index is not None]
        self._bundles = preparation.bundles
        self._bundle: tuple[str, ...] = ()
        plain_numbers = job.dialect.decimal == "." and not job.dialect.thousands
        in_order = self._sent == tuple(range(header.width))
        self._as_it_stands = plain_numbers and in_order and delimiter == ","

    def add(self, rows: Rows, columns: Columns, problems: Problems) -> None:
        """Add a block without the records at fault; a group too large for a part is a new problem."""
        numbers = rows.numbers
        if self._index is not None:
            so, inv = (self._column(columns, index, len(rows)) for index in self._ids)
            self._index.add(numbers, so, inv)
        lines = self._lines(rows, columns)
        keys = self._groups(columns, len(rows))
        if problems.marks:
            keep = [at for at, number in enumerate(numbers) if number not in problems.marks]
            numbers, lines = [numbers[at] for at in keep], [lines[at] for at in keep]
            keys = [keys[at] for at in keep] if keys else []
        if not self._together and not self._bundles:
            self._parts.add(numbers, lines)
            return
        try:
            self._parts.add_groups(numbers, lines, keys)
        except GroupTooLargeError as error:
            self._report_group(rows, error.record, problems)

    def _groups(self, columns: Columns, count: int) -> list[tuple[str, ...]]:
        """For each record the values that it shares with those that stay in one part with it.

        In a bundle a parent is followed by its children: those that name no bundle belong to the
        one before. Where the file has no column that names bundles, it is all one.
        """
        cells = [columns[index] for index in self._together]
        keys: list[tuple[str, ...]] = list(zip(*cells, strict=True)) if cells else [()] * count
        if self._bundles:
            for at, key in enumerate(keys):
                keys[at] = self._bundle = key if any(key) else self._bundle
        return keys

    def finish(self, records: int) -> tuple[PreparedPart, ...]:
        """The parts, whole; `records` is the count of the file's."""
        if self._index is not None:
            self._index.publish(records)
        return self._parts.finish()

    def abandon(self) -> None:
        """Delete everything."""
        if self._index is not None:
            self._index.discard()
        self._parts.abandon()

    def _report_group(self, rows: Rows, number: int, problems: Problems) -> None:
        row = rows.record(list(rows.numbers).index(number))
        most = self._preparation.max_records
        names = (
            ", ".join(self._preparation.keep_together) or "no column that names bundles is known"
        )
        message = (
            f"More than {most} neighbouring records belong together (keep_together: {names}),"
            f" and one upload has room for {most}. Raise max_records_per_upload, or split the group in the source."
        )
        problems.add("file.group", message, line=row.line, record=number)

    def _column(self, columns: Columns, index: int | None, count: int) -> Sequence[str]:
        return [""] * count if index is None else columns[index]

    def _lines(self, rows: Rows, columns: Columns) -> list[str]:
        if not self._as_it_stands:
            ordered = [self._column(columns, index, len(rows)) for index in self._sent]
            return csv_lines(zip(*ordered, strict=True))
        if clean := rows.clean:
            return [f"{line}\r\n" for line in clean.split("\n")[:-1]]
        return [_line(rows.record(row)) for row in range(len(rows))]


def _line(row: Record) -> str:
    # A record without quotes stands in the file as it is sent, but for its line end.
    if '"' in row.text:
        return csv_lines([row.fields])[0]
    return row.text.removesuffix("\r") + "\r\n"
