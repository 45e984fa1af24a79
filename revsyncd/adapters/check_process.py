"""The checks, outside the event loop: small files in a thread, larger ones in a process of their own.

A thread holds the interpreter's lock, so a large file there would starve the daemon; a process costs
20 to 40 ms and gives all its memory back when it ends.
"""

import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

import revsyncd
from revsyncd.checks import worker
from revsyncd.checks.contract import (
    CheckJob,
    CheckResult,
    Dialect,
    GlResult,
    GlRules,
    Problem,
    Progress,
)
from revsyncd.checks.engine import check
from revsyncd.checks.excerpts import Excerpt, excerpts
from revsyncd.checks.gl_file import examine
from revsyncd.checks.gl_unpack import packing_of
from revsyncd.checks.line_ids import Match, lookup, rebuild
from revsyncd.checks.remembered import keys_of
from revsyncd.checks.selection import locate, select
from revsyncd.core.errors import CheckFailed

_FOR_PYTHON = ("PYTHON", "LD_", "LC_", "LANG", "PATH", "TMPDIR", "TZ", "COVERAGE_")
SMALL = 256 * 1024
"""Bytes below which a file is checked in a thread."""

_COMMAND = (sys.executable, "-P", "-m", "revsyncd.checks.worker")
_PACKAGE_ROOT = str(Path(revsyncd.__file__).parent.parent)
_KEPT_OF_STDERR = 4096


class ProcessChecker:
    """Implements `revsyncd.ports.Checker`, and does the other work on whole files the same way."""

    def __init__(self, *, small: int = SMALL, command: Sequence[str] = _COMMAND) -> None:
        """Files of `small` bytes and more go to a process started with `command`."""
        self._small = small
        self._command = command

    async def check(self, job: CheckJob, progress: Progress | None = None) -> CheckResult:
        """Check one file and prepare its parts. Raises CheckFailed, NoSpace or OSError."""
        if self._is_small(job.path):
            return await anyio.to_thread.run_sync(check, job)
        result: CheckResult = await self._in_process("check", (job,), progress)
        return result

    async def select(
        self, path: Path, dialect: Dialect, ranges: Iterable[tuple[int, int]], out_path: Path
    ) -> int:
        """See `revsyncd.checks.selection.select`."""
        count: int = await self._run(path, select, (path, dialect, tuple(ranges), out_path))
        return count

    async def locate(self, path: Path, dialect: Dialect, records: Iterable[int]) -> dict[int, int]:
        """See `revsyncd.checks.selection.locate`."""
        lines: dict[int, int] = await self._run(path, locate, (path, dialect, tuple(records)))
        return lines

    async def keys_of(
        self,
        path: Path,
        dialect: Dialect,
        labels: Sequence[str],
        ranges: Iterable[tuple[int, int]],
        out: Path,
    ) -> int:
        """See `revsyncd.checks.remembered.keys_of`."""
        arguments = (path, dialect, tuple(labels), tuple(ranges), out)
        count: int = await self._run(path, keys_of, arguments)
        return count

    async def excerpts(
        self, path: Path, dialect: Dialect, problems: Sequence[Problem]
    ) -> dict[Problem, Excerpt]:
        """See `revsyncd.checks.excerpts.excerpts`."""
        found: dict[Problem, Excerpt] = await self._run(path, excerpts, (path, dialect, problems))
        return found

    async def lookup(
        self,
        path: Path,
        dialect: Dialect,
        index: Path,
        labels: Mapping[str, str],
        wanted: Mapping[str, Iterable[str]],
    ) -> list[Match]:
        """See `revsyncd.checks.line_ids.lookup`."""
        ids = {column: tuple(of_column) for column, of_column in wanted.items()}
        found: list[Match] = await self._run(path, lookup, (path, dialect, index, labels, ids))
        return found

    async def rebuild(
        self, path: Path, dialect: Dialect, index: Path, labels: Mapping[str, str]
    ) -> None:
        """See `revsyncd.checks.line_ids.rebuild`."""
        await self._run(path, rebuild, (path, dialect, index, labels))

    async def examine(self, path: Path, unpacked: Path, rules: GlRules) -> GlResult:
        """See `revsyncd.checks.gl_file.examine`; what is packed may be large however small it looks."""
        if self._is_small(path) and packing_of(path) == "plain":
            return await anyio.to_thread.run_sync(examine, path, unpacked, rules)
        found: GlResult = await self._in_process("examine", (path, unpacked, rules), None)
        return found

    def _is_small(self, path: Path) -> bool:
        return path.stat().st_size < self._small

    async def _run(self, path: Path, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if self._is_small(path):
            return await anyio.to_thread.run_sync(lambda: work(*arguments))
        return await self._in_process(work.__name__, arguments, None)

    async def _in_process(
        self, name: str, arguments: tuple[Any, ...], progress: Progress | None
    ) -> Any:
        """Have one piece of work done by a child that is gone, and reaped, when this returns or raises."""
        child = await anyio.open_process(
            self._command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=_environment(),
            start_new_session=True,
        )
        try:
            result = await _converse(child, pickle.dumps((name, arguments)), progress)
        except BaseException:
            _kill(child)
            raise
        else:
            return result
        finally:
            with anyio.CancelScope(shield=True):
                await child.aclose()  # waits until it has ended


def _environment() -> dict[str, str]:
    """What Python needs of ours, with this very package to be found first.

    Secrets stand in the daemon's environment; whoever reads foreign files has no use for them.
    """
    paths = [_PACKAGE_ROOT, os.environ.get("PYTHONPATH", "")]
    kept = {name: os.environ[name] for name in os.environ if name.startswith(_FOR_PYTHON)}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


async def _converse(child: anyio.abc.Process, request: bytes, progress: Progress | None) -> Any:
    complaint = bytearray()
    answer: tuple[str, Any] | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_keep_end, child, complaint)
        tasks.start_soon(_send, child, request)
        answer = await _last_answer(child, progress)
    if answer is None:
        raise _died(await child.wait(), bytes(complaint))
    kind, value = answer
    if kind == "error":
        raise value
    return value


