"""The real daemon and the real commands, as processes of their own."""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from revsyncd.demo.journal import Event, Journal
from revsyncd.demo.tree import Tree

PROGRAM = (sys.executable, "-m", "revsyncd")
_GRACE = 10.0  # seconds for a daemon that was asked to stop


@asynccontextmanager
async def running(tree: Tree, journal: Journal) -> AsyncIterator[Process]:
    """The daemon on a tree, its log told to the journal; ended on the way out, however that is.

    It is a session of its own, so that Ctrl-C reaches the demo alone, which ends it by its pid.
    """
    with tree.complaints.open("wb") as complaints:
        process = await anyio.open_process(
            [*PROGRAM, "run", "--config", str(tree.config)],
            stderr=complaints,
            start_new_session=True,
        )
        async with process, anyio.create_task_group() as tasks:
            tasks.start_soon(_follow, process, tree, journal)
            try:
                yield process
            finally:
                with anyio.CancelScope(shield=True):
                    await stop(process)


async def stop(process: Process) -> int:
    """Ask a process to stop, and end it if it does not; returns its exit code."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        with anyio.move_on_after(_GRACE):
            return await process.wait()
        process.kill()
    return await process.wait()


async def _follow(process: Process, tree: Tree, journal: Journal) -> None:
    """Take the daemon's log line by line, as it is written."""
    assert process.stdout is not None  # noqa: S101  (a pipe was asked for)
    rest = ""
    with tree.log.open("w", encoding="utf-8") as log:
        async for text in TextReceiveStream(process.stdout, errors="replace"):
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                log.write(f"{line}\n")
                journal.add(read_line(line))
            log.flush()
    journal.end()


def read_line(line: str) -> Event:
    """A line of the log as an event; what is no JSON object is one named `raw`."""
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if isinstance(event, dict) and isinstance(event.get("event"), str):
        return event
    return {"event": "raw", "level": "warning", "error": line}


async def command(tree: Tree, *words: str) -> tuple[int, str]:
    """Run a command of revsyncd on the tree; returns its exit code and all that it said."""
    environment = {**os.environ, "REVSYNCD_CONFIG": str(tree.config)}
    done = await anyio.run_process([*PROGRAM, *words], check=False, env=environment)
    said = done.stdout + done.stderr
    return done.returncode, said.decode("utf-8", "replace").strip()
