"""One folder's inbox: looked at, settled, claimed. Folders do not know of one another."""

import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio

from revsyncd.adapters import inbox, shelves
from revsyncd.adapters.disk import FolderMissing, FolderTrouble
from revsyncd.adapters.log import get_logger
from revsyncd.adapters.who import user_name
from revsyncd.config import Folder
from revsyncd.core import endings
from revsyncd.core.drop import Drop, Ending, Event, State
from revsyncd.core.errors import NoSpace
from revsyncd.core.places import (
    corrected_names,
    drop_ids_in,
    is_correction,
    new_drop_id,
    shown,
)
from revsyncd.core.settle import (
    Entry,
    Finding,
    Ignored,
    Incomplete,
    NotAFile,
    Order,
    Readiness,
    Ready,
    Seen,
    SettleSettings,
    Settling,
)
from revsyncd.pipelines import unreadable
from revsyncd.pipelines.concluding import Concluding
from revsyncd.pipelines.conditions import DISK, FOLDER_MISSING, STOPPED
from revsyncd.pipelines.files import off_loop
from revsyncd.pipelines.instance import Instance, named
from revsyncd.pipelines.recovery import give_back
from revsyncd.pipelines.register import Wake
from revsyncd.pipelines.unreadable import Mending

log = get_logger()

SHORTEST_PAUSE = 0.02  # seconds
BREATHER = 3.0  # times as long as the look took
LOOK_EVERY = 5.0  # seconds at most between two looks: an inbox may get no events at all
IN_THE_WAY = 1.0  # seconds between two looks while one can't be carried through

Found = Ready | NotAFile | Incomplete


@dataclass(frozen=True, slots=True)
class _Taken:
    """A claimed file with the ending it has at once, if it has one."""

    drop: Drop
    event: Event | None = None
    ending: Ending | None = None


