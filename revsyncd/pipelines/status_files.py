"""`<root>/<folder>/status.txt`: what the folder waits for, for people who see nothing but the folder.

One plain line for each drop that is waiting, in work or held. Each file is rewritten whole when its
text changes, and only then: a sync client that mirrors the folder has nothing to do meanwhile.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

import anyio

from revsyncd.adapters import inbox
from revsyncd.adapters.disk import FolderTrouble
from revsyncd.adapters.log import get_logger
from revsyncd.config import Folder
from revsyncd.core.drop import Drop, State
from revsyncd.core.errors import NoSpace
from revsyncd.core.places import shown
from revsyncd.core.settle import STRAY_AFTER, Entry, Role, SettleSettings, role
from revsyncd.pipelines.conditions import EVERYWHERE, NOT_CONFIGURED
from revsyncd.pipelines.files import off_loop
from revsyncd.pipelines.instance import Instance
from revsyncd.pipelines.looking import settle_settings
from revsyncd.pipelines.overview import FOLDER_STATES, TENANT_STATES, in_words

log = get_logger()

EVERY = 2.0  # seconds between two looks; a look costs one listing of each inbox
SHARE = 20.0  # a look at huge inboxes takes at most one part in so many of the time
MOST_WAITING = 200  # names of an inbox that are listed
NOTHING = "Nothing is waiting, in work or held."
OBSTACLES = frozenset(kind for kind, _ in (*FOLDER_STATES, *TENANT_STATES))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A name in the inbox, seen since `since`; both times are seconds since the epoch."""

    entry: Entry
    since: float
    now: float


class StatusFiles:
    """The service that keeps every folder's status.txt current."""

    def __init__(self, instance: Instance) -> None:
        """Work for an instance."""
        self._instance = instance
        self._written: dict[str, list[str]] = {}
        self._arrivals: dict[str, dict[str, float]] = {}  # by folder and name, epoch seconds

    @property
    def _zone(self) -> tzinfo | None:
        return self._instance.config.zone

    def first_seen(self, folder: str, name: str) -> float | None:
        """When this process first saw a name in an inbox, in seconds since the epoch."""
        return self._arrivals.get(folder, {}).get(name)

    async def run(self) -> None:
        """Look, write what changed, rest."""
        clock = self._instance.clock
        while True:
            began = clock.monotonic()
            await self.refresh()
            await anyio.sleep(max(EVERY, SHARE * (clock.monotonic() - began)))

    async def refresh(self) -> None:
        """Write the status of each folder in which something changed."""
        for folder in self._instance.config.folders:
            try:
                await self._refresh(folder)
            except (FolderTrouble, NoSpace, OSError) as error:
                # Whoever looks at the inbox or files drops says so; the text is tried again.
                log.debug("status.not_written", folder=folder.name, error=str(error))
        await self._taken_out()

    async def _refresh(self, folder: Folder) -> None:
        await self._write(folder.name, list(self._lines(folder, await self._waiting(folder))))

    async def _write(self, name: str, lines: list[str]) -> None:
        """Unless it says so already."""
        if self._written.get(name) == lines:
            return
        text = page(name, lines, self._instance.clock.now(), self._zone)
        path = self._instance.places(name).status
        await self._instance.files.publish(path, text.encode("utf-8", "backslashreplace"))
        self._written[name] = lines

    async def _taken_out(self) -> None:
        """Say of folders that the configuration no longer names that nothing is taken there."""
        register, conditions = self._instance.register, self._instance.conditions
        left = {drop.folder for drop in register} - self._instance.config.templates.keys()
        for condition in conditions.all():
            if condition.kind == NOT_CONFIGURED and condition.scope not in left:
                await conditions.end(NOT_CONFIGURED, condition.scope)
        for name in sorted(left):
            count = sum(drop.folder == name for drop in register)
            told = f"the configuration has no [templates.{name}] any more; open or held drops of it: {count}"
            await conditions.begin(NOT_CONFIGURED, name, message=told, hint=put_back(name))
        try:
            for name in await off_loop(self._told_before):
                await self._write(name, [not_configured(name), *self._drops(name)])
        except (FolderTrouble, NoSpace, OSError) as error:
            log.debug("status.not_written", error=str(error))

    def _told_before(self) -> list[str]:
        """The folders below root that have a status.txt, and no section any more."""
        configured = self._instance.config.templates
        known = [path.parent for path in self._instance.root.glob("*/status.txt")]
        others = [home.name for home in known if home.name not in configured]
        return sorted(name for name in others if self._instance.places(name).inbox.is_dir())

    def _drops(self, folder: str) -> Iterator[str]:
        """A line for each drop that was taken."""
        register = self._instance.register
        for drop in register:
            if drop.folder == folder:
                yield drop_line(drop, in_words(drop, register.parts(drop.drop)), self._zone)

    async def _waiting(self, folder: Folder) -> list[Waiting]:
        """What lies in the inbox, and since when as far as this process saw."""
        try:
            entries = await off_loop(inbox.look, self._instance.places(folder.name).inbox)
        except FolderTrouble:
            return []  # a condition of the folder says so
        now, known = self._instance.clock.now(), self._arrivals.get(folder.name, {})
        arrivals = {entry.name: known.get(entry.name, now) for entry in entries}
        self._arrivals[folder.name] = arrivals
        waiting = [Waiting(entry, arrivals[entry.name], now) for entry in entries]
        return sorted(waiting, key=lambda one: (one.since, one.entry.name))

    def _lines(self, folder: Folder, waiting: list[Waiting]) -> Iterator[str]:
        yield from self._obstacles(folder.name)
        zone = self._zone
        yield from self._drops(folder.name)
        settings = settle_settings(folder)
        lines = [line for one in waiting if (line := waiting_line(one, settings, zone))]
        yield from lines[:MOST_WAITING]
        if len(lines) > MOST_WAITING:
            yield f"… and {len(lines) - MOST_WAITING:,} more files in the inbox."

    def _obstacles(self, folder: str) -> Iterator[str]:
        """What keeps the whole folder from going on."""
        for condition in self._instance.conditions.all():
            if condition.kind in OBSTACLES and condition.scope in (folder, EVERYWHERE):
                since = f"since {local(condition.since, self._zone)}"
                yield _line(f"! {condition.message}", since, condition.hint)


