"""Time and blocking work in a test's own hand: an event loop whose clock only jumps, threads that are none.

The daemon's own code runs on it unchanged. Whatever it does to the disk, to the ledger or to the
tenant passes a *port*, at which its process may be killed: from then on nothing of it has an effect.
"""

import asyncio
import os
import random
import selectors
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

T = TypeVar("T")

BEGINNING = 1_795_409_252.0  # seconds since the epoch: a Monday in November 2026
LONGEST_PORT = 0.3  # seconds that a call of the disk or the ledger takes at most


class Killed(BaseException):
    """The process ends here; raised out of blocking work only."""


class Stuck(Exception):
    """Nothing is left that could ever happen."""


class _Jumps(selectors.SelectSelector):
    """Waits for nothing: what the loop would sleep, the clock jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Stuck
        self.now += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only where every task waits for it."""

    def __init__(self) -> None:
        """Begin at a thousand seconds."""
        self._jumps = _Jumps()
        super().__init__(self._jumps)

    def time(self) -> float:
        """Monotonic seconds."""
        return self._jumps.now


@dataclass
class VirtualClock:
    """Implements `ports.Clock`; the wall clock may be set, the monotonic one never jumps."""

    loop: VirtualLoop
    wall: float = BEGINNING  # at the loop's beginning

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.wall + self.loop.time()

    def monotonic(self) -> float:
        """Seconds since the loop's beginning."""
        return self.loop.time()


# Set in tasks that are not of the daemon's process: no kill meets them.
elsewhere: ContextVar[bool] = ContextVar("elsewhere", default=False)


@contextmanager
def outside() -> Iterator[None]:
    """What is done in here is done by others: the tenant, the ERP, a person."""
    token = elsewhere.set(True)
    try:
        yield
    finally:
        elsewhere.reset(token)


@dataclass
class Ports:
    """What a process does to the world, in order; killed at call number `kill_at`, if any."""

    chance: random.Random
    calls: int = 0
    busy: int = 0
    kill_at: int | None = None
    kill_after_sent: int | None = None  # ports after an upload's last bytes have left
    dead: bool = False
    died: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self) -> None:
        """Let a new process begin."""
        self.dead, self.kill_at, self.busy, self.died = False, None, 0, asyncio.Event()
        self.kill_after_sent = None

    def sent(self) -> None:
        """The last bytes of an upload have left."""
        if self.kill_after_sent is not None:
            self.kill_at, self.kill_after_sent = self.calls + self.kill_after_sent, None

    def die(self) -> None:
        """The process has no effect from now on."""
        self.dead = True
        self.kill_at = None
        self.died.set()

    def step(self) -> None:
        """One more moment at which the process may be killed. Raises Killed."""
        if elsewhere.get():
            return
        self.calls += 1
        if self.kill_at is not None and self.calls >= self.kill_at:
            self.die()
        if self.dead:
            raise Killed

    async def moment(self) -> None:
        """The same between two awaits; a process that is dead stays there for ever."""
        try:
            self.step()
        except Killed:
            await self._gone()

    async def _gone(self) -> None:
        # Its tasks are ended by whoever buries it; a step that it takes then ends at once.
        if asyncio.current_task() in self._buried:
            raise asyncio.CancelledError
        await asyncio.get_running_loop().create_future()

    _buried: set[Any] = field(default_factory=set)

    async def bury(self, tasks: set[asyncio.Task[Any]]) -> None:
        """End the tasks of a dead process; nothing that they do on the way has an effect."""
        self._buried = tasks
        left = set(tasks)
        while left := {task for task in left if not task.done()}:
            for task in left:
                task.cancel()
            await asyncio.sleep(0)
        for task in tasks:
            if not task.cancelled():
                task.exception()
        self._buried = set()

    async def pause(self) -> None:
        """As long as a disk takes: mostly no time, but others come between."""
        if self.chance.random() < 0.1:
            await asyncio.sleep(self.chance.random() * LONGEST_PORT)
        else:
            for _ in range(self.chance.randrange(3)):
                await asyncio.sleep(0)

    async def run_sync(
        self,
        work: Callable[..., T],
        *arguments: Any,
        abandon_on_cancel: bool = False,
        cancellable: bool | None = None,
        limiter: anyio.CapacityLimiter | None = None,
    ) -> T:
        """What `anyio.to_thread.run_sync` promises, without a thread."""
        if elsewhere.get():
            return work(*arguments)
        await anyio.lowlevel.checkpoint()
        if limiter is not None:
            async with limiter:
                return await self._worked(work, *arguments)
        return await self._worked(work, *arguments)

    async def _worked(self, work: Callable[..., T], *arguments: Any) -> T:
        with anyio.CancelScope(shield=True):
            self.busy += 1
            try:
                await self.moment()
                await self.pause()
                result = self._done(work, *arguments)
                if self.dead:
                    await self._gone()
                await self.moment()
                await self.pause()
            finally:
                self.busy -= 1
        return result  # type: ignore[return-value]

    def _done(self, work: Callable[..., T], *arguments: Any) -> T | None:
        if self.dead:
            return None
        try:
            return work(*arguments)
        except Killed:
            return None

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Let all blocking work, and every fsync in the middle of it, pass here."""
        really = os.fsync

        def fsync(descriptor: int) -> None:
            self.step()
            really(descriptor)

        patch.setattr(anyio.to_thread, "run_sync", self.run_sync)
        patch.setattr(os, "fsync", fsync)


def beside(loop: VirtualLoop, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """A task of somebody else than the daemon; it outlives every kill."""

    async def there() -> T:
        with outside():
            return await work

    return loop.create_task(there(), name="elsewhere")


def of_process(loop: VirtualLoop) -> set[asyncio.Task[Any]]:
    """The tasks of the daemon's process."""
    return {
        task
        for task in asyncio.all_tasks(loop)
        if task.get_name() not in ("elsewhere", "driver") and not task.done()
    }


def seeded_bytes(chance: random.Random) -> Callable[[int | None], bytes]:
    """In place of `secrets.token_bytes`, so that a life can be lived again."""

    def token_bytes(count: int | None = None) -> bytes:
        return chance.randbytes(32 if count is None else count)

    return token_bytes


Facts = Mapping[str, Any]
