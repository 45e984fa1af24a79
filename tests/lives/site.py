"""One instance with its tenant, its ERP and its people, whose process may be killed at any port.

Runs `run_daemon`, the whole program, on a virtual loop: real folders, a real ledger, and the simulator's
world at the other end of the road. Everything that comes from chance comes from one seed.
"""

import asyncio
import json
import math
import random
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
from lives.road import Road, connecting, make_tenant
from lives.virtual import (
    Killed,
    Ports,
    VirtualClock,
    VirtualLoop,
    beside,
    of_process,
    seeded_bytes,
)
from lives.ways import Ways

from revsyncd import assemble
from revsyncd.adapters.check_process import ProcessChecker
from revsyncd.adapters.ledger import Ledger
from revsyncd.adapters.log import configure
from revsyncd.checks.gl_file import examine
from revsyncd.config import Config, load
from revsyncd.core.drop import Drop
from revsyncd.first_tree import make_folders
from revsyncd.listener import Listener

T = TypeVar("T")


class Told:
    """The log: its lines, and those that tell of a fault of our own."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.faults: list[str] = []

    def write(self, text: str) -> int:
        """One or more lines of JSON."""
        for line in filter(None, map(str.strip, text.splitlines())):
            found = json.loads(line)
            self.lines.append(found)
            if "exception" in found or found["event"] == "service.failed":
                self.faults.append(line)
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""

    def isatty(self) -> bool:
        """For programs."""
        return False


@dataclass
class Counts:
    """What a life, or many, came to."""

    lives: int = 0
    steps: int = 0
    drops: int = 0
    batches: int = 0
    crashes: int = 0
    stops: int = 0
    starts: int = 0
    uploads: int = 0
    confirms: int = 0
    troubles: int = 0
    words: int = 0
    audits: int = 0
    ports: int = 0
    hours: float = 0.0

    def add(self, other: "Counts") -> None:
        """Take another life's figures in."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Unexpected(AssertionError):
    """The process ended by itself."""


