"""When a file in an inbox may be taken: the memory of earlier looks, and what follows from it.

Nobody tells when a sender is done with a file, so it is looked at more than once: what stays the
same for the settle time, by our own monotonic clock, is taken as complete. A marker or a manifest
says it instead, if it is newer than the last change of its data. A file's own mtime never serves as
an age: SFTP clients set it to the past (`put -p`).
"""

import fnmatch
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Self

from revsyncd.core.places import Sidecar, is_correction

LONGEST_PAUSE = 5.0  # seconds between two looks at a folder with something in it
STRAY_AFTER = 3600.0  # seconds after which a name that no pattern matches is shown, once


class Readiness(StrEnum):
    """What says that a file is complete (`ready` in the configuration)."""

    SETTLE = "settle"
    MARKER = "marker"
    MANIFEST = "manifest"


class Order(StrEnum):
    """In which order the files of a folder are taken (`order` in the configuration)."""

    ARRIVAL = "arrival"
    NAME = "name"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Entry:
    """One directory entry as `lstat` shows it; times in nanoseconds since the epoch, size in bytes."""

    name: str  # bytes that are not UTF-8 are surrogates (surrogateescape)
    mode: int  # st_mode: type and permissions
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    links: int
    uid: int
    gid: int

    @property
    def is_file(self) -> bool:
        """A regular file; a symbolic link to one is none."""
        return stat.S_ISREG(self.mode)

    @property
    def is_directory(self) -> bool:
        """A directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def fingerprint(self) -> tuple[int, ...]:
        """What must stay equal for the settle time."""
        return (*self.identity, self.ctime_ns, self.links, stat.S_IFMT(self.mode))

    @property
    def identity(self) -> tuple[int, ...]:
        """What a rename leaves equal (it changes ctime)."""
        return (self.size, self.mtime_ns, self.inode, self.device)


@dataclass(frozen=True, slots=True)
class SettleSettings:
    """What a folder's configuration says about taking files; durations in seconds."""

    include: tuple[str, ...] = ("*.csv",)
    exclude: tuple[str, ...] = (".*", "*.tmp", "*.part", "*.partial", "*.filepart", "~*")
    ready: Readiness = Readiness.SETTLE
    settle_time: float = 10.0
    marker_suffix: str = ".ok"
    manifest_suffix: str = ".manifest.json"
    marker_timeout: float = 21600.0
    order: Order = Order.ARRIVAL

    @property
    def companion_suffix(self) -> str:
        """The suffix of the second file that is waited for; empty when there is none."""
        suffixes = {Readiness.MARKER: self.marker_suffix, Readiness.MANIFEST: self.manifest_suffix}
        return suffixes.get(self.ready, "")

    def in_work(self) -> Self:
        """The same settle time for whatever is in a work directory: a claimed file settles anew."""
        return replace(self, include=("*",), exclude=(), ready=Readiness.SETTLE)


@dataclass(frozen=True, slots=True)
class Seen:
    """A name that the patterns match is there for the first time; told once."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Ready:
    """Complete as far as can be known; told at every look until it is gone."""

    entry: Entry
    companion: Entry | None  # to be claimed together with it
    first_seen: float  # monotonic


@dataclass(frozen=True, slots=True)
class NotAFile:
    """A link, FIFO, socket or device that the patterns match; told at every look until it is gone."""

    entry: Entry
    first_seen: float  # monotonic


@dataclass(frozen=True, slots=True)
class Incomplete:
    """Waited for its marker or manifest in vain; told at every look until it is gone."""

    entry: Entry
    companion: Entry | None  # one that is older than the data: no proof, but it moves along
    first_seen: float  # monotonic


@dataclass(frozen=True, slots=True)
class Ignored:
    """Here for an hour and none of ours: no pattern, a directory, a marker without data; told once."""

    entry: Entry


Finding = Seen | Ready | NotAFile | Incomplete | Ignored


class Role(StrEnum):
    """What a name is to a folder."""

    DROP = "drop"
    COMPANION = "companion"
    EXCLUDED = "excluded"
    STRAY = "stray"


@lru_cache(maxsize=256)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    alternatives = "|".join(fnmatch.translate(pattern) for pattern in patterns)
    return re.compile(alternatives or r"(?!)", re.IGNORECASE)


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the shell patterns covers the whole name; case is ignored."""
    return _compiled(patterns).match(name) is not None


def data_name(name: str, settings: SettleSettings) -> str | None:
    """The name of the file that `name` is marker or manifest to; None when it is neither."""
    suffix = settings.companion_suffix
    stem = name[: -len(suffix)] if suffix else ""
    if not stem or name[len(stem) :].lower() != suffix.lower():
        return None
    return stem if role(stem, settings) is Role.DROP else None


def role(name: str, settings: SettleSettings) -> Role:
    """What the patterns make of a name. A companion is never a drop, even if `include` matches."""
    if data_name(name, settings) is not None:
        return Role.COMPANION
    if matches(name, settings.exclude):
        return Role.EXCLUDED
    return Role.DROP if _included(name, settings.include) else Role.STRAY


def _included(name: str, include: tuple[str, ...]) -> bool:
    """What we put beside a drop to be corrected is taken under the name that it has."""
    own = (name.removesuffix(sidecar) for sidecar in (Sidecar.REJECTS, Sidecar.REMAINING))
    return any(matches(each, include) for each in (name, *own))


@dataclass(slots=True)
class _Watched:
    """One name as remembered: when it came, and since when it has been as it is."""

    entry: Entry
    first_seen: float
    first_look: int
    still_since: float
    changed_look: int
    told: bool = False
    left: bool = False

    def update(self, entry: Entry, now: float, look: int) -> None:
        if entry.fingerprint != self.entry.fingerprint:
            self.still_since, self.changed_look, self.left = now, look, False
        self.entry = entry


