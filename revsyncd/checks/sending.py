"""What may be sent of a file: its records in the template's order and the tenant's form, cut into parts."""

import re
from array import array
from collections.abc import Iterator, Sequence

from revsyncd.checks.blocks import Proven, Rows
from revsyncd.checks.columns import Columns
from revsyncd.checks.contract import CheckJob, Preparation, PreparedPart
from revsyncd.checks.header import Header
from revsyncd.checks.line_ids import IndexWriter, half_of
from revsyncd.checks.parts import GroupTooLargeError, PartsWriter
from revsyncd.checks.problems import Problems
from revsyncd.checks.reading import FileReading
from revsyncd.checks.runs import DroppedFile, Run
from revsyncd.checks.structure import Record
from revsyncd.checks.writing import csv_lines

_NEEDLESS_QUOTES = re.compile(r'"(?<![^,\n]")[^",\r\n]*"(?=[,\r\n])')
"""Quotes around a cell that needs none; may also find others, never overlooks one."""


class Sending:
    """Makes the parts and the index of line ids. Raises NoSpace."""

    def __init__(
        self, job: CheckJob, preparation: Preparation, header: Header, reading: FileReading
    ) -> None:
        """Take the columns from where `header` says they stand; a missing one is sent empty."""
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
        """Whether another process may follow the second half: nothing is written or kept together."""
        kept_together = self._together or self._bundles
        in_place = self._as_sent.dropped is not None and not self._parts.written
        return in_place and not kept_together

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

    def add_second(self, places: "Places", records: int) -> None:
        """Add what stands behind so many records, as another process followed it."""
        self._index.append(records)
        for offset, size, count in places:
            data = self._as_sent.read(offset, size)
            numbers = range(records + 1, records + count + 1)
            self._parts.add(Run(numbers, data, offset))
            records += count

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


class Places:
    """Where runs of records stand in the dropped file, one behind the other: offset, bytes, records."""

    def __init__(self) -> None:
        """Begin empty."""
        self._numbers = array("Q")

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        numbers = iter(self._numbers)
        return zip(numbers, numbers, numbers, strict=True)

    def add(self, offset: int, size: int, records: int) -> None:
        """Note one more run."""
        self._numbers.extend((offset, size, records))


class Following:
    """Follows the second half of a file that another process cuts into parts. Raises NoSpace.

    Writes the index of its line ids and notes where its records stand, and nothing else.
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
        self._end = begin
        self._records = 0
        self._lost = False

    def add(self, rows: Rows, columns: Columns, problems: Problems) -> None:
        """Note a block; a record left out, or one that does not stand there as it is sent, ends it."""
        self._index.add(rows, columns)
        run = self._as_sent.run(rows, columns)
        as_expected = run.offset == self._end and run.numbers[0] == self._records + 1
        self._lost = self._lost or not as_expected or bool(problems.marks)
        if not self._lost:
            self._places.add(self._end, len(run.data), len(run))
            self._end += len(run.data)
            self._records += len(run)

    def finish(self, records: int) -> Places | None:
        """Where all its records stand; None if not all do."""
        self._index.publish(records)
        self._as_sent.close()
        return None if self._lost or self._records != records else self._places

    def abandon(self) -> None:
        """Delete everything."""
        self._index.discard()
        self._as_sent.close()


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
        self._as_it_stands = plain_numbers and in_order and reading.delimiter == ","
        self._source = reading.source
        codec = reading.source.encoding.codec
        self._is_utf_8 = codec == "utf-8"
        in_place = self._as_it_stands and not codec.startswith("utf-16")
        self.dropped = DroppedFile(job.path, begin) if in_place else None

    def close(self) -> None:
        if self.dropped is not None:
            self.dropped.close()

    def read(self, offset: int, size: int) -> bytes:
        """A range of the dropped file."""
        return b"".join(self.dropped.read(offset, size)) if self.dropped else b""

    def run(self, rows: Rows, columns: Columns) -> Run:
        """The records of a block as they are sent."""
        if self.dropped is None:
            return Run.of(rows.numbers, self._lines(rows, columns))
        text = _text_of(rows)
        data = self._source.encode(text)
        if not _is_as_sent(text):
            lines = self._lines(rows, columns)
            if "".join(lines) != text:
                self.dropped.pass_over(len(data))
                return Run.of(rows.numbers, lines)
        if not self._is_utf_8 and not text.isascii():
            self.dropped.pass_over(len(data))
            return Run(rows.numbers, text.encode())
        return Run(rows.numbers, data, self.dropped.find(data))

    def _lines(self, rows: Rows, columns: Columns) -> list[str]:
        if not self._as_it_stands:
            ordered = [_column(columns, index, len(rows)) for index in self._sent]
            return csv_lines(zip(*ordered, strict=True))
        if clean := rows.clean:
            return [f"{line}\r\n" for line in clean.split("\n")[:-1]]
        return [_line(rows.record(row)) for row in range(len(rows))]


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
    """The stretches of rows without errors, each from its first to behind its last."""
    if not problems.marks:
        yield 0, len(numbers)
        return
    begin = 0
    for at, number in enumerate(numbers):
        if number in problems.marks:
            if begin < at:
                yield begin, at
            begin = at + 1
    if begin < len(numbers):
        yield begin, len(numbers)


def _line(row: Record) -> str:
    # A record without quotes stands in the file as it is sent, but for its line end.
    if '"' in row.text:
        return csv_lines([row.fields])[0]
    return row.text.removesuffix("\r") + "\r\n"
