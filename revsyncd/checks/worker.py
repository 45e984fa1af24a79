"""A child process that does one piece of work for the checks and ends: `python -m revsyncd.checks.worker`.

It reads one request on stdin and writes frames on stdout: progress, then the result or the error.
Frames are pickles behind their length. That is safe here and here alone: both ends are our own
processes on an inherited pipe, and nothing of a dropped file is ever unpickled.
"""

import gc
import os
import pickle
import signal
import struct
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

from revsyncd.checks.contract import CheckJob, CheckResult, Progress
from revsyncd.checks.engine import check
from revsyncd.checks.excerpts import excerpts
from revsyncd.checks.gl_file import examine
from revsyncd.checks.line_ids import lookup, rebuild
from revsyncd.checks.remembered import keys_of
from revsyncd.checks.selection import locate, select
from revsyncd.core.errors import RevsyncdError

LENGTH = struct.Struct(">Q")
WORK: dict[str, Callable[..., Any]] = {
    "check": check,
    "examine": examine,
    "excerpts": excerpts,
    "keys_of": keys_of,
    "locate": locate,
    "lookup": lookup,
    "rebuild": rebuild,
    "select": select,
}


def frame(kind: str, value: Any) -> bytes:
    """One message of the pipe: its length, then `(kind, value)`."""
    data = pickle.dumps((kind, value), protocol=pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(data)) + data


def main() -> None:
    """Serve the one request on stdin."""
    # The parent decides when this process ends; a signal to the whole group must not cut in first.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    gc.freeze()
    gc.disable()  # nothing here makes cycles, and looking for them costs a factor of three
    _serve(sys.stdin.buffer, sys.stdout.buffer)


def _check(job: CheckJob, progress: Progress) -> CheckResult:
    """As many processes as there are cores for, two at most."""
    return check(job, progress, processes=len(os.sched_getaffinity(0)))


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    def answer(kind: str, value: Any) -> None:
        answers.write(frame(kind, value))
        answers.flush()  # a parent that is gone ends this process here

    name, arguments = pickle.load(requests)  # noqa: S301  (see the module's docstring)
    try:
        if name == "check":
            (job,) = arguments
            result = _check(job, lambda done, size: answer("progress", (done, size)))
        else:
            result = WORK[name](*arguments)
    except (RevsyncdError, OSError) as error:
        answer("error", error)
    else:
        answer("result", result)


if __name__ == "__main__":
    main()
