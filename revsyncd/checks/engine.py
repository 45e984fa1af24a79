"""The checks of one file from end to end: one pass that judges the records and makes the parts.

A further reading is needed only where keys seem to repeat, and the parts are made a second time only
where repeated keys, known at the end alone, have to be left out of them.
"""

import time
from collections.abc import Iterator

from revsyncd.checks import halves, keys, manifest, remembered
from revsyncd.checks.blocks import HandRead, Proven, Rows
from revsyncd.checks.columns import ColumnChecks
from revsyncd.checks.contract import CheckJob, CheckResult, PreparedPart, Progress
from revsyncd.checks.faults import RecordFaults
from revsyncd.checks.header import Header, is_one_of, read_header
from revsyncd.checks.judges import shown
from revsyncd.checks.problems import Problems
from revsyncd.checks.quoting import FaultKind
from revsyncd.checks.reading import Batch, FileReading
from revsyncd.checks.sending import Following, Sending, forget_second
from revsyncd.checks.structure import Record
from revsyncd.core.errors import CheckFailed


def check(job: CheckJob, progress: Progress | None = None, *, processes: int = 1) -> CheckResult:
    """Check a file and, where the job has a preparation, make its parts and the index of its line ids.

    With two `processes` the caller's is forked, where no records have to stay together; it must have
    no other threads then.
    Raises OSError when the file can't be read, NoSpace when parts can't be written, CheckFailed when
    the date mask is unknown or the file changes meanwhile.
    """
    progress = progress or (lambda _done, _size: None)
    alone = job.remembered is None
    divided = processes > 1 and alone and job.path.stat().st_size >= halves.WORTH
    try:
        return _Check(job, divided=divided).run(progress)
    except _NotDivisible:
        return _Check(job).run(progress)


class _NotDivisible(Exception):
    """The halves do not fit: one process has to read the whole file."""