async def _send(child: anyio.abc.Process, request: bytes) -> None:
    if child.stdin is None:
        return
    with suppress(anyio.BrokenResourceError):  # a child that died early is reported by its end
        await child.stdin.send(request)
        await child.stdin.aclose()


async def _keep_end(child: anyio.abc.Process, complaint: bytearray) -> None:
    """Keep the end of what the child writes to stderr; returns when the child has closed it."""
    if child.stderr is not None:
        async for data in child.stderr:
            complaint += data
            del complaint[:-_KEPT_OF_STDERR]


async def _last_answer(
    child: anyio.abc.Process, progress: Progress | None
) -> tuple[str, Any] | None:
    """The child's result or error, having passed its progress on; None when it died before."""
    if child.stdout is None:
        return None
    stream = BufferedByteReceiveStream(child.stdout)
    while True:
        try:
            (length,) = worker.LENGTH.unpack(await stream.receive_exactly(worker.LENGTH.size))
            kind, value = pickle.loads(await stream.receive_exactly(length))  # noqa: S301  (our own child)
        except anyio.IncompleteRead:
            return None
        if kind != "progress":
            return kind, value
        if progress is not None:
            progress(*value)


def _kill(child: anyio.abc.Process) -> None:
    # Not child.kill(): it looks whether the child has ended, and may reap it before asyncio's own
    # watcher does, which then warns of a child that it does not know.
    if child.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # it leads a session, with its second half in it


def _died(code: int, complaint: bytes) -> CheckFailed:
    lines = complaint.decode(errors="replace").strip().splitlines()
    reason = lines[-1] if lines else "without a word"
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    hint = "Nothing was sent. If it was killed, look whether memory was short."
    return CheckFailed(f"The process that checks files {how}: {reason}", hint=hint)
