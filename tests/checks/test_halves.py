"""Two processes find what one finds, or leave it to one."""

import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest
from prepared_parts import bytes_of, in_place

from benchmarks import planted
from revsyncd.checks import engine, halves
from revsyncd.checks.contract import (
    CheckJob,
    CheckResult,
    Dialect,
    Manifest,
    Preparation,
    Rules,
)
from revsyncd.checks.keys import Keys
from revsyncd.core.template import ColumnType, MappedColumn, Mapping

RULES = Rules(
    required=planted.REQUIRED,
    unique=planted.UNIQUE,
    totals=planted.TOTALS,
    totals_by=("Curr", "Type"),
    allowed=planted.ALLOWED,
)
Begun = list[Callable[[], halves.Half]]


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Begun:
    """The work of each second process; files of any size are worth one."""
    works: Begun = []
    begin = halves.SecondHalf.begin

    def noted(work: Callable[[], halves.Half]) -> halves.SecondHalf:
        works.append(work)
        return begin(work)

    monkeypatch.setattr(halves, "WORTH", 0)
    monkeypatch.setattr("revsyncd.checks.source.BLOCK", 1000)
    monkeypatch.setattr(halves.SecondHalf, "begin", noted)
    return works


def same(job: CheckJob) -> CheckResult:
    """The result, found by two processes, after proof that one finds the same."""
    one = replace(engine.check(job), seconds=0)
    two = replace(engine.check(job, processes=2), seconds=0)
    assert two == one
    return two


@pytest.mark.parametrize("quote_all", [False, True])
def test_every_planted_defect_is_found_at_its_place(
    tmp_path: Path, begun: Begun, *, quote_all: bool
) -> None:
    """Line, record, column, value and code, none more; totals to the cent."""
    path = tmp_path / "planted.csv"
    expected = planted.write(path, 4000, 440, quote_all=quote_all)
    result = same(CheckJob(path, planted.MAPPING, Dialect(), RULES))
    assert len(begun) == 1
    found = [(p.line, p.record, p.column, p.value, p.code) for p in result.problems]
    assert sorted(found) == sorted(tuple(p.values()) for p in expected["problems"])
    assert (result.records, result.lines) == (expected["records"], expected["lines"])
    assert result.totals == expected["totals"]
    assert result.errors == 440


