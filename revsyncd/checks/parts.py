"""The parts to upload: UTF-8, comma, CRLF, the header repeated, cut only where the folder allows it.

A part is a range of the dropped file as long as its records stand there, one behind the other, as they
are sent. From the first that does not, it is a file of its own.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, NamedTuple

from revsyncd.checks.contract import Preparation, PreparedPart
from revsyncd.checks.runs import DroppedFile, Run
from revsyncd.checks.writing import csv_lines, disk_errors, sync_names

_COPIED_AT_ONCE = 1 << 20


class GroupTooLargeError(Exception):
    """Records that must stay together are more than a part may have; `record` is the one too many."""

    def __init__(self, record: int) -> None:
        """Keep the number of the record that has no room."""
        super().__init__(record)
        self.record = record


class _Mark(NamedTuple):
    """A point in a part to which it can be cut back."""

    size: int
    records: int
    cut: int
    ranges: int
    last: int
    hash: "hashlib._Hash"


class _OpenPart:
    """A part that takes records. The hash runs along; nothing is read again to finish it."""

    def __init__(self, path: Path, head: bytes, dropped: DroppedFile | None) -> None:
        self.path = path  # where it is written, if it must be
        self.head = head
        self.hash = hashlib.sha256(head)
        self.size = len(head)
        self.records = 0
        self.cut = 0
        self.ranges: list[tuple[int, int]] = []
        self.begin: int | None = None  # where in the dropped file its first record stands
        self.file: BinaryIO | None = None
        self._dropped = dropped

    def add(self, run: Run) -> None:
        self._append(run.data, run.offset)
        self.take(run.numbers)
        self.cut = self.size - _withheld(run.last_line)

    def take(self, numbers: Sequence[int]) -> None:
        """Count records whose bytes are here."""
        self.records += len(numbers)
        if numbers[-1] - numbers[0] + 1 == len(numbers):
            self._take_range(numbers[0], numbers[-1])
        else:
            for number in numbers:
                self._take_range(number, number)

    def mark(self) -> _Mark:
        last = self.ranges[-1][1] if self.ranges else 0
        return _Mark(self.size, self.records, self.cut, len(self.ranges), last, self.hash.copy())

    def cut_back(self, mark: _Mark) -> None:
        if self.file is not None:
            self.file.truncate(mark.size)
            self.file.seek(mark.size)
        self.size, self.records, self.cut = mark.size, mark.records, mark.cut
        self.hash = mark.hash
        del self.ranges[mark.ranges :]
        self.ranges[-1] = (self.ranges[-1][0], mark.last)

    def copy_tail(self, source: "_OpenPart", mark: _Mark) -> None:
        """Append what `source` holds behind `mark`."""
        for data, offset in source.behind(mark.size):
            self._append(data, offset)
        self.cut = self.size - (source.size - source.cut)

    def behind(self, at: int) -> Iterator[tuple[bytes, int | None]]:
        """What it holds from `at` on, in pieces, and where in the dropped file each stands."""
        if self.file is None:
            yield from self._in_place(at)
            return
        self.file.seek(at)
        while data := self.file.read(_COPIED_AT_ONCE):
            yield data, None

    def close(self) -> None:
        """Bring it to disk: after a power loss the ledger would know a part that is not there."""
        if self.file is not None and not self.file.closed:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()

    def prepared(self, number: int, of: int) -> PreparedPart:
        part = PreparedPart(
            part=number,
            of=of,
            records=self.records,
            ranges=tuple(self.ranges),
            path=self.path,
            size=self.size,
            sha256=self.hash.hexdigest(),
            cut=self.cut,
        )
        if self.file is None and self._dropped is not None and self.begin is not None:
            return replace(part, path=self._dropped.path, head=self.head, offset=self.begin)
        return part

    def _append(self, data: bytes, offset: int | None) -> None:
        if self.file is None and not self._goes_on(offset):
            self._write_out()
        if self.file is not None:
            self.file.write(data)
        self.hash.update(data)
        self.size += len(data)

    def _goes_on(self, offset: int | None) -> bool:
        """Whether the range can take what stands at `offset`."""
        if offset is None:
            return False
        if self.begin is None:
            self.begin = offset
        return self.begin + self.size - len(self.head) == offset

    def _write_out(self) -> None:
        self.file = self.path.open("x+b")
        self.file.write(self.head)
        for data, _ in self._in_place(len(self.head)):
            self.file.write(data)

    def _in_place(self, at: int) -> Iterator[tuple[bytes, int]]:
        if self._dropped is None or self.begin is None:
            return
        offset = self.begin + at - len(self.head)
        for data in self._dropped.read(offset, self.size - at):
            yield data, offset
            offset += len(data)

    def _take_range(self, first: int, last: int) -> None:
        if self.ranges and self.ranges[-1][1] + 1 == first:
            self.ranges[-1] = (self.ranges[-1][0], last)
        else:
            self.ranges.append((first, last))


class PartsWriter:
    """Makes parts one after another while the records pass. Raises NoSpace."""

    def __init__(
        self,
        preparation: Preparation,
        labels: Sequence[str],
        dropped: DroppedFile | None = None,
    ) -> None:
        """What must be written goes to the preparation's directory; `labels` are the header.

        `dropped` is the file in which runs with an offset stand.
        """
        self._directory = preparation.directory
        self._max_records = preparation.max_records
        self._header = csv_lines([labels])[0].encode()
        self._dropped = dropped
        self._parts: list[_OpenPart] = []
        self._group: tuple[str, ...] | None = None
        self._group_numbers: list[int] = []
        self._group_mark: _Mark | None = None

    def add(self, run: Run) -> None:
        """Add records, cutting anywhere between them."""
        with disk_errors(self._directory):
            at = 0
            while at < len(run):
                part = self._current()
                if part.records == self._max_records:
                    part = self._begin()
                end = min(at + self._max_records - part.records, len(run))
                part.add(run.between(at, end))
                at = end

    def add_groups(self, run: Run, keys: Sequence[tuple[str, ...]]) -> None:
        """Add records of which neighbours with equal keys stay together. Raises GroupTooLargeError."""
        with disk_errors(self._directory):
            at = 0
            for key, equal in groupby(keys):
                end = at + sum(1 for _ in equal)
                self._add_to_group(key, run.between(at, end))
                at = end

    def finish(self) -> tuple[PreparedPart, ...]:
        """Close the parts and describe them: what is recorded of them is on disk by then."""
        self._close()
        return tuple(
            part.prepared(number, len(self._parts)) for number, part in enumerate(self._parts, 1)
        )

    def abandon(self) -> None:
        """Delete what was written."""
        for part in self._parts:
            part.path.unlink(missing_ok=True)
            with suppress(OSError):  # what could not be written is not wanted any more
                part.close()
        self._parts.clear()

    def _add_to_group(self, key: tuple[str, ...], run: Run) -> None:
        part = self._current()
        if key != self._group:
            self._group, self._group_numbers, self._group_mark = key, [], part.mark()
        if part.records + len(run) > self._max_records:
            part = self._move_group(run.numbers)
        part.add(run)
        self._group_numbers += run.numbers

    def _move_group(self, numbers: Sequence[int]) -> _OpenPart:
        """Begin a part with what the current one already holds of the group."""
        room = self._max_records - len(self._group_numbers)
        if len(numbers) > room:
            raise GroupTooLargeError(numbers[max(room, 0)])
        before, mark = self._current(), self._group_mark
        part = self._begin(close=False)
        if mark is not None and self._group_numbers:
            part.copy_tail(before, mark)
            part.take(self._group_numbers)
            before.cut_back(mark)
        before.close()
        self._group_mark = None
        return part

    def _current(self) -> _OpenPart:
        return self._parts[-1] if self._parts else self._begin()

    def _begin(self, *, close: bool = True) -> _OpenPart:
        if self._parts and close:
            self._parts[-1].close()
        path = self._directory / f"p{len(self._parts) + 1:03}.csv"
        self._parts.append(_OpenPart(path, self._header, self._dropped))
        return self._parts[-1]

    def _close(self) -> None:
        with disk_errors(self._directory):
            for part in self._parts:
                part.close()
            sync_names(self._directory)


def _withheld(line: bytes) -> int:
    """How many of the last record's bytes to withhold: half, and its last delimiter with them.

    Without that delimiter no reader can take what left for a whole record.
    """
    half = len(line) // 2
    delimiter = line.rfind(b",")
    return len(line) - max(1, half if delimiter < 0 else min(half, delimiter))
