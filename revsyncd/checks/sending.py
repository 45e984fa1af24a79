"""What may be sent of a file: its records in the template's order and the tenant's form, cut into parts."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from revsyncd.checks.blocks import Proven, Rows
from revsyncd.checks.columns import Columns
from revsyncd.checks.contract import CheckJob, Preparation, PreparedPart
from revsyncd.checks.header import Header
from revsyncd.checks.line_ids import IndexWriter, half_of, remove_half
from revsyncd.checks.parts import GroupTooLargeError, PartsWriter
from revsyncd.checks.problems import Problems
from revsyncd.checks.reading import FileReading
from revsyncd.checks.runs import DroppedFile, Places, Run
from revsyncd.checks.writing import csv_text, disk_errors

_NEEDLESS_QUOTES = re.compile(r'"(?<![^,\n]")[^",\r\n]*"(?=[,\r\n])')
"""Quotes around a cell that needs none; may also find others, never overlooks one."""


class Sending:
    """Makes the parts and the index of line ids. Raises NoSpace."""

    def __init__(
        self, job: CheckJob, preparation: Preparation, header: Header, reading: FileReading
    ) -> None:
        """Take the columns from where `header` says they stand; a missing one is sent empty."""
        self._job = job
        self._preparation = preparation
        self._as_sent = _AsSent(job, header, reading, begin=len(reading.beginning))
        self._parts = PartsWriter(preparation, job.mapping.labels, self._as_sent.dropped)
        self._index = _Index(preparation, header)
        found = [header.find(label) for label in preparation.keep_together]
        self._together = [index for index in found if index is not None]
        self._bundles = preparation.bundles
        self._bundle: tuple[str, ...] = ()

    @property
    def divisible(self) -> bool:
        """Whether another process may follow the second half: it can't know what is kept together."""
        return not self._together and not self._bundles

    def add(self, rows: Rows, columns: Columns, problems: Problems) -> None:
        """Add a block without the records at fault; a group too large for a part is a new problem."""
        self._index.add(rows, columns)
        run = self._as_sent.run(rows, columns)
        keys = self._groups(columns, len(rows))
        for begin, end in _sound(rows.numbers, problems):
            if not keys:
                self._parts.add(run.between(begin, end))
                continue
            try:
                self._parts.add_groups(run.between(begin, end), keys[begin:end])
            except GroupTooLargeError as error:
                self._report_group(rows, error.record, problems)

    def add_second(self, places: Places, records: int) -> None:
        """Add what stands behind so many records, as another process followed it."""
        self._index.append(records)
        for run in places.runs(self._job.path, second_of(self._preparation), records):
            self._parts.add(run)

    def _groups(self, columns: Columns, count: int) -> list[tuple[str, ...]]:
        """For each record the values that it shares with those that stay in one part with it.

        In a bundle a parent is followed by its children: those that name no bundle belong to the
        one before. Where the file has no column that names bundles, it is all one. Without groups
        there is nothing.
        """
        if not self._together and not self._bundles:
            return []
        cells = [columns[index] for index in self._together]
        keys: list[tuple[str, ...]] = list(zip(*cells, strict=True)) if cells else [()] * count
        if self._bundles:
            for at, key in enumerate(keys):
                keys[at] = self._bundle = key if any(key) else self._bundle
        return keys

    def finish(self, records: int) -> tuple[PreparedPart, ...]:
        """The parts, whole; `records` is the count of the file's."""
        self._index.publish(records)
        self._as_sent.close()
        return self._parts.finish()

    def abandon(self) -> None:
        """Delete everything."""
        self._index.discard()
        self._as_sent.close()
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


class Following:
    """Follows the second half of a file that another process cuts into parts. Raises NoSpace.

    Writes the index of its line ids and, in one file, the records that must be written; of all of
    them it notes where they stand.
    """

    def __init__(
        self,
        job: CheckJob,
        preparation: Preparation,
        header: Header,
        reading: FileReading,
        begin: int,
    ) -> None:
        """Follow from the offset `begin` on."""
        self._as_sent = _AsSent(job, header, reading, begin=begin)
        self._index = _Index(preparation, header, half=True)
        self._places = Places()
        self._path = second_of(preparation)
        with disk_errors(self._path):
            self._file = self._path.open("wb")

    def add(self, rows: Rows, columns: Columns, problems: Problems) -> None:
        """Note a block without the records at fault."""
        self._index.add(rows, columns)
        run = self._as_sent.run(rows, columns)
        for begin, end in _sound(rows.numbers, problems):
            stretch = run.between(begin, end)
            at = self._file.tell()
            if stretch.offset is None:
                with disk_errors(self._path):
                    self._file.write(stretch.data)
            self._places.add(stretch, at)

    def finish(self, records: int) -> Places:
        """Where the records stand; `records` is the count of the half's."""
        self._index.publish(records)
        self._as_sent.close()
        with disk_errors(self._path):
            self._file.close()
        return self._places

    def abandon(self) -> None:
        """Delete everything."""
        self._index.discard()
        self._as_sent.close()
        self._path.unlink(missing_ok=True)
        with suppress(OSError):  # what could not be written is not wanted any more
            self._file.close()