class Looking:
    """The service of one folder."""

    def __init__(self, instance: Instance, folder: str, concluding: Concluding) -> None:
        """Work for a folder of an instance."""
        self._instance = instance
        self._name = folder
        self._concluding = concluding
        self._mending = Mending(instance, folder, concluding)
        self._settling = Settling()
        self._trying = False  # whether this look claims to see if a trouble is over
        self.wake = Wake()

    @property
    def _folder(self) -> Folder:
        return self._instance.config.templates[self._name]

    async def run(self) -> None:
        """Look on every nudge, when something may have settled, and on a timer."""
        clock = self._instance.clock
        while True:
            began = clock.monotonic()
            went_well = self._instance.stopping or await self._round()
            # A file being written nudges all the time: never spend most of the time looking.
            await anyio.sleep(max(SHORTEST_PAUSE, BREATHER * (clock.monotonic() - began)))
            # Whatever was due stays due until a look gets through: that is no reason to hurry.
            await self.wake.wait(self._pause() if went_well else IN_THE_WAY)

    def _pause(self) -> float:
        due = self._settling.next_look()
        if due is None:
            return LOOK_EVERY
        return min(max(due - self._instance.clock.monotonic(), 0.001), LOOK_EVERY)

    async def _round(self) -> bool:
        """One look; what is in the way is a condition of this folder and ends with it.

        Returns whether nothing was in the way.
        """
        conditions = self._instance.conditions
        try:
            await self.look()
        except FolderMissing as error:
            await conditions.begin(
                FOLDER_MISSING, self._name, message=error.message, hint=error.hint
            )
        except (FolderTrouble, NoSpace) as error:
            await conditions.begin(DISK, self._name, message=error.message, hint=error.hint)
        else:
            await conditions.end(FOLDER_MISSING, self._name)
            return True
        return False

    async def look(self) -> None:
        """List the inbox, and claim what is ready unless claiming is paused."""
        places = self._instance.places(self._name)
        now = self._instance.clock.monotonic()
        entries = await off_loop(inbox.look, places.inbox)
        self._trying = not self._disks_are_well()
        if self._trying:
            await self._try_disks()
        findings = self._settling.observe(now, entries, settle_settings(self._folder))
        # What is told once comes first: a claim that fails ends the look.
        for finding in sorted(findings, key=lambda each: not isinstance(each, Seen | Ignored)):
            await self._act(finding)
        for folder, drop_id in sorted(self._instance.unrecorded):
            if folder == self._name:
                await give_back(self._instance, folder, drop_id)
        await self._mending.look()
        if self._trying:  # what was in the way may be so still in one place only, such as the inbox
            await self._instance.conditions.end(DISK)
            await self._instance.conditions.end(DISK, self._name)

    async def _try_disks(self) -> None:
        """While a disk was in trouble nothing is claimed: see whether it is over. Raises NoSpace."""
        home = self._instance.places(self._name).home
        for directory in (home, self._instance.root, self._instance.config.state_dir):
            await off_loop(shelves.try_writing, directory)

    def _disks_are_well(self) -> bool:
        conditions = self._instance.conditions
        return not (conditions.holds(DISK) or conditions.holds(DISK, self._name))

    async def _act(self, finding: Finding) -> None:
        match finding:
            case Seen(entry):
                log.info("drop.seen", folder=self._name, file=shown(entry.name))
            case Ignored(entry):
                log.warning(
                    "drop.ignored",
                    folder=self._name,
                    file=shown(entry.name),
                    hint="No pattern of the folder matches it: rename it, or adapt `include`.",
                )
            case Ready() | NotAFile() | Incomplete() if self._may_claim():
                # Never cut off between the rename and its record.
                with anyio.CancelScope(shield=True):
                    await self._claim(finding)
            case _:
                pass

    def _may_claim(self) -> bool:
        well = self._trying or self._disks_are_well()
        return well and not self._instance.conditions.paused(self._name)

    async def _claim(self, found: Found) -> None:
        """Rename into work, then record; a claim that is not recorded is given back."""
        places = self._instance.places(self._name)
        now = self._instance.clock.now()
        drop_id = new_drop_id(now, secrets.token_bytes(10))
        companion = None if isinstance(found, NotAFile) else found.companion
        beside = companion.name if companion else None
        try:
            claimed = await off_loop(inbox.claim, places, drop_id, found.entry, companion)
        except inbox.Changed:
            return  # it settles anew
        except (FolderTrouble, NoSpace, OSError):
            await give_back(self._instance, self._name, drop_id, beside)
            raise
        waited = self._instance.clock.monotonic() - found.first_seen
        taken = self._taken(found, claimed, received_at=now - waited)
        try:
            await self._record(taken)
        except NoSpace:
            await give_back(self._instance, self._name, drop_id, beside)
            raise

    async def _record(self, taken: _Taken) -> None:
        """Record the drop, in one step with the ending that it has at once: it is not to be checked.

        Whoever came between, or found the first without the second after a kill, would open a FIFO
        or send what never was complete.
        """
        register, drop = self._instance.register, await self._linked(taken.drop)
        if taken.event is not None and taken.ending is not None:
            drop = await self._concluding.with_ending(drop, taken.event, taken.ending)
        async with register.locked(drop.drop):
            drop = await register.add(drop)
            log.info("drop.claimed", **named(drop), size=drop.size)
            if taken.event is not None:
                with suppress(NoSpace):  # the history only: the drop is recorded, and it is ours
                    await register.note(drop.drop, taken.event, ending=taken.ending)

    def _taken(self, found: Found, claimed: inbox.Claimed, received_at: float) -> _Taken:
        folder, entry = self._folder, claimed.entry
        # A file written to during the claim has no identity yet: the checks wait until it is still.
        identity = (entry.size, entry.mtime_ns, entry.inode) if claimed.unchanged else ()
        drop = Drop(
            drop=claimed.drop,
            folder=self._name,
            file=entry.name,
            state=State.CLAIMED,
            tenant=self._instance.config.tenant.base_url,
            template_name=folder.template_name,
            kind=folder.kind,
            received_at=received_at,
            place=f"{self._name}/.work/{claimed.drop}",
            name=entry.name,
            companion=claimed.companion.name if claimed.companion else None,
            owner=user_name(entry.uid),
            size=entry.size,
            identity=identity,
            config=self._instance.config.digest,
        )
        if isinstance(found, NotAFile):
            ending = endings.not_a_file(described(claimed.path, entry))
            return _Taken(drop, Event.SET_ASIDE, ending)
        if not claimed.readable:
            return _Taken(drop, Event.SET_ASIDE, unreadable.ending(entry))
        if isinstance(found, Incomplete):
            suffix = settle_settings(folder).companion_suffix
            return _Taken(drop, Event.SET_ASIDE, endings.no_companion(folder.ready, suffix))
        if entry.size > folder.max_size:
            ending = endings.too_large(entry.size, folder.max_size)
            return _Taken(drop, Event.INVALID, ending)
        return _Taken(drop)

    async def _linked(self, drop: Drop) -> Drop:
        """Linked to the earlier drop of which its name says that it is the correction."""
        if not is_correction(drop.file):
            return drop
        ledger = self._instance.ledger
        earlier = await ledger.run(ledger.drops.earlier_named, self._name)
        known = {id_ for id_, _ in earlier}
        for id_ in drop_ids_in(drop.file):
            if id_ in known:
                return drop.evolve(correction_of=id_)
        names = corrected_names(drop.file)
        ids = [id_ for name in names for id_, file in earlier if file == name]  # newest first
        stopped = self._instance.conditions.get(STOPPED, self._name)
        if stopped is not None and stopped.facts.get("drop") in ids:
            # What stopped the folder is what is corrected, not a later try that waits behind it.
            return drop.evolve(correction_of=stopped.facts["drop"])
        return drop.evolve(correction_of=ids[0]) if ids else drop


def settle_settings(folder: Folder) -> SettleSettings:
    """The folder's settings as the settling takes them."""
    return SettleSettings(
        folder.include,
        folder.exclude,
        Readiness(folder.ready),
        folder.settle_time,
        folder.marker_suffix,
        folder.manifest_suffix,
        folder.marker_timeout,
        Order(folder.order),
    )


def described(path: Path, entry: Entry) -> str:
    """What a thing is that is no regular file."""
    if stat.S_ISLNK(entry.mode):
        return f"a symbolic link to {shown(str(path.readlink()))}"
    names = {stat.S_ISFIFO: "a FIFO", stat.S_ISSOCK: "a socket"}
    return next((name for is_one, name in names.items() if is_one(entry.mode)), "a device")
