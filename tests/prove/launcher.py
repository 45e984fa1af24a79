"""Starts `revsyncd` again and again in no time, changed from outside as a test wants it.

Run as a program: everything is imported once, then each line on stdin, a JSON object, is a fork that
runs one command of revsyncd. Its process id, and later its exit status, come back on stdout. Nothing
of this is in the product, which therefore pays nothing for it.

Keys of an order: `argv`, `cwd`, `log` (where stdout and stderr go), `env`, `traced` (wait for a
tracer), `failpoint` (see `failpoints`), `without` (see `sabotage`).
"""

import asyncio
import contextvars
import ctypes
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio._backends._asyncio  # imported when it is first needed, otherwise
import anyio.to_thread
from prove import failpoints, sabotage

import revsyncd.checkup  # all of it is to be there before the first fork
import revsyncd.cli.run
import revsyncd.cli.word
from revsyncd.adapters import shelves
from revsyncd.cli import main
from revsyncd.core.pace import Pace
from revsyncd.pipelines import following

HASTE = Pace(first=0.02, factor=1.2, most=0.2)  # the tenant of a test answers at once


def serve() -> None:
    """Take orders until stdin ends."""
    _end_with_parent()
    for line in sys.stdin:
        order = json.loads(line)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _become(order)
        _tell({"pid": child})
        _, status = os.waitpid(child, 0)
        _tell({"exit": os.waitstatus_to_exitcode(status)})


def _end_with_parent() -> None:
    """Whatever ends the test ends its processes."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, <linux/prctl.h>


def _tell(fact: dict[str, Any]) -> None:
    print(json.dumps(fact), flush=True)


def _become(order: dict[str, Any]) -> None:
    """Be the program of this order, to its end."""
    _end_with_parent()
    out = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    os.chdir(order["cwd"])
    os.environ.update(order["env"])
    sys.argv = ["revsyncd", *order["argv"]]
    _as_if_fresh()
    if order.get("without"):
        sabotage.without(order["without"])
    if order.get("failpoint"):
        failpoints.arm(**order["failpoint"])
    if order.get("traced"):
        one_worker()
        _await_tracer()
    code = 1
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        os._exit(code)


def _as_if_fresh() -> None:
    """What the modules took from the process at import: a fork would share it with its siblings."""
    shelves._OURS = f"{shelves._TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}-"
    following.LOOKS = HASTE


def one_worker() -> None:
    """All blocking work on one thread, and no socket between it and the loop.

    strace counts the calls of each thread by themselves. With one worker, and one loop that has all
    the sockets, the N-th call of a thread is the N-th of the process.
    """
    pool = ThreadPoolExecutor(max_workers=1)
    usual = anyio.to_thread.run_sync

    async def run_sync(
        work: Callable[..., Any],
        *args: Any,
        abandon_on_cancel: bool = False,
        limiter: Any = None,
        **_: Any,
    ) -> Any:
        if abandon_on_cancel:  # the watcher, which waits for ever in a thread of its own
            return await usual(work, *args, abandon_on_cancel=True, limiter=limiter)
        await anyio.lowlevel.checkpoint()
        run = partial(contextvars.copy_context().run, work, *args)
        async with limiter or nullcontext():
            with anyio.CancelScope(shield=True):
                return await asyncio.wrap_future(pool.submit(run))

    # Both are looked up where they are called, in the product's modules and in asyncio.
    anyio.to_thread.run_sync = run_sync  # type: ignore[assignment]
    asyncio.selector_events.BaseSelectorEventLoop._write_to_self = _write_to_self  # type: ignore[attr-defined]


def _write_to_self(loop: Any) -> None:
    csock = loop._csock
    if csock is not None:
        os.writev(csock.fileno(), [b"\0"])  # a call that nothing else makes


def _await_tracer() -> None:
    status = Path("/proc/self/status")
    while "TracerPid:\t0\n" in status.read_text():
        time.sleep(0.001)
    time.sleep(0.003)  # seized is not yet stopped


if __name__ == "__main__":
    del revsyncd
    serve()