def _counts(companion: _Watched, data: _Watched) -> bool:
    """Whether the companion appeared or changed after its data last did.

    Our own looks tell the order, whatever the system's clock did. A listing is not a snapshot,
    though: what changed during one may be seen in either of two neighbouring looks. Between those
    the kernel's ctime decides, which no sender can set.
    """
    looks = companion.changed_look - data.changed_look
    if abs(looks) > 1:
        return looks > 0
    return companion.entry.ctime_ns >= data.entry.ctime_ns


class Settling:
    """The memory of one inbox. Nothing of it need survive a restart: settling just begins anew."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}
        self._companions: dict[str, _Watched] = {}
        self._settings = SettleSettings()
        self._look = 0
        self._looked_at = 0.0

    def observe(
        self, now: float, entries: Iterable[Entry], settings: SettleSettings
    ) -> list[Finding]:
        """Take in a full listing made at `now` (monotonic seconds, read before the listing began).

        Findings come in the folder's order, corrections of earlier drops first.
        """
        self._look, self._looked_at, self._settings = self._look + 1, now, settings
        self._watched = {entry.name: self._remembered(entry) for entry in entries}
        self._companions = self._paired()
        judged = (self._judge(watched) for watched in self._in_order())
        return [finding for finding in judged if finding is not None]

    def next_look(self) -> float | None:
        """The monotonic time of the next look: when a decision can fall, or `LONGEST_PAUSE` on.

        None when the folder is empty; a time that has passed means at once.
        """
        if not self._look:
            return 0.0
        if not self._watched:
            return None
        dues = (due for watched in self._watched.values() for due in self._dues(watched))
        return min(self._looked_at + LONGEST_PAUSE, min(dues, default=float("inf")))

    def leave(self, name: str) -> None:
        """Say nothing more about `name` until it changes: it was reported where it lies."""
        if name in self._watched:
            self._watched[name].left = True

    def _remembered(self, entry: Entry) -> _Watched:
        now, look = self._looked_at, self._look
        watched = self._watched.get(entry.name)
        if watched is None:
            return _Watched(entry, now, look, now, look)
        watched.update(entry, now, look)
        return watched

    def _paired(self) -> dict[str, _Watched]:
        """The companions by the name of their data; the suffix as configured wins over other case."""
        found: dict[str, _Watched] = {}
        for name, watched in self._watched.items():
            data = data_name(name, self._settings)
            exact = name.endswith(self._settings.companion_suffix)
            if data is not None and (exact or data not in found):
                found[data] = watched
        return found

    def _in_order(self) -> Sequence[_Watched]:
        def by_name(watched: _Watched) -> tuple[bool, str]:
            name = watched.entry.name
            return (not is_correction(name), name)

        def by_arrival(watched: _Watched) -> tuple[bool, int, int, str]:
            correction, name = by_name(watched)
            return (correction, watched.first_look, watched.entry.ctime_ns, name)

        by = by_name if self._settings.order is Order.NAME else by_arrival
        return sorted(self._watched.values(), key=by)

    def _judge(self, watched: _Watched) -> Finding | None:
        entry = watched.entry
        match role(entry.name, self._settings):
            case Role.EXCLUDED:
                return None
            case Role.COMPANION if data_name(entry.name, self._settings) in self._watched:
                return None
            case Role.DROP if not entry.is_directory:
                return self._judge_drop(watched)
            case _:
                return self._judge_stray(watched)

    def _judge_stray(self, watched: _Watched) -> Finding | None:
        if watched.told or matches(watched.entry.name, self._settings.exclude):
            return None
        if self._looked_at < watched.first_seen + STRAY_AFTER:
            return None
        watched.told = True
        return Ignored(watched.entry)

    def _judge_drop(self, watched: _Watched) -> Finding | None:
        if not watched.told:
            watched.told = True
            return Seen(watched.entry)
        if watched.left or not self._still(watched):
            return None
        if not watched.entry.is_file:
            return NotAFile(watched.entry, watched.first_seen)
        if self._settings.companion_suffix:
            return self._judge_companion(watched)
        return Ready(watched.entry, None, watched.first_seen)

    def _judge_companion(self, data: _Watched) -> Finding | None:
        companion = self._companions.get(data.entry.name)
        if companion is not None and not companion.entry.is_file:
            companion = None
        if companion is not None and _counts(companion, data):
            ready = Ready(data.entry, companion.entry, data.first_seen)
            return ready if self._still(companion) else None
        if self._looked_at < data.still_since + self._settings.marker_timeout:
            return None
        stale = companion.entry if companion is not None else None
        return Incomplete(data.entry, stale, data.first_seen)

    def _still(self, watched: _Watched) -> bool:
        """Unchanged for the settle time, over two looks or more."""
        # Compared as sums, as in _dues: a look exactly at the due time must not miss it by rounding.
        due = watched.still_since + self._settings.settle_time
        return self._look > watched.changed_look and self._looked_at >= due

    def _dues(self, watched: _Watched) -> Iterable[float]:
        """When something may be decided about `watched` that could not be at the last look."""
        due = watched.still_since + self._settings.settle_time
        if watched.changed_look == self._look or due > self._looked_at:
            yield due
        others = [watched.first_seen + STRAY_AFTER]
        if self._settings.companion_suffix:
            others.append(watched.still_since + self._settings.marker_timeout)
        yield from (other for other in others if other > self._looked_at)
