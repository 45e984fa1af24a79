"""What metrics and the status page show, read when somebody asks.

The ledger is read beside the daemon, by a connection of its own: however slow that is, no work waits
for it. Those who ask at once, or soon after one another, share one reading.
"""

import platform
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import anyio
from anyio import to_thread

from revsyncd import __version__
from revsyncd.adapters import inbox
from revsyncd.adapters.disk import FolderTrouble
from revsyncd.adapters.ledger import Condition, Ledger
from revsyncd.config import Config, Folder
from revsyncd.core.drop import OPEN, State
from revsyncd.core.errors import NoSpace
from revsyncd.core.metrics import Sample
from revsyncd.core.places import FolderPlaces, shown
from revsyncd.core.settle import Role, role
from revsyncd.pipelines.batch_overview import batches
from revsyncd.pipelines.conditions import TENANT_PAUSED, UNREACHABLE
from revsyncd.pipelines.looking import settle_settings
from revsyncd.pipelines.overview import overview
from revsyncd.pipelines.vitals import Vitals

T = TypeVar("T")

SHARE = (
    5.0  # a reading serves for so many times as long as it took: the rest of the time is for work
)
PATIENCE = 20.0  # seconds for one reading
WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Waits:
    """A file in an inbox that is to become a drop; `since` is when this process first saw it."""

    file: str  # as it is shown
    since: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What the ledger and the inboxes say, as far as metrics need it."""

    stage_errors: dict[str, int]  # by folder
    oldest_undelivered: float  # seconds
    waiting: dict[str, list[Waits]]  # by folder


@dataclass(frozen=True, slots=True)
class Seen:
    """The whole status, and what waits in the inboxes, which the ledger does not know yet."""

    status: dict[str, Any]
    waiting: dict[str, list[Waits]]


class Shared(Generic[T]):
    """A reading that is made in a thread, and serves everybody for a moment."""

    def __init__(
        self, prepare: Callable[[], Callable[[], T]], monotonic: Callable[[], float]
    ) -> None:
        """`prepare` takes what only the event loop may touch, and returns what reads, in a thread."""
        self._prepare = prepare
        self._now = monotonic
        self._lock = anyio.Lock()
        self._one_at_a_time = anyio.CapacityLimiter(1)
        self._last: T | None = None
        self._good_until = 0.0

    async def get(self) -> T:
        """The last reading, or a new one. Raises TimeoutError, and what reading raises."""
        with anyio.fail_after(PATIENCE):
            async with self._lock:
                if self._last is None or self._now() >= self._good_until:
                    began = self._now()
                    self._last = await to_thread.run_sync(
                        self._prepare(), limiter=self._one_at_a_time, abandon_on_cancel=True
                    )
                    self._good_until = self._now() + SHARE * (self._now() - began)
                return self._last


class Readings:
    """The readings of one daemon."""

    def __init__(self, vitals: Vitals) -> None:
        """Nothing is read yet."""
        self._vitals = vitals
        monotonic = vitals.instance.clock.monotonic
        self._seen = Shared(self._to_look, monotonic)
        self._measured = Shared(lambda: self._measure, monotonic)

    async def seen(self) -> Seen:
        """For people, and /api/status."""
        return await self._seen.get()

    async def samples(self) -> list[Sample]:
        """Every gauge."""
        return list(samples(self._vitals, await self._measured.get()))

    def _to_look(self) -> Callable[[], Seen]:
        return partial(self._look, self._vitals.instance.conditions.all())

    def _look(self, conditions: list[Condition]) -> Seen:
        it = self._vitals.instance
        with Ledger.read(it.config.state_dir, it.clock.now) as ledger:
            status = overview(
                it.config,
                ledger,
                running=True,
                now=it.clock.now(),
                conditions=conditions,
            )
        return Seen(status, self._waiting())

    def _measure(self) -> Measured:
        it = self._vitals.instance
        config, now = it.config, it.clock.now()
        with Ledger.read(config.state_dir, it.clock.now) as ledger:
            errors = ledger.stage_errors.open_by_folder(config.tenant.base_url)
            gl = batches(config, ledger, now) if config.gl.enabled else {}
        return Measured(errors, gl.get("oldest_undelivered_seconds") or 0.0, self._waiting())

    def _waiting(self) -> dict[str, list[Waits]]:
        config, now = self._vitals.instance.config, self._vitals.instance.clock.now()
        return {folder.name: self._waiting_in(config, folder, now) for folder in config.folders}

    def _waiting_in(self, config: Config, folder: Folder, now: float) -> list[Waits]:
        try:
            entries = inbox.look(FolderPlaces(config.root, folder.name).inbox)
        except (FolderTrouble, NoSpace):
            return []  # a condition of the folder says so
        settings = settle_settings(folder)
        seen = self._vitals.first_seen
        found = [
            Waits(shown(entry.name), seen(folder.name, entry.name) or now)
            for entry in entries
            if not entry.is_directory and role(entry.name, settings) is Role.DROP
        ]
        return sorted(found, key=lambda waits: (waits.since, waits.file))


def samples(vitals: Vitals, measured: Measured) -> Iterator[Sample]:
    """Every gauge as it is now."""
    it = vitals.instance
    yield from _drops(vitals, measured)
    yield Sample("uploads_in_flight", vitals.uploads_in_flight())
    for name in dict.fromkeys((*it.config.templates, *measured.stage_errors)):
        yield Sample("stage_errors_open", measured.stage_errors.get(name, 0), (name,))
    yield Sample("token_expires_timestamp_seconds", vitals.token_expires() or 0.0)
    conditions = it.conditions.all()
    yield Sample("tenant_up", _up(conditions))
    yield Sample("gl_oldest_undelivered_seconds", measured.oldest_undelivered)
    yield from (Sample("conditions", 1, (c.kind, c.scope)) for c in conditions)
    yield Sample("build_info", 1, (__version__, platform.python_version()))


def _up(conditions: list[Condition]) -> int:
    return int(not any(c.kind in (TENANT_PAUSED, UNREACHABLE) for c in conditions))


def _drops(vitals: Vitals, measured: Measured) -> Iterator[Sample]:
    """The register is the ledger's open and held drops; the inboxes have what is not claimed yet."""
    it = vitals.instance
    counts: Counter[tuple[str, str]] = Counter()
    oldest: dict[str, float] = {}
    for drop in it.register:
        counts[drop.folder, str(drop.state)] += 1
        if drop.state is not State.HELD:
            oldest[drop.folder] = min(oldest.get(drop.folder, drop.received_at), drop.received_at)
    for name, waiting in measured.waiting.items():
        counts[name, WAITING] += len(waiting)
        if waiting:
            oldest[name] = min(oldest.get(name, waiting[0].since), waiting[0].since)
    names = dict.fromkeys((*it.config.templates, *(name for name, _ in counts)))
    for name in names:
        for state in (WAITING, *OPEN, State.FAILED, State.HELD):
            yield Sample("open_drops", counts[name, str(state)], (name, str(state)))
        age = it.clock.now() - oldest[name] if name in oldest else 0.0
        yield Sample("oldest_open_drop_seconds", max(age, 0.0), (name,))