def put_back(folder: str) -> str:
    """The next step for drops whose folder is not configured any more."""
    return f"Put the section [templates.{folder}] back until they are settled."


def not_configured(folder: str) -> str:
    """The line for those who still drop files there."""
    told = (
        "! This folder is not in the configuration any more: nothing that is dropped here is taken"
    )
    step = f"Drop elsewhere, or have the section [templates.{folder}] put back."
    return _line(told, "", step)


def local(epoch: float, zone: tzinfo | None) -> str:
    """`2026-11-23 05:47 CET`, as people there write times."""
    return datetime.fromtimestamp(epoch, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")


def page(folder: str, lines: list[str], now: float, zone: tzinfo | None) -> str:
    """The whole file."""
    head = [
        f"{folder}: drops that are waiting, in work or held",
        f"As of {local(now, zone)}; rewritten whenever something changes.",
        "",
    ]
    return "\n".join([*head, *(lines or [NOTHING]), ""])


def drop_line(drop: Drop, words: str, zone: tzinfo | None) -> str:
    """A drop that was taken: in work or held."""
    if drop.state is State.HELD and drop.ending:
        since = local(drop.settled_at or drop.received_at, zone)
        told = f"{shown(drop.file)}: held since {since}: {drop.ending.message}"
        return _line(told, "", drop.next_step)
    told = f"{shown(drop.file)}: {words}"
    return _line(told, f"received {local(drop.received_at, zone)}", "")


def waiting_line(waiting: Waiting, settings: SettleSettings, zone: tzinfo | None) -> str:
    """A name in the inbox; empty when there is nothing to say about it."""
    name, since = shown(waiting.entry.name), f"seen since {local(waiting.since, zone)}"
    match role(waiting.entry.name, settings):
        case Role.DROP if not waiting.entry.is_directory:
            suffix = settings.companion_suffix
            what = f"for {name}{suffix}" if suffix else "until nobody writes to it any more"
            return _line(f"{name}: waits in the inbox {what}", since, "")
        case Role.COMPANION | Role.EXCLUDED:
            return ""
        case _ if waiting.now - waiting.since < STRAY_AFTER:
            return ""
    patterns = " ".join(settings.include)
    step = f"Drop files whose names match {patterns}, or have `include` of the folder adapted."
    return _line(f"{name}: ignored, it is none of this folder's files", since, step)


def _line(told: str, when: str, step: str) -> str:
    """One line, whatever stands in the texts."""
    text = f"{told.rstrip('.')} ({when})." if when else f"{told.rstrip('.')}."
    whole = f"{text} What to do: {step}" if step else text
    return " ".join(whole.splitlines())
