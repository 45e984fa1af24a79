"""Records as they are sent, and where in the dropped file the very same bytes stand.

Where they do, nothing needs to be written: a part is then its header and a range of the dropped file.
That they do is never concluded from how the file is written, it is seen: the bytes are compared.
"""

import errno
import os
from array import array
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Self

_NEAR = 1 << 16
"""Bytes that may stand between two runs (blank lines, records that were left out) for the next to be found."""

_COPIED_AT_ONCE = 1 << 20


class Run:
    """Records that follow each other, as they are sent: UTF-8, each line ended by CRLF.

    `offset` is where in the dropped file the same bytes stand; None where they do not.
    """

    def __init__(self, numbers: Sequence[int], data: bytes, offset: int | None = None) -> None:
        """Take the records' numbers and their lines."""
        self.numbers = numbers
        self.data = data
        self.offset = offset

    @classmethod
    def of(cls, numbers: Sequence[int], text: str) -> Self:
        """Take lines that stand nowhere; those with undecodable bytes in them are not to be sent."""
        return cls(numbers, text.encode("utf-8", "surrogatepass"))

    def __len__(self) -> int:
        return len(self.numbers)

    def between(self, begin: int, end: int) -> "Run":
        """The records from row `begin` to before row `end`."""
        if begin == 0 and end == len(self):
            return self
        first, last = self._ends[begin], self._ends[end]
        offset = None if self.offset is None else self.offset + first
        return Run(self.numbers[begin:end], self.data[first:last], offset)

    @property
    def last_line(self) -> bytes:
        """The last record's line."""
        end, quotes = len(self.data) - 1, 0
        while True:
            begin = self.data.rfind(b"\n", 0, end) + 1
            quotes += self.data.count(b'"', begin, end)
            # A newline inside of quotes has one quote more behind it than it should.
            if not begin or quotes % 2 == 0:
                return self.data[begin:]
            end = begin - 1

    @cached_property
    def _ends(self) -> list[int]:
        """Where each record begins, and the last one ends."""
        ends, at, inside = [0], 0, False
        for line in self.data.split(b"\n")[:-1]:
            at += len(line) + 1
            inside ^= line.count(b'"') % 2 == 1
            if not inside:
                ends.append(at)
        return ends


class DroppedFile:
    """The dropped file's bytes, in which those to be sent are looked for in order. Raises OSError."""

    def __init__(self, path: Path, begin: int = 0) -> None:
        """Look from the offset `begin` on."""
        self.path = path
        self._file = path.open("rb", buffering=0)
        self._at = begin

    def find(self, data: bytes) -> int | None:
        """Where `data` stands, behind what was found or passed over so far; None if not near there."""
        at: int | None = self._at
        if self._seen(len(data)) != data:
            gap = self._seen(len(data) + _NEAR).find(data)
            at = self._at + gap if gap >= 0 else None
        self._at = (self._at if at is None else at) + len(data)
        return at

    def pass_over(self, size: int) -> None:
        """Note that so many bytes, and perhaps more, stand before what comes next."""
        self._at += size

    def read(self, offset: int, size: int) -> Iterator[bytes]:
        """A range of the file in pieces."""
        end = offset + size
        while offset < end:
            data = os.pread(self._file.fileno(), min(end - offset, _COPIED_AT_ONCE), offset)
            if not data:
                raise OSError(errno.ENODATA, "the file became shorter")
            yield data
            offset += len(data)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _seen(self, size: int) -> bytes:
        return os.pread(self._file.fileno(), size, self._at)


class Places:
    """Where runs stand, in the dropped file or in one that was written for them; 40 bytes a run."""

    def __init__(self) -> None:
        """Begin empty."""
        self._facts = array("Q")

    def add(self, run: Run, written_at: int) -> None:
        """Note one more run; without an offset it stands in the other file, at `written_at`."""
        offset = written_at if run.offset is None else run.offset
        written = int(run.offset is None)
        self._facts.extend((written, offset, len(run.data), run.numbers[0], len(run)))

    def runs(self, dropped: Path, other: Path, records: int) -> Iterator[Run]:
        """The runs again, their numbers counted behind so many `records`. Raises OSError."""
        facts = iter(self._facts)
        with closing(DroppedFile(dropped)) as there, closing(DroppedFile(other)) as elsewhere:
            for written, offset, size, first, count in zip(*[facts] * 5, strict=True):
                data = b"".join((elsewhere if written else there).read(offset, size))
                numbers = range(records + first, records + first + count)
                yield Run(numbers, data, None if written else offset)
