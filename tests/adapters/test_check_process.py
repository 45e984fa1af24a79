"""The checks outside the event loop, with real threads, processes and signals."""

import errno
import os
import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from prepared_parts import bytes_of

from revsyncd.adapters import check_process
from revsyncd.adapters.check_process import ProcessChecker
from revsyncd.checks.contract import CheckJob, Dialect, Preparation, Rules
from revsyncd.checks.line_ids import SO_LINE_ID, Match
from revsyncd.core.errors import CheckFailed, NoSpace
from revsyncd.core.template import ColumnType, MappedColumn, Mapping

MAPPING = Mapping(
    "DD-MON-YYYY",
    (
        MappedColumn("Id", "ID", ColumnType.CHARACTER),
        MappedColumn("Amount", "AMOUNT", ColumnType.NUMBER),
    ),
)
IN_PROCESS = ProcessChecker(small=0)


@pytest.fixture(params=[0, 1 << 20], ids=["process", "thread"])
def checker(request: pytest.FixtureRequest) -> ProcessChecker:
    """The same in a process and in a thread."""
    return ProcessChecker(small=request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A drop with a bad number in record 2."""
    path = tmp_path / "drop.csv"
    path.write_text("Id,Amount\r\na,1\r\nb,x\r\nc,3\r\n", newline="")
    return path


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Where parts are written."""
    directory = tmp_path / "parts"
    directory.mkdir()
    return directory


def job(path: Path, preparation: Preparation | None = None) -> CheckJob:
    return CheckJob(path, MAPPING, Dialect(), Rules(totals=("Amount",)), None, preparation)


def contents(path: Path) -> bytes:
    return path.read_bytes()


def child(program: str) -> ProcessChecker:
    """A checker whose child runs `program` instead."""
    return ProcessChecker(small=0, command=(sys.executable, "-c", program))


async def test_the_result_is_the_same_in_thread_and_process(
    checker: ProcessChecker, path: Path, parts: Path
) -> None:
    """Every fact comes back, and the parts are on disk."""
    result = await checker.check(job(path, Preparation(parts, 1, split_off_invalid=True)))
    assert [(p.code, p.line, p.value) for p in result.problems] == [("cell.number", 3, "x")]
    assert (result.records, result.totals, result.rejected) == (3, {"Amount": "4"}, ((2, 2),))
    assert [bytes_of(part) for part in result.parts] == [
        b"Id,Amount\r\na,1\r\n",
        b"Id,Amount\r\nc,3\r\n",
    ]


async def test_the_other_work_is_the_same_too(checker: ProcessChecker, path: Path) -> None:
    """Selecting, locating, indexing and looking up."""
    out, index = path.with_name("out.csv"), path.with_name("ids")
    assert await checker.select(path, Dialect(), [(2, 3)], out) == 2
    assert contents(out) == b"Id,Amount\r\nb,x\r\nc,3\r\n"
    assert await checker.locate(path, Dialect(), [3]) == {3: 4}
    labels = {SO_LINE_ID: "Id"}
    await checker.rebuild(path, Dialect(), index, labels)
    found = await checker.lookup(path, Dialect(), index, labels, {SO_LINE_ID: iter(["b"])})
    assert found == [Match("b", SO_LINE_ID, 2, 3)]


async def test_progress_comes_over_the_pipe(path: Path) -> None:
    """The last word is the whole file."""
    told: list[tuple[int, int]] = []
    await IN_PROCESS.check(job(path), lambda done, size: told.append((done, size)))
    assert told[-1] == (len(contents(path)),) * 2


async def test_errors_come_over_the_pipe_as_they_are(path: Path) -> None:
    """With message and hint, or with errno: a child is no reason to know less."""
    nowhere = path.with_name("no such directory")
    with pytest.raises(FileNotFoundError) as missing:
        await IN_PROCESS.check(job(path, Preparation(nowhere, 1, line_ids=nowhere / "ids")))
    assert missing.value.errno == errno.ENOENT
    dates = Mapping("DAY", (MappedColumn("Id", "ID", ColumnType.DATE),))
    with pytest.raises(CheckFailed, match="date mask") as caught:
        await IN_PROCESS.check(CheckJob(path, dates, Dialect(), Rules()))
    assert "date_format" in caught.value.hint


async def test_no_space_comes_over_the_pipe(path: Path) -> None:
    """A bound on the size of files, in the child alone, stands for a full disk."""
    bounded = child(
        "import errno, resource, signal\n"
        "from revsyncd.checks import worker, writing\n"
        "writing._DISK_TROUBLE = frozenset({errno.EFBIG})\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8, 8))\n"
        "worker.main()"
    )
    with pytest.raises(NoSpace) as caught:
        await bounded.select(path, Dialect(), [(1, 3)], path.with_name("out.csv"))
    assert caught.value.hint
    assert sorted(entry.name for entry in os.scandir(path.parent)) == ["drop.csv"]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import sys; sys.exit('out of luck')", "exit code 1: out of luck"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "signal 9: without a word"),
        ("import sys; sys.stdin.read(); print('garbage')", "exit code 0"),
        ("raise MemoryError", "exit code 1: MemoryError"),
    ],
)
async def test_a_child_that_dies_is_a_failed_check(path: Path, program: str, words: str) -> None:
    """The message says how it ended and its last words."""
    with pytest.raises(CheckFailed, match=words):
        await child(program).check(job(path))


async def test_a_cancelled_check_leaves_no_process(path: Path) -> None:
    """The child is killed and reaped before the caller goes on."""
    fifo = path.with_name("fifo")
    os.mkfifo(fifo)
    stubborn = child(
        "import os, signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"with open({str(fifo)!r}, 'w') as fifo: fifo.write(str(os.getpid()))\n"
        "signal.pause()"
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stubborn.check, job(path))
        pid = int(await anyio.to_thread.run_sync(fifo.read_text))
        tasks.cancel_scope.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_the_event_loop_goes_on_meanwhile(path: Path) -> None:
    """Another task gets its turn between the start of a check and its end."""
    fifo = path.with_name("fifo")
    os.mkfifo(fifo)
    waiting = child(
        f"open({str(fifo)!r}).read(); from revsyncd.checks import worker; worker.main()"
    )

    async def let_go() -> None:
        await anyio.to_thread.run_sync(fifo.write_text, "go")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(let_go)  # without which the child never begins
        assert (await waiting.check(job(path))).records == 3


async def test_the_child_imports_little(path: Path) -> None:
    """Neither the HTTP client nor the logger nor the event loop has a part in checking."""
    program = (
        "import sys, revsyncd.checks.worker\n"
        "heavy = {'httpx', 'structlog', 'anyio', 'asyncio', 'click', 'cattrs', 'watchfiles', 'sqlite3'}\n"
        "heavy -= {'sqlite3'} if 'coverage' in sys.modules else set()\n"  # which imports it itself
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 'none of them')"
    )
    with pytest.raises(CheckFailed, match="none of them"):
        await child(program).check(job(path))


def test_the_child_gets_no_secret_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads foreign files: what the daemon signs in with is none of its business."""
    monkeypatch.setenv("REVSYNCD_PASSWORD", "hunter2")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
    environment = check_process._environment()
    assert "hunter2" not in environment.values()
    assert "CREDENTIALS_DIRECTORY" not in environment
    assert environment["PATH"] == os.environ["PATH"]