@pytest.mark.parametrize("limit", [0, 3, 7, 100])
def test_what_is_listed_does_not_depend_on_how_the_file_is_cut(
    tmp_path: Path, begun: Begun, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Fewer places than codes, or than problems of one code: the same ones in the same order."""
    path = tmp_path / "planted.csv"
    planted.write(path, 1000, 330)
    job = CheckJob(path, planted.MAPPING, Dialect(), replace(RULES, problem_limit=limit))
    listed = same(job)
    assert len(listed.problems) == limit
    for block in (300, 5000, 1 << 16):
        monkeypatch.setattr("revsyncd.checks.source.BLOCK", block)
        assert repr(replace(same(job), seconds=0)) == repr(listed)


COLUMNS = (
    MappedColumn("Id", "ATR1", ColumnType.CHARACTER),
    MappedColumn("Org", "ORG_ID", ColumnType.CHARACTER),
)


def job_on(path: Path, content: bytes, **changes: object) -> CheckJob:
    path.write_bytes(content)
    job = CheckJob(path, Mapping("", COLUMNS), Dialect(), Rules(unique=("Id",)))
    return replace(job, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content",
    [
        b"Id,Org\n" + b'"' + b"a,1\n" * 4000 + b'",1\nb,1\n',  # one cell over the whole middle
        b"Id,Org\n" + b"a,1\n" * 2000 + b'"b,1\n' + b"c,1\n" * 2000,  # a quote that nothing closes
        b"Id,Org\n" + b"a,1\n" * 4000 + b"b,1",
        b"Id,Org\n" + b"a,1\n" * 4000 + b"b\n",
        b"Id,Org\n" + b"a,1\n" * 2000 + b"b,2\n" * 2000,  # the second half begins with another one
        b"Id,Org\n" + b"a,\n" * 2000 + b"b,2\n" * 2000,
        b"Id,Org\r\n" + b"\r\n" * 5000 + b"a,1\r\n" * 100,
        b"\xef\xbb\xbfsep=;\r\nId;Org\r\n" + b"a;1\r\n" * 3000,
        b"Id,Org\n" + "\xeb\xff,1\n".encode("latin-1") * 3000,
    ],
)
def test_what_is_found_does_not_depend_on_the_number_of_processes(
    tmp_path: Path, begun: Begun, content: bytes
) -> None:
    """Quotes over the middle, faults, ends, encodings: the same result in all its fields."""
    same(job_on(tmp_path / "drop.csv", content, manifest=Manifest(records=7)))


RECORD = b"%d,7\r\n"
RECORDS = b"Id,Org\r\n" + b"".join(RECORD % number for number in range(1, 3001))


def prepared(directory: Path, job: CheckJob, processes: int) -> tuple[CheckResult, list[bytes]]:
    """The result, and everything that was made for the upload."""
    directory.mkdir()
    made = Preparation(
        directory, 700, split_off_invalid=True, line_ids=directory / "ids", so_line_id="Id"
    )
    result = engine.check(replace(job, preparation=made), processes=processes)
    left = {path.name for path in directory.iterdir()} - {p.path.name for p in result.parts}
    assert left == ({"ids"} if result.parts else set())
    return result, [*map(bytes_of, result.parts), *([made.line_ids.read_bytes()] if left else [])]  # type: ignore[union-attr]


def same_parts(job: CheckJob) -> CheckResult:
    """The result of two processes, after proof that one makes the same parts and the same index."""
    one, ones = prepared(job.path.with_name("one"), job, 1)
    two, twos = prepared(job.path.with_name("two"), job, 2)
    assert twos == ones
    for result in (one, two):
        assert [p.sha256 for p in result.parts] == [
            hashlib.sha256(bytes_of(p)).hexdigest() for p in result.parts
        ]
    described = [(p.ranges, p.size, p.cut, p.sha256) for p in one.parts]
    assert described == [(p.ranges, p.size, p.cut, p.sha256) for p in two.parts]
    assert replace(two, seconds=0, parts=()) == replace(one, seconds=0, parts=())
    return two


def test_two_processes_make_the_parts_of_one_where_nothing_is_written(
    tmp_path: Path, begun: Begun
) -> None:
    """All ranges, one of them over the middle, and the index of line ids whole."""
    result = same_parts(job_on(tmp_path / "drop.csv", RECORDS))
    assert len(begun) == 1
    assert [p.records for p in result.parts] == [700, 700, 700, 700, 200]
    assert all(map(in_place, result.parts))


@pytest.mark.parametrize("at", [200, 2900])
@pytest.mark.parametrize(
    "odd", [b'%d,"7"\r\n', b"%d,7\n", b"%d\r\n", b"%d,8\r\n", b"\r\n\n%d,7\r\n", b"1,7\r\n"]
)
def test_an_odd_record_in_either_half_makes_no_other_parts(
    tmp_path: Path, begun: Begun, odd: bytes, at: int
) -> None:
    """Needless quotes, a short record, another organisation, a blank line, a key that repeats."""
    other = odd if b"%d" not in odd else odd % at
    content = RECORDS.replace(b"\n" + RECORD % at, b"\n" + other)
    same_parts(job_on(tmp_path / "drop.csv", content))
    assert len(begun) == 1


@pytest.mark.parametrize("at", [300, 2700])
def test_dense_faults_in_either_half_make_no_other_parts(
    tmp_path: Path, begun: Begun, at: int
) -> None:
    """Good records between them are told one by one, and keep their numbers."""
    content = RECORDS
    for number in range(at, at + 200, 3):
        content = content.replace(b"\n" + RECORD % number, b"\n%d\r\n" % number)
    result = same_parts(job_on(tmp_path / "drop.csv", content))
    assert len(begun) == 1
    assert sum(p.records for p in result.parts) == 3000 - 67


def test_a_refused_file_leaves_nothing_behind(tmp_path: Path, begun: Begun) -> None:
    """Whichever process finds the fault."""
    for at in (b"2900", b"200"):
        directory = tmp_path / at.decode()
        directory.mkdir()
        job = job_on(
            directory / "drop.csv", RECORDS.replace(b"\n" + at + b",7", b"\n" + at + b",\xff")
        )
        assert same_parts(job).parts == ()
    assert len(begun) == 2


@pytest.mark.parametrize("org", [b"7", b"\xc3\xab", b"x" * 60])
def test_two_processes_make_the_parts_of_one_where_all_is_written(
    tmp_path: Path, begun: Begun, org: bytes
) -> None:
    """Line ends of another system: the second half is written once, and then into its parts."""
    content = RECORDS.replace(b"\r", b"").replace(b",7", b"," + org)
    result = same_parts(job_on(tmp_path / "drop.csv", content))
    assert len(begun) == 1
    assert [(p.records, in_place(p)) for p in result.parts] == [*[(700, False)] * 4, (200, False)]


def test_what_is_kept_together_is_left_to_one_process(tmp_path: Path, begun: Begun) -> None:
    """Only one that has seen all the records before can say where a part ends."""
    preparation = Preparation(tmp_path, 5000, keep_together=("Org",))
    job = job_on(tmp_path / "drop.csv", RECORDS, preparation=preparation)
    assert engine.check(job, processes=2).records == 3000
    assert begun == []


def test_a_second_process_that_dies_is_no_loss(
    tmp_path: Path, begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One reads the whole file then."""
    job = job_on(tmp_path / "drop.csv", b"Id,Org\n" + b"a,1\n" * 4000)
    monkeypatch.setattr(engine._Check, "half", lambda *_, **__: os._exit(3))
    same(job)
    assert len(begun) == 1


def test_a_second_process_that_dies_while_it_answers_is_no_loss(
    tmp_path: Path, begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of its keys were added by then: one begins anew, and no key is there twice."""
    rows = b"".join(b"%d,1\n" % (number % 3990) for number in range(4000))
    job = job_on(tmp_path / "drop.csv", b"Id,Org\n" + rows)
    send = Keys.send

    def cut_off(keys: Keys, pipe: BinaryIO) -> None:
        answer = io.BytesIO()
        send(keys, answer)
        pipe.write(answer.getvalue()[: len(answer.getvalue()) // 2])
        pipe.flush()
        os._exit(3)

    monkeypatch.setattr(Keys, "send", cut_off)
    assert same(job).by_code == {"record.duplicate": 10}
    assert len(begun) == 1


def test_a_break_ends_the_second_process(tmp_path: Path, begun: Begun) -> None:
    """No process is left behind, and none unreaped."""
    job = job_on(tmp_path / "drop.csv", b"Id,Org\n" + b"a,1\n" * 4000)

    def broken(done: int, size: int) -> None:
        if begun:
            raise OSError("the listener is gone")

    with pytest.raises(OSError, match="gone"):
        engine.check(job, broken, processes=2)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
