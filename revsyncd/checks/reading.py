"""One reading of a dropped file: its encoding, its `sep=` line, its header, then its records in batches."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from revsyncd.checks.blocks import Proven
from revsyncd.checks.contract import Dialect
from revsyncd.checks.mixed import BlockReader
from revsyncd.checks.source import Block, Source
from revsyncd.checks.structure import MAX_RECORD, Record, RecordReader

_SEP = re.compile(r'"?sep=([^\w"])"?\r?\n?', re.IGNORECASE)
_SEP_LENGTH = 16


class Batch(NamedTuple):
    """Records that became complete together; `suspect` when a bad character stands in one of them."""

    records: list[Record]
    suspect: bool


class FileReading:
    """Reads a file from begin to end once; `header` and `sep_line` are known with the first batch.

    `done` is the count of bytes read so far. Nothing is kept of what went by.
    """

    def __init__(
        self,
        path: Path,
        dialect: Dialect,
        *,
        block: int = 0,
        limit: int = MAX_RECORD,
        begin: int = 0,
    ) -> None:
        """Read `path` as `dialect` says; a `sep=` line in the file overrides the delimiter."""
        self.path = path
        self.dialect = dialect
        self.source = Source(path, dialect.encoding, block=block, begin=begin)
        self.stopped = False  # whether `source.stop` was reached between two records
        self._second: BlockReader | None = None
        self._lines_behind = 0
        self._ended_behind: bool | None = None
        self.delimiter = dialect.delimiter
        self.header: Record | None = None
        self.sep_line = ""  # Excel's first line, with its line end
        self._limit = limit
        self._reader: RecordReader | BlockReader | None = None

    @property
    def lines(self) -> int:
        """Physical lines, the `sep=` line included; final when `batches` has ended."""
        return self._lines_behind + (self._reader.lines if self._reader else 0)

    @property
    def ended(self) -> bool:
        """Whether the file ends with a newline; final when `batches` has ended."""
        if self._ended_behind is not None:
            return self._ended_behind
        return self._reader.ended if self._reader else True

    @property
    def beginning(self) -> bytes:
        """The file's bytes up to the end of the header, blank lines aside; known with the header."""
        header = self.header.text + self.header.end if self.header else ""
        return self.source.encoding.bom + self.source.encode(self.sep_line + header)

    def join(self, lines: int, *, ended: bool) -> None:
        """Add what stands behind `stop`, as another one read it."""
        self._lines_behind = lines
        self._ended_behind = ended

    def blocks(self) -> Iterator[list[Proven | Batch]]:
        """The records behind the header as far as possible in proven blocks, a list a block of the file.

        Raises OSError.
        """
        reader = self._second
        for block, final in _with_last(self._without_sep_line()):
            if reader is None:
                reader = BlockReader(self.delimiter, line=self._first_line, limit=self._limit)
            self._reader = reader
            if not self.stopped:
                found = reader.feed(block.text, suspect=block.suspect, final=final)
                yield [
                    run
                    if isinstance(run, Proven)
                    else Batch(self._behind_header(run), suspect=True)
                    for run in found
                ]
            if block.end == self.source.stop and reader.between_records:
                self.stopped = self.source.hash_alone = True

    @classmethod
    def second_half(cls, first: "FileReading", at: int, width: int) -> Self:
        """The same file from the offset `at` on, where a record is taken to begin."""
        reading = cls(first.path, first.dialect, begin=at)
        reading.delimiter = first.delimiter
        reading.header = first.header
        reading._second = BlockReader.behind_header(first.delimiter, width)
        return reading

    def batches(self) -> Iterator[Batch]:
        """The records behind the header one by one, in a batch a block of the file. Raises OSError."""
        suspect = False
        reader: RecordReader | None = None
        for block, final in _with_last(self._without_sep_line()):
            # Once is for good: a record may have begun, bad character and all, some blocks before.
            suspect = suspect or block.suspect
            if reader is None:
                self._reader = reader = RecordReader(
                    self.delimiter, line=self._first_line, limit=self._limit
                )
            records = reader.feed(block.text, final=final)
            yield Batch(self._behind_header(records), suspect)

    def _behind_header(self, records: list[Record]) -> list[Record]:
        if self.header is None and records:
            self.header = records[0]
        return [record for record in records if record.number > 0]

    def records(self) -> Iterator[Record]:
        """The records behind the header, one by one."""
        for batch in self.batches():
            yield from batch.records

    @property
    def _first_line(self) -> int:
        return 2 if self.sep_line else 1

    def _without_sep_line(self) -> Iterator[Block]:
        blocks = self.source.blocks()
        if self._second is not None:
            yield from blocks
            return
        text, suspect, end = "", False, 0
        for block in blocks:
            text += block.text
            suspect = suspect or block.suspect
            end = block.end
            if "\n" in text or len(text) > _SEP_LENGTH:
                break
        yield Block(self._take_sep_line(text), suspect, end)
        yield from blocks

    def _take_sep_line(self, text: str) -> str:
        first = text[: text.find("\n") + 1] or text
        found = _SEP.fullmatch(first)
        if found is None:
            return text
        self.sep_line = first
        self.delimiter = found[1]
        return text[len(first) :]


def _with_last(blocks: Iterator[Block]) -> Iterator[tuple[Block, bool]]:
    """Each block with the word whether it is the last one."""
    before = next(blocks)
    for block in blocks:
        yield before, False
        before = block
    yield before, True
