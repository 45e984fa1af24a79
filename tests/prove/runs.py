"""A site in front of a strict tenant, on which the daemon lives and dies many times.

`Host` is one launcher process; a `Life` is one process of revsyncd on a `Stand`. Nothing waits for a
fixed time: what is awaited is looked for in the log, at the tenant, or in the process itself.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from daemon import Site
from strict_books import Knobs
from strict_tenant import StrictTenant

PATIENCE = 60.0  # seconds after which what was awaited will not come
STEP = 0.008  # seconds between two looks
TESTS = Path(__file__).parents[1]


class Stuck(AssertionError):
    """A life that did not do what it has to do."""


class Host:
    """A launcher process that runs one life after another."""

    def __init__(self) -> None:
        """Start it; the first life waits until everything is imported."""
        self._alive = 0  # the process id of the life that is not yet waited for
        # A killed process can't be reported on, and the launcher is no part of the program.
        kept = {key: os.environ[key] for key in os.environ if not key.startswith("COV")}
        kept["PYTHONPATH"] = os.pathsep.join([str(TESTS), str(TESTS.parent)])
        self._process = subprocess.Popen(
            [sys.executable, str(TESTS / "prove" / "launcher.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=kept,
        )

    def __enter__(self) -> Self:
        """Use it until the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """It ends when its orders do; a life that a failure left behind is ended first."""
        if self._alive:
            os.kill(self._alive, signal.SIGKILL)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()

    def run(self, order: dict[str, Any]) -> int:
        """Begin a life; returns its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self._alive = int(self._told()["pid"])
        return self._alive

    def exit_code(self) -> int:
        """Wait for the end of the life; negative for a signal."""
        code = int(self._told()["exit"])
        self._alive = 0
        return code

    def _told(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the launcher died"
        told: dict[str, Any] = json.loads(line)
        return told


@dataclass(frozen=True, slots=True)
class Kill:
    """How a life is to end: by a failpoint, by strace at a system call, or not."""

    failpoint: str = ""
    nth: int = 0
    call: str = ""  # a system call, or several with commas, for strace
    count: str = ""  # a file that counts failpoints instead

    def __str__(self) -> str:
        """For people."""
        what = self.failpoint or self.call
        return f"{what} #{self.nth}" if what else "nowhere"


@dataclass
class Stand:
    """One site, its tenant, and what was dropped there."""

    home: Path
    host: Host
    tenant: StrictTenant
    site: Site
    dropped: dict[str, bytes] = field(default_factory=dict)
    lives: int = 0
    without: str = ""  # a build that leaves something out, see `sabotage`

    @property
    def outbox(self) -> Path:
        """Where batches are published."""
        return self.site.root / "outbox" / "gl"

    def drop(self, name: str, content: bytes, folder: str = "orders") -> None:
        """Let a file of a new name appear in an inbox at once."""
        self.dropped[name] = content
        self.site.drop(name, content, folder)

    def begin(
        self,
        kill: Kill | None = None,
        *words: str,
        wrapper: Callable[[int], Sequence[str]] | None = None,
    ) -> "Life":
        """Start the daemon, or the command of these words."""
        kill, self.lives = kill or Kill(), self.lives + 1
        self.tenant.books.expect_sign_in()
        argv = [*(words or ("run",)), "--config", str(self.site.config)]
        order: dict[str, Any] = {"argv": argv, "cwd": str(self.home), "without": self.without}
        order |= {"log": str(self.home / f"log{self.lives}"), "env": self.site.environment()}
        if kill.failpoint or kill.count:
            order["failpoint"] = {"name": kill.failpoint, "nth": kill.nth, "count": kill.count}
        if kill.call:
            wrapper = _killing(kill, self.home / f"strace{self.lives}")
        order["traced"] = wrapper is not None
        life = Life(self, self.host.run(order), Path(order["log"]))
        if wrapper is not None:
            life.tracer = subprocess.Popen(wrapper(life.pid), stderr=subprocess.DEVNULL)
        return life


def _killing(kill: Kill, out: Path) -> Callable[[int], Sequence[str]]:
    inject = f"inject={kill.call}:signal=SIGKILL:when={kill.nth}"
    return lambda pid: [
        *("strace", "-f", "-p", str(pid), "-o", str(out), "-yy", "-s", "0"),
        *("-e", f"trace={kill.call}", "-e", inject, "-e", "signal=none"),
    ]


@dataclass
class Life:
    """One process of revsyncd."""

    stand: Stand
    pid: int
    log: Path
    tracer: subprocess.Popen[bytes] | None = None
    code: int | None = None

    def events(self) -> list[dict[str, Any]]:
        """The log lines so far; what is none has the event ""."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return [_event(line) for line in text.split("\n")[:-1]]

    def began(self) -> bool:
        """Whether the daemon is its own master: from here on it hears a polite request to stop."""
        return self.log.exists() and b'"daemon.started"' in self.log.read_bytes()

    def ready(self) -> bool:
        """Whether it has put in order what the last life left."""
        return self.log.exists() and b'"daemon.ready"' in self.log.read_bytes()

    def until(self, condition: Callable[["Life"], bool], patience: float = PATIENCE) -> bool:
        """Wait until the condition holds; False when the process ended before."""
        end = time.monotonic() + patience
        while not condition(self):
            if not self.alive():
                return False
            if time.monotonic() > end:
                self.kill()
                raise Stuck(f"what was awaited did not come:\n{self.tail()}")
            time.sleep(STEP)
        return True

    def alive(self) -> bool:
        """Whether it runs still; a zombie does not."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return stat.rpartition(")")[2].split()[0] not in "ZX"

    def stop(self) -> int:
        """Ask it to end; returns the exit code."""
        if self.alive():
            os.kill(self.pid, signal.SIGTERM)
        return self.ended()

    def kill(self) -> int:
        """End it as it stands."""
        if self.alive():
            os.kill(self.pid, signal.SIGKILL)
        return self.ended()

    def ended(self) -> int:
        """Wait for its end."""
        if self.code is None:
            end = time.monotonic() + PATIENCE
            while self.alive():
                if time.monotonic() > end:
                    os.kill(self.pid, signal.SIGKILL)
                    raise Stuck(f"it did not end:\n{self.tail()}")
                time.sleep(STEP)
            self.code = self.stand.host.exit_code()
            if self.tracer is not None:
                self.tracer.wait(PATIENCE)
        return self.code

    def tail(self) -> str:
        """The last lines that it wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])


def _event(line: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"event": "", "text": line}
    return found


def tenant_of(journal_outbox: Path | None = None, **knobs: Any) -> StrictTenant:
    """A strict tenant to be used as a context."""
    tenant = StrictTenant(Knobs(token_life=7200.0, **knobs))
    tenant.books.journal.outbox = str(journal_outbox or "")
    return tenant
