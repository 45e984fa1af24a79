"""The second half of a file in a process of its own, where nothing depends on what stands before.

The cut is a guess: a line that looks like a whole record. The process that reads the first half proves
it, for it must end between two records exactly there; else it just reads on, and this half is thrown
away. Only for a process that does nothing else: it is forked, which shares the seed of `hash` too.
"""

import os
import pickle
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from revsyncd.checks.keys import Keys
from revsyncd.checks.problems import KeptProblems
from revsyncd.checks.proof import Prover
from revsyncd.checks.runs import Places
from revsyncd.checks.source import Encoding
from revsyncd.checks.totals import Totals

WORTH = 8 << 20
"""Bytes from which a second process pays."""

_SHARE = 0.475  # of the file, for the first process: it also reads the rest for the hash
_WINDOW = 1 << 18
_ONE_BYTE_NEWLINES = ("utf-8", "utf-8-sig", "windows-1252", "latin-1")


def where_to_cut(path: Path, encoding: Encoding, delimiter: str, width: int) -> int | None:
    """An offset near the middle at which a record seems to begin; None where there is none."""
    if encoding.name not in _ONE_BYTE_NEWLINES or encoding.complaint:
        return None
    with path.open("rb") as file:
        at = file.seek(int(path.stat().st_size * _SHARE))
        window = file.read(_WINDOW)
    prover = Prover(delimiter, width)
    lines = window.split(b"\n")
    at += len(lines[0]) + 1
    for line in lines[1:-1]:
        proof, _ = prover.prove(line.decode(encoding.codec, encoding.errors) + "\n")
        if proof is not None and width > 1:
            return at
        at += len(line) + 1
    return None


class Half(NamedTuple):
    """What the second half of a file gave; numbers and lines are counted from its begin."""

    problems: KeptProblems
    records: int
    lines: int
    ended: bool
    unreadable: int
    last_is_short: bool
    totals: Totals
    keys: dict[int, Keys]
    normalised: Counter[str]
    organisation: str
    places: Places | None  # of the records for the parts; None where nothing is sent


class SecondHalf:
    """Work that another process does meanwhile."""

    def __init__(self, pid: int, answer: int) -> None:
        """Take a forked process and the pipe on which it answers."""
        self._pid = pid
        self._answer = answer

    @classmethod
    def begin(cls, work: Callable[[], Half]) -> Self:
        """Have `work` done by a fork of this process."""
        answer, to_parent = os.pipe()
        pid = os.fork()
        if pid:
            os.close(to_parent)
            return cls(pid, answer)
        status = 1
        try:
            os.close(answer)
            with os.fdopen(to_parent, "wb") as pipe:
                half = work()
                pickle.dump(half._replace(keys={}), pipe, protocol=pickle.HIGHEST_PROTOCOL)
                for _, keys in sorted(half.keys.items()):  # 8 bytes a record: never twice at once
                    keys.send(pipe)
            status = 0
        finally:
            os._exit(status)  # nothing of the parent's is to be run or flushed twice

    def result(self, keys: dict[int, Keys]) -> Half | None:
        """What the work gave, its keys added to those of the same columns; None if it failed or died."""
        half: Half | None = None
        with os.fdopen(self._answer, "rb") as pipe, suppress(EOFError, pickle.UnpicklingError):
            half = pickle.load(pipe)  # noqa: S301  (our own fork)
            for _, mine in sorted(keys.items()):
                mine.receive(pipe)
        _, status = os.waitpid(self._pid, 0)
        return half if status == 0 else None

    def abandon(self) -> None:
        """End the process."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.close(self._answer)
        os.waitpid(self._pid, 0)