def second_of(preparation: Preparation) -> Path:
    """Where the records of a second half are written that must be."""
    return preparation.directory / "second.csv"


def forget_second(preparation: Preparation) -> None:
    """Delete what a process that followed the second half has left."""
    second_of(preparation).unlink(missing_ok=True)
    if preparation.line_ids is not None:
        remove_half(preparation.line_ids)


class _Index:
    """The index of line ids, where one is wanted."""

    def __init__(self, preparation: Preparation, header: Header, *, half: bool = False) -> None:
        path = preparation.line_ids
        self._writer = IndexWriter(half_of(path) if half else path) if path else None
        labels = (preparation.so_line_id, preparation.inv_line_id)
        self._ids = [header.find(label) for label in labels]

    def add(self, rows: Rows, columns: Columns) -> None:
        if self._writer is not None:
            so, inv = (_column(columns, index, len(rows)) for index in self._ids)
            self._writer.add(rows.numbers, so, inv)

    def append(self, records: int) -> None:
        if self._writer is not None:
            self._writer.append(records)

    def publish(self, records: int) -> None:
        if self._writer is not None:
            self._writer.publish(records)

    def discard(self) -> None:
        if self._writer is not None:
            self._writer.discard()


class _AsSent:
    """Brings records into the tenant's form, and finds those that the dropped file has in it already."""

    def __init__(self, job: CheckJob, header: Header, reading: FileReading, *, begin: int) -> None:
        self._sent = header.sent
        plain_numbers = job.dialect.decimal == "." and not job.dialect.thousands
        in_order = self._sent == tuple(range(header.width))
        as_it_stands = plain_numbers and in_order and reading.delimiter == ","
        self._source = reading.source
        codec = reading.source.encoding.codec
        self._is_utf_8 = codec == "utf-8"
        in_place = as_it_stands and not codec.startswith("utf-16")
        self.dropped = DroppedFile(job.path, begin) if in_place else None

    def close(self) -> None:
        if self.dropped is not None:
            self.dropped.close()

    def run(self, rows: Rows, columns: Columns) -> Run:
        """The records of a block as they are sent."""
        if self.dropped is None:
            return Run.of(rows.numbers, self._written(rows, columns))
        text = _text_of(rows)
        data = self._source.encode(text)
        if not _is_as_sent(text):
            written = self._written(rows, columns)
            if written != text:
                self.dropped.pass_over(len(data))
                return Run.of(rows.numbers, written)
        if not self._is_utf_8 and not text.isascii():
            self.dropped.pass_over(len(data))
            return Run(rows.numbers, text.encode())
        return Run(rows.numbers, data, self.dropped.find(data))

    def _written(self, rows: Rows, columns: Columns) -> str:
        return csv_text([_column(columns, index, len(rows)) for index in self._sent])


def _column(columns: Columns, index: int | None, count: int) -> Sequence[str]:
    return [""] * count if index is None else columns[index]


def _text_of(rows: Rows) -> str:
    """The records as they stand in the file, with their line ends."""
    if isinstance(rows, Proven):
        return rows._proof.raw  # noqa: SLF001  (what was proven, in one piece)
    records = map(rows.record, range(len(rows)))
    return "".join(record.text + record.end for record in records)


def _is_as_sent(text: str) -> bool:
    """Whether records, their columns in order, certainly stand as they are sent; True is certain."""
    crlf_only = text.endswith("\n") and text.count("\n") == text.count("\r\n")
    return crlf_only and ('"' not in text or _NEEDLESS_QUOTES.search(text) is None)


def _sound(numbers: Sequence[int], problems: Problems) -> Iterator[tuple[int, int]]:
    """The stretches of records without errors, none missing: rows from the first to behind the last."""
    if not problems.marks:
        yield 0, len(numbers)
        return
    begin = end = 0
    for at, number in enumerate(numbers):
        good = number not in problems.marks
        if begin < end and not (good and number == numbers[end - 1] + 1):
            yield begin, end
            begin = at
        begin, end = (begin, at + 1) if good else (at + 1, at + 1)
    if begin < end:
        yield begin, end