@dataclass
class Site:
    """The tree, the tenant and the process, which may be dead."""

    seed: int
    ways: Ways = field(default_factory=Ways)
    process: "asyncio.Task[int] | None" = None
    acknowledged_since: float = math.inf  # monotonic: since when batches have to be

    def __post_init__(self) -> None:
        """Lay out a tree; nothing runs yet."""
        shm = Path("/dev/shm")  # noqa: S108  (a disk that costs nothing; another does as well)
        self._temporary = tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None)
        self.base = Path(self._temporary.name)
        self.chance = random.Random(self.seed)  # noqa: S311  (a life has to be repeatable)
        self.loop = VirtualLoop()
        self.clock = VirtualClock(self.loop)
        self.counts = Counts(lives=1)
        self.told = Told()
        self._patch = pytest.MonkeyPatch()
        self._signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
        self.drive(self._lay_out())

    async def _lay_out(self) -> None:
        self.ports = Ports(self.chance)
        tenant = make_tenant(self.base / "tenant", VirtualClock(self.loop))  # never set
        self.road = Road(tenant, self.loop, self.clock, self.ports, self.chance)
        self._arrange()
        for name in ("root", "state"):
            (self.base / name).mkdir()
        self.path = self.base / "config.toml"
        chosen = self.ways
        self.change(without="")
        make_folders(self.config)
        self.write(chosen)

    def _arrange(self) -> None:
        """Put virtual time, the ports and the road below the program."""
        patch, who = self._patch, self.road.tenant.credentials
        self.ports.install(patch)
        patch.setattr(secrets, "token_bytes", seeded_bytes(self.chance))
        patch.setenv("LIVES_USERNAME", who.username)
        patch.setenv("LIVES_PASSWORD", who.password)
        patch.delenv("NOTIFY_SOCKET", raising=False)
        patch.setattr("revsyncd.tenant_link.connect", connecting(self.road))
        patch.setattr(assemble, "SystemClock", lambda: self.clock)
        patch.setattr(assemble, "configure", lambda _level, _form: None)
        patch.setattr(assemble, "watch", self._watch)
        patch.setattr(anyio, "open_signal_receiver", self._receiver)
        patch.setattr(ProcessChecker, "_in_process", _in_place)
        # Beside virtual hours, these looks would be most of what a life does.
        patch.setattr("revsyncd.pipelines.desk.LOOK_EVERY", 5.0)
        patch.setattr("revsyncd.pipelines.status_files.EVERY", 30.0)
        patch.setattr("revsyncd.pipelines.looking.LOOK_EVERY", 20.0)
        patch.setattr("revsyncd.pipelines.auditing.AGAIN", (0.0,))
        configure("info", "json", self.told)  # type: ignore[arg-type]

    def close(self) -> None:
        """End the process as a kill does, and take the tree away."""
        self.kill()
        for task in list(self.road.under_way):
            task.cancel()
        self.drive(asyncio.sleep(0))
        self.loop.close()
        self._patch.undo()
        self._temporary.cleanup()

    # -- time ------------------------------------------------------------------------------------

    def drive(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry something out on the loop."""
        return self.loop.run_until_complete(self.loop.create_task(work, name="driver"))

    def pass_time(self, seconds: float) -> None:
        """Let time pass, to its end or to the end of the process."""
        before = self.loop.time()
        self.drive(self._passing(seconds))
        self.drive(self._staging())
        self.counts.hours += (self.loop.time() - before) / 3600

    async def _passing(self, seconds: float) -> None:
        if self.process is None:
            await asyncio.sleep(seconds)
            return
        died = asyncio.create_task(self.ports.died.wait(), name="driver")
        await asyncio.wait(
            {died, self.process}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        died.cancel()
        if self.ports.dead or self.process.done():
            await self._end()

    async def _staging(self) -> None:
        await beside(self.loop, self.road.stage())

    def until_calm(self) -> bool:
        """Let the steps under way come to their ends; False where they do not."""
        for _ in range(400):
            before = self.ports.calls
            self.pass_time(0.05)
            if self.process is None or (self.ports.calls == before and not self.ports.busy):
                return True
        return False

    # -- the process -----------------------------------------------------------------------------

    @property
    def config(self) -> Config:
        """As the file says now."""
        return load(self.path)

    def start(self, *, kill_at: int | None = None) -> None:
        """Start the program; it may be killed at a port on its way up."""
        self.ports.begin()
        self.counts.starts += 1
        self._signals = asyncio.Queue()
        if kill_at is not None:
            self.ports.kill_at = self.ports.calls + kill_at
        self.process = self.loop.create_task(
            assemble.run_daemon(self.path, Listener), name="process"
        )
        self.pass_time(0.0)

    def kill(self) -> None:
        """SIGKILL, now."""
        if self.process is not None:
            self.ports.die()
            self.drive(self._end())

    def kill_in(self, ports: int) -> None:
        """SIGKILL at the so-manyeth port from now."""
        self.ports.kill_at = self.ports.calls + ports

    def kill_after_last_chunk(self, ports: int) -> None:
        """SIGKILL at the so-manyeth port after the next upload's last bytes have left."""
        self.ports.kill_after_sent = ports

    def send(self, number: signal.Signals) -> None:
        """SIGTERM or SIGHUP."""
        self._signals.put_nowait(number)

    async def _end(self) -> None:
        process, killed = self.process, self.ports.dead
        self.process = None
        if process is None:
            return
        self.ports.dead = True
        await self.ports.bury(of_process(self.loop))
        self.counts.crashes += killed
        self.counts.stops += not killed
        if not killed:
            self._explain(process)

    def _explain(self, process: "asyncio.Task[int]") -> None:
        error = process.exception()
        if isinstance(error, Killed):
            return
        if error is not None:
            raise Unexpected(f"the process ended by itself: {error!r}") from error
        if process.result() != 0:
            raise Unexpected(f"the process ended with {process.result()}: {self.told.lines[-1]}")

    @contextmanager
    def _receiver(self, *_numbers: signal.Signals) -> Iterator[AsyncIterator[signal.Signals]]:
        queue = self._signals

        async def received() -> AsyncIterator[signal.Signals]:
            while True:
                yield await queue.get()

        yield received()

    async def _watch(self, inboxes: list[Path], nudge: Any) -> None:
        """The watcher: most changes are told, at once or a little later."""
        self._nudge = nudge
        for inbox in inboxes:
            nudge(inbox)
        while True:
            await asyncio.sleep(30.0)
            for inbox in inboxes:
                if self.chance.random() < 0.5:
                    nudge(inbox)

    # -- people ----------------------------------------------------------------------------------

    def write(self, ways: Ways) -> None:
        """Write a configuration; a running process takes it when it is told to."""
        if ways.confirm != self.ways.confirm or ways.confirm != "acknowledged":
            self.acknowledged_since = math.inf
        if ways.confirm == "acknowledged":
            self.acknowledged_since = min(self.acknowledged_since, self.clock.monotonic())
        self.ways = ways
        self.path.write_text(ways.text(self.base))

    def change(self, **changes: Any) -> None:
        """Write a changed configuration."""
        self.write(replace(self.ways, **changes))

    def ask(self, verb: str, target: str) -> None:
        """A person's word: to the daemon, or carried out by the command where none runs."""
        self.counts.words += 1
        if not (self.base / "state" / "ledger.sqlite3").exists():
            return
        if self.process is not None:
            with Ledger.ask(self.config.state_dir, self.clock.now) as ledger:
                ledger.requests.put("anna", verb, target, "because")
            return
        self.ports.begin()
        self.process = self.loop.create_task(self._command(verb, target), name="process")
        self.pass_time(120.0)
        self.kill()

    async def _command(self, verb: str, target: str) -> int:
        with Ledger.open(self.config.root, self.config.state_dir, self.clock.now) as ledger:
            number = ledger.requests.put("anna", verb, target, "because")
            request = ledger.requests.get(number)
            if request is not None:
                await assemble.carry_out(self.config, ledger, request)
        return 0

    def drops(self) -> list[Drop]:
        """Every drop as the ledger has it."""
        if not (self.base / "state" / "ledger.sqlite3").exists():
            return []
        with Ledger.read(self.config.state_dir, self.clock.now) as ledger:
            return ledger.drops.after(0, limit=100_000)


async def _in_place(_checker: ProcessChecker, name: str, arguments: Any, _progress: Any) -> Any:
    """What a child would do, done here: only packed batches are large enough for one."""
    assert name == "examine"
    return await anyio.to_thread.run_sync(examine, *arguments)