class _Check:
    def __init__(self, job: CheckJob, *, divided: bool = False) -> None:
        self._job = job
        self._divided = divided
        self._second: halves.SecondHalf | None = None
        self._problems = Problems(job.rules.levels, job.rules.problem_limit)
        self._reading = FileReading(job.path, job.dialect)
        self._newline_required = (
            job.dialect.final_newline == "require"
            and self._problems.level("file.final_newline") == "error"
        )
        self._faults = RecordFaults(
            self._problems, self._reading.source, cut_is_told=self._newline_required
        )
        self._header: Header | None = None
        self._begun = False
        self._columns: ColumnChecks | None = None
        self._sending: Sending | None = None
        self._following: Following | None = None

    def run(self, progress: Progress) -> CheckResult:
        started = time.monotonic()
        size = self._job.path.stat().st_size
        try:
            for blocks in self._reading.blocks():
                for block in blocks:
                    self._take(block)
                self._divide()
                done = self._reading.source.size * (2 if self._second else 1)
                progress(min(done, size), size)
            self._join()
            progress(self._reading.source.size, size)
            parts = self._end()
        except BaseException:
            if self._second is not None:
                self._second.abandon()
            self._forget_second()
            self._abandon()
            raise
        return self._result(parts, time.monotonic() - started)

    def _divide(self) -> None:
        """Have another process read the second half, once it is known how."""
        if not self._divided or self._header is None:
            return
        self._divided = False
        if self._sending is not None and not self._sending.divisible:
            return
        reading, header = self._reading, self._header
        at = halves.where_to_cut(
            self._job.path, reading.source.encoding, reading.delimiter, header.width
        )
        if at is not None and at > 2 * reading.source.size:
            reading.source.stop = at
            follow = self._sending is not None
            self._second = halves.SecondHalf.begin(
                lambda: _Check(self._job).half(reading, header, at, follow=follow)
            )

    def half(self, first: FileReading, header: Header, at: int, *, follow: bool) -> halves.Half:
        """Check what stands behind the offset `at` of a file whose header is known.

        `follow` says to find out where its records stand, for the parts.
        """
        self._begun, self._header = True, header
        self._reading = FileReading.second_half(first, at, header.width)
        self._faults = RecordFaults(
            self._problems, self._reading.source, cut_is_told=self._newline_required
        )
        columns = self._columns = ColumnChecks(self._job, header, self._problems)
        if follow and self._job.preparation is not None:
            self._following = Following(
                self._job, self._job.preparation, header, self._reading, begin=at
            )
        for blocks in self._reading.blocks():
            for block in blocks:
                self._take(block)
        return halves.Half(
            self._problems.kept(),
            self._faults.records,
            self._reading.lines,
            self._reading.ended,
            self._faults.unreadable,
            self._faults.last_is_short,
            columns.totals,
            columns.keys,
            columns.normalised,
            columns.organisation,
            self._following.finish(self._faults.records) if self._following else None,
        )

    def _join(self) -> None:
        """Take the second half's findings, if it began where the first one ended."""
        second, self._second = self._second, None
        if second is None:
            return
        if not self._reading.stopped:
            second.abandon()
            self._forget_second()
            return
        columns = self._columns
        half = second.result(columns.keys if columns else {})
        if half is None or columns is None or not columns.fits(half.organisation):
            raise _NotDivisible
        if self._sending is not None and half.places is not None:
            self._sending.add_second(half.places, self._faults.records)
        self._forget_second()
        self._problems.merge(half.problems, records=self._faults.records, lines=self._reading.lines)
        self._faults.join(half.records, half.unreadable, last_is_short=half.last_is_short)
        self._reading.join(half.lines, ended=half.ended)
        columns.totals.merge(half.totals)
        columns.normalised.update(half.normalised)

    def _forget_second(self) -> None:
        if self._job.preparation is not None:
            forget_second(self._job.preparation)

    def _take(self, block: Proven | Batch) -> None:
        if not self._begun and self._reading.header is not None:
            self._begin(self._reading.header)
        rows = self._readable(block)
        if self._columns is None or rows is None:
            return
        columns = self._columns.check(rows, self._faults.damaged)
        if self._is_hopeless():
            self._abandon()
        for taker in (self._sending, self._following):
            if taker is not None:
                taker.add(rows, columns, self._problems)

    def _readable(self, block: Proven | Batch) -> Rows | None:
        """The block's records that have trustworthy cells; the others are reported."""
        if isinstance(block, Proven):
            self._faults.passed(block)
            return block
        records = self._faults.readable(block, self._header)
        return HandRead(records) if records else None

    def _begin(self, header: Record) -> None:
        self._begun = True
        self._faults.report_characters(header, None)
        if header.fault is not None:
            self._faults.report_fault(header, None)
            return
        self._header = read_header(header, self._job.mapping, self._job.rules, self._problems)
        self._miss_what_keeps_together(self._header, header.line)
        self._columns = ColumnChecks(self._job, self._header, self._problems)
        self._sending = self._new_sending(self._header)

    def _miss_what_keeps_together(self, header: Header, line: int) -> None:
        """Without the column groups would be cut freely; a bundle's file is one group then."""
        preparation, known = self._job.preparation, self._job.mapping.labels
        if preparation is None or preparation.bundles:
            return
        told = self._problems.level("header.missing") == "error"
        for label in preparation.keep_together:
            if header.find(label) is None and not (told and is_one_of(label, known)):
                message = (
                    f'The folder keeps records together by the column "{label}", which the file lacks.'
                    " Add the column, or correct keep_together."
                )
                self._problems.add("header.missing", message, line=line, column=label, insist=True)

    def _new_sending(self, header: Header) -> Sending | None:
        if self._job.preparation is None or self._is_hopeless():
            return None
        return Sending(self._job, self._job.preparation, header, self._reading)

    def _is_hopeless(self) -> bool:
        """Whether it is certain that nothing of this file will be sent."""
        preparation = self._job.preparation
        splitting = preparation is not None and preparation.split_off_invalid
        return self._problems.file_refused or (self._problems.errors > 0 and not splitting)

    def _abandon(self) -> None:
        for taker in (self._sending, self._following):
            if taker is not None:
                taker.abandon()
        self._sending = self._following = None

    def _end(self) -> tuple[PreparedPart, ...]:
        self._judge_file()
        if self._job.manifest is not None:
            manifest.compare(
                self._job.manifest,
                self._problems,
                records=self._faults.records,
                sha256=self._reading.source.sha256,
                totals=self._columns.totals if self._columns else None,
            )
        repeated = self._judge_keys()
        if repeated and self._header and self._columns and not self._is_hopeless():
            self._write_again(self._header, self._columns)
        if self._is_hopeless():
            self._abandon()
        return self._sending.finish(self._faults.records) if self._sending else ()

    def _judge_file(self) -> None:
        source, problems = self._reading.source, self._problems
        if source.encoding.complaint:
            problems.add("file.encoding", source.encoding.complaint, line=1)
        header = self._reading.header
        if not source.encoding.is_text:
            return
        if header is None:
            message = "The file is empty: it has no header and no records. Export it again."
            problems.add("file.empty", message)
        elif not self._faults.records and header.fault is None:
            message = "The file has a header and no records below it."
            problems.add("file.no_records", message, line=header.line)
        self._judge_end()

    def _judge_end(self) -> None:
        """A file that ends in the middle: told once, under the first of the names that fit."""
        fault = self._reading.header.fault if self._reading.header else None
        if self._problems.by_code["file.unterminated_quote"] or (
            fault is not None and fault.kind is FaultKind.CARRIAGE_RETURN  # no line ends at all
        ):
            return
        line, record = self._reading.lines, self._faults.records
        if not self._reading.ended and self._job.dialect.final_newline == "require":
            message = (
                "The last line does not end with a newline, so the file may have been cut on its way."
                ' Drop it again whole; if it is whole, set final_newline = "allow".'
            )
            self._problems.add("file.final_newline", message, line=line, record=record)
        elif self._reading.source.odd_byte:
            message = "The file ends in the middle of a character. Drop it again whole."
            self._problems.add("file.encoding", message, line=line, record=record)

    def _judge_keys(self) -> bool:
        """Settle which keys repeat; True when one does and that is an error."""
        if self._columns is None or self._header is None:
            return False
        codes = self._columns.key_codes
        candidates = {index: k.candidates() for index, k in self._columns.keys.items()}
        for wanted in keys.batches_of(candidates):
            again = FileReading(self._job.path, self._job.dialect)
            readable = (rows for block in again.blocks() for rows in self._readable_again(block))
            for repeat in keys.repeats(readable, wanted):
                label = self._header.column(repeat.column)
                self._report_repeat(repeat, label, codes[repeat.column])
            self._expect_same_file(again)
        self._judge_seen_before(self._columns, self._header)
        return any(
            self._problems.by_code[code] and self._problems.level(code) == "error"
            for code in {*codes.values(), remembered.CODE}
        )

    def _judge_seen_before(self, columns: ColumnChecks, header: Header) -> None:
        """Report the keys that an earlier drop of the folder has staged."""
        if self._job.remembered is None:
            return
        known = columns.seen_before.known(self._job.remembered)
        for at in range(0, len(known), keys.CANDIDATES_AT_ONCE):
            wanted = frozenset(known[at : at + keys.CANDIDATES_AT_ONCE])
            again = FileReading(self._job.path, self._job.dialect)
            for blocks in again.blocks():
                for rows in self._readable_again(blocks):
                    for row, index in columns.seen_before.holders(rows, wanted):
                        self._report_seen(rows.record(row), index, header.column(index))
            self._expect_same_file(again)

    def _report_seen(self, record: Record, index: int, label: str) -> None:
        value = record.fields[index]
        self._problems.add(
            remembered.CODE,
            f'{shown(value)} was staged with an earlier file of this folder; each "{label}" should be sent once.',
            line=record.line_of(index),
            record=record.number,
            column=label,
            value=value,
            order=index,
        )

    def _readable_again(self, blocks: list[Proven | Batch]) -> Iterator[Rows]:
        """What the checks by column saw of the blocks, without reports."""
        width = self._header.width if self._header else 0
        for block in blocks:
            if isinstance(block, Proven):
                yield block
            elif records := list(keys.readable(block.records, width)):
                yield HandRead(records)

    def _report_repeat(self, repeat: keys.Repeat, label: str, code: str) -> None:
        message = (
            f"{shown(repeat.value)} stands already in record {repeat.first_record}"
            f' (line {repeat.first_line}); each "{label}" may stand in the file once.'
        )
        self._problems.add(
            code,
            message,
            line=repeat.line,
            record=repeat.record,
            column=label,
            value=repeat.value,
            order=repeat.column,
        )

    def _expect_same_file(self, again: FileReading) -> None:
        if again.source.sha256 != self._reading.source.sha256:
            hint = "Drop the file again when its sender has finished with it."
            raise CheckFailed(f"{self._job.path.name} changed while it was checked", hint=hint)

    def _write_again(self, header: Header, checks: ColumnChecks) -> None:
        """Make the parts once more, now that the records to leave out are known."""
        if self._sending is None:
            return
        self._abandon()
        self._sending = self._new_sending(header)
        again = FileReading(self._job.path, self._job.dialect)
        for blocks in again.blocks():
            for rows in self._readable_again(blocks):
                if self._sending is not None:
                    self._sending.add(rows, checks.normalise(rows)[0], self._problems)
        self._expect_same_file(again)

    def _result(self, parts: tuple[PreparedPart, ...], seconds: float) -> CheckResult:
        source, problems, columns = self._reading.source, self._problems, self._columns
        return CheckResult(
            size=source.size,
            sha256=source.sha256,
            encoding=source.encoding.name,
            records=self._faults.records,
            lines=self._reading.lines,
            errors=problems.errors,
            warnings=problems.warnings,
            by_code=dict(sorted(problems.by_code.items())),
            problems=problems.listed(),
            totals=columns.totals.totals() if columns else {},
            totals_by=columns.totals.totals_by() if columns else (),
            rejected=problems.marks.ranges(),
            parts=parts,
            normalised={what: n for what, n in columns.normalised.items() if n} if columns else {},
            looks_cut=self._looks_cut(),
            file_refused=problems.file_refused,
            seconds=seconds,
            unreadable=self._faults.unreadable,
            unsummed=columns.totals.unsummed() if columns else {},
        )

    def _looks_cut(self) -> bool:
        found = self._problems.by_code
        return bool(
            found["file.unterminated_quote"]
            or (found["file.final_newline"] and self._newline_required)
            or self._faults.last_is_short
            or self._reading.source.odd_byte
        )
