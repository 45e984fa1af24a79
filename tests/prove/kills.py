"""Kill at every step: by name, by the N-th system call, and at moments of chance."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from random import Random
from signal import SIGKILL
from typing import Self

from prove.failpoints import POINTS
from prove.invariants import endings, violations
from prove.runs import Host, Kill, Stand, Stuck
from prove.scenes import Scene, finish

# Each entry is one sweep: strace kills at the N-th of any of these calls.
CALLS = (
    "fsync,fdatasync",
    "rename,renameat,renameat2,link,linkat",
    "unlink,unlinkat,mkdir,mkdirat,rmdir",
    "write,pwrite64,ftruncate",
    "sendto,sendmsg",
    "recvfrom,recvmsg",
    "connect",
)


@dataclass(slots=True)
class Figures:
    """What a sweep tried and found."""

    points: int = 0  # at which a process was killed, or a tree rebuilt
    done: int = 0  # after which every drop ended as if nothing had happened
    doubts: int = 0  # after which a drop was held in doubt
    violations: list[str] = field(default_factory=list)
    drops: int = 0  # under load: how many there were, with how many records and batches
    records: int = 0
    batches: int = 0

    def add(self, other: "Figures") -> None:
        """Sum up."""
        self.points += other.points
        self.done += other.done
        self.doubts += other.doubts
        self.violations += other.violations
        self.drops += other.drops
        self.records += other.records
        self.batches += other.batches


class Hosts:
    """Some launchers, each used by one thread at a time, and a place for trees."""

    def __init__(self, base: Path, number: int = 2) -> None:
        """`base` is an empty directory."""
        self.base = base
        self.number = number
        self._free: SimpleQueue[Host] = SimpleQueue()
        self._stack = ExitStack()
        self._homes = iter(range(10**9))

    def __enter__(self) -> Self:
        """Start them all."""
        for _ in range(self.number):
            self._free.put(self._stack.enter_context(Host()))
        return self

    def __exit__(self, *_: object) -> None:
        """End them all."""
        self._stack.close()

    def all(self, works: Iterable[Callable[[Host, Path], Figures]]) -> Figures:
        """Do all pieces of work, as many at once as there are launchers, and sum up."""
        total = Figures()
        with ThreadPoolExecutor(self.number) as pool:
            for figures in pool.map(self._one, works):
                total.add(figures)
        return total

    def _one(self, work: Callable[[Host, Path], Figures]) -> Figures:
        host = self._free.get()
        try:
            return work(host, self.base / str(next(self._homes)))
        finally:
            self._free.put(host)


def strike(
    scene: Scene, kill: Kill, host: Host, home: Path, *, without: str = ""
) -> Figures | None:
    """Kill there, start again, check; None when the first life survived and there is nothing to try."""
    with scene.on(home, host, without=without) as stand:
        where = f"{scene.name}, killed at {kill}"
        try:
            first = stand.begin(kill, *scene.command(stand))
            if first.until(scene.over):
                first.stop()
            if first.ended() == 0:
                return None
            wrong = [] if first.ended() == -SIGKILL else [f"it ended with {first.ended()}"]
            second = finish(scene, stand)
        except Stuck as why:
            wrong = [str(why), *violations(stand, expected=scene.expected)]
            return Figures(1, violations=[f"{where}: {each}" for each in wrong])
        wrong += violations(stand, first, second, expected=scene.expected)
        return verdict(stand, wrong, where)


def verdict(stand: Stand, wrong: list[str], where: str) -> Figures:
    """One point's figures."""
    doubts = any(reason == "in_doubt" for _, reason in endings(stand))
    return Figures(1, not doubts, doubts, [f"{where}: {each}" for each in wrong])


def until_it_survives(
    scene: Scene,
    call: str,
    host: Host,
    home: Path,
    *,
    first: int = 1,
    step: int = 1,
    without: str = "",
) -> Figures:
    """Kill at call number 1, 2, 3 … of this kind, until there are no more."""
    total, nth = Figures(), first
    while (
        found := strike(scene, Kill(call=call, nth=nth), host, home, without=without)
    ) is not None:
        total.add(found)
        nth += step
    return total


def points_met(scene: Scene, host: Host, home: Path, *, without: str = "") -> Counter[str]:
    """How often each failpoint is met, before and after, in a life that nobody ends."""
    count = home.with_name(f"{home.name}.count")
    with scene.on(home, host, without=without) as stand:
        words = scene.command(stand)
        life = stand.begin(Kill(count=str(count)), *words)
        life.until(scene.over)
        assert (life.ended() if words else life.stop()) == 0, life.tail()
    return Counter(count.read_text().split())


def named_kills(met: Counter[str]) -> Iterator[Kill]:
    """A kill before and after each meeting with each failpoint."""
    for name in POINTS:
        for nth in range(1, met[name] + 1):
            yield Kill(failpoint=name, nth=nth)


def at_random(scene: Scene, host: Host, home: Path, *, seed: int, longest: float) -> Figures:
    """Kill after a time of chance, up to `longest` seconds after the start, until one survives it."""
    chance, where = Random(seed), f"{scene.name}, killed at random, seed {seed}"  # noqa: S311  (repeatable)
    with scene.on(home, host) as stand:
        lives, after = [], chance.uniform(0.0, longest)
        try:
            lives.append(stand.begin())
            until = time.monotonic() + after
            lives[0].until(lambda _: time.monotonic() >= until)
            lives[0].kill()
            lives.append(finish(scene, stand))
        except Stuck as why:
            return Figures(1, violations=[f"{where}: {why}"])
        return verdict(stand, violations(stand, *lives, expected=scene.expected), where)
