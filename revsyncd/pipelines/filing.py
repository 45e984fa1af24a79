"""Files where the ledger says they belong: the ending is recorded, then the file moves.

A failed move repeats the move, never the upload. Every step is harmless when repeated: the target is
recorded before anything is written there, sidecars appear before the file, old ones go after it.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

from revsyncd.adapters.log import get_logger
from revsyncd.adapters.shelves import FileLost
from revsyncd.core.drop import Drop, Event, State
from revsyncd.core.errors import LedgerBroken, RevsyncdError
from revsyncd.core.part import PartState
from revsyncd.core.places import Shelf, companion_name, date_folder
from revsyncd.pipelines.conditions import STOPPED
from revsyncd.pipelines.instance import Instance, named
from revsyncd.pipelines.memory import Memory
from revsyncd.pipelines.register import Wake
from revsyncd.pipelines.sidecars import Sidecars

log = get_logger()

SHELVES = {State.STAGED: Shelf.DONE, State.FAILED: Shelf.FAILED, State.HELD: Shelf.HELD}
_EVENTS = {Shelf.DONE: "drop.done", Shelf.FAILED: "drop.failed", Shelf.HELD: "drop.held"}


class Filing:
    """Moves drops. Callers see to it that one drop of a folder is filed at a time."""

    def __init__(self, instance: Instance) -> None:
        """Work for an instance."""
        self._instance = instance
        self.sidecars = Sidecars(instance)
        self._memory = Memory(instance)
        self.done = Wake()  # nudged when a drop is done: its lines may be in error soon

    async def file(self, drop_id: str) -> None:
        """Bring the drop's file to where its state says. Raises NoSpace, FolderTrouble."""
        register = self._instance.register
        async with register.locked(drop_id):
            drop = register.drop(drop_id)
            if drop.state in SHELVES:
                await self._shelve(drop)
            else:
                await self._take_back(drop)

    async def _shelve(self, drop: Drop) -> None:
        register, shelf = self._instance.register, SHELVES[drop.state]
        target = await self._target(drop, shelf)
        source = self._instance.path(drop)
        # Recorded before anything is written there: our own sidecars make a name look taken.
        drop = await register.note(
            drop.drop, target=self._below(target), revision=drop.revision + 1
        )
        await self.sidecars.write(drop, await self._where(source, target), target)
        try:
            companion = await self._move(drop, source, target)
        except FileExistsError:  # somebody else put a file there: the next try takes another name
            await self._instance.files.remove_sidecars(target, drop.drop)
            await register.note(drop.drop, target=None)
            raise
        # Before it counts as filed: a process that ends here does all of it again.
        if source != target and not source.is_relative_to(self._work(drop)):
            await self._instance.files.remove_sidecars(source, drop.drop)
        await self._memory.remember(drop, target)
        await self._consequences(drop, shelf)
        staged = sum(p.records for p in register.parts(drop.drop) if p.state is PartState.STAGED)
        facts = {**self._placed(target), "companion": companion, "filed": True}
        if drop.state is State.STAGED:
            drop = await register.move(drop.drop, Event.FILED, **facts)
        else:
            drop = await register.note(drop.drop, "filed", **facts)
        if shelf is not Shelf.HELD or not self._instance.register.parts(drop.drop):
            await self._instance.files.remove_work(self._instance.places(drop.folder), drop.drop)
        # In the same place: only its report says more than before.
        self._tell(drop, shelf, staged=staged, again=source == target or None)
        if shelf is Shelf.DONE:
            self.done.nudge()

    async def _consequences(self, drop: Drop, shelf: Shelf) -> None:
        """A folder that stopped may go on; a corrected drop's report names its correction."""
        stopped = self._instance.conditions.get(STOPPED, drop.folder)
        mends = stopped is not None and stopped.facts.get("drop") in (drop.drop, drop.correction_of)
        if shelf is Shelf.DONE and mends:
            await self._instance.conditions.end(STOPPED, drop.folder)
        if drop.correction_of is not None:
            await self._rewrite_corrected(drop.correction_of)

    async def _rewrite_corrected(self, drop_id: str) -> None:
        ledger = self._instance.ledger
        corrected = await ledger.run(ledger.drops.get, drop_id)
        if corrected is None:
            return
        try:
            await self.rewrite(corrected)
        except LedgerBroken:
            raise
        except (OSError, RevsyncdError) as error:
            # Its file was taken away, say: that must not keep the correction from being settled.
            hint = "Only its report lacks the link; nothing else depends on it."
            log.warning("drop.step_failed", **named(corrected), error=str(error), hint=hint)

    async def _target(self, drop: Drop, shelf: Shelf) -> Path:
        """The path recorded for this move; chosen where there is none yet."""
        places = self._instance.places(drop.folder)
        path = self._instance.path(drop)
        if drop.target is not None:
            target = self._instance.root / drop.target
            # Another drop may have taken the name since: nothing may be written beside that one.
            taken = target != path and await self._instance.files.both_there(path, target)
            if target.is_relative_to(places.shelf(shelf)) and not taken:
                return target
        if path.is_relative_to(places.shelf(shelf)):
            return path  # already there: only its sidecars are written anew
        date = date_folder(drop.settled_at or 0.0, self._instance.config.zone)
        return await self._instance.files.reserve(places.day(shelf, date), drop)

    async def _move(self, drop: Drop, source: Path, target: Path) -> str | None:
        """Move file and companion; returns the companion's new name."""
        if source == target:
            return drop.companion
        companion = source.parent / drop.companion if drop.companion else None
        try:
            await self._instance.files.shelve(source, target, drop.drop, companion)
        except FileLost as error:
            log.warning("drop.lost", **named(drop), error=error.message, hint=error.hint)
            return drop.companion
        if drop.companion is None:
            return None
        return companion_name(target.name, source.name, drop.companion, drop.drop)

    async def _where(self, source: Path, target: Path) -> Path | None:
        """Where the file is now: a move before a crash may have happened already. None: lost."""
        for path in (source, target):
            with suppress(FileNotFoundError):
                await self._instance.files.identity(path)
                return path
        return None

    async def _take_back(self, drop: Drop) -> None:
        """From a shelf back into work, sidecars removed: the report is written anew when it settles."""
        source, work = self._instance.path(drop), self._work(drop)
        target = work / drop.file
        await self._instance.files.make_work(work)
        companion = await self._move(drop, source, target)
        await self._instance.files.remove_sidecars(source, drop.drop)
        placed = self._placed(target)
        await self._instance.register.note(drop.drop, "taken back", **placed, companion=companion)

    def _work(self, drop: Drop) -> Path:
        return self._instance.places(drop.folder).work_of(drop.drop)

    def _placed(self, target: Path) -> dict[str, str | None]:
        return {"place": self._below(target.parent), "name": target.name, "target": None}

    def _below(self, path: Path) -> str:
        return str(path.relative_to(self._instance.root))

    def _tell(self, drop: Drop, shelf: Shelf, **facts: Any) -> None:
        ending = drop.ending
        tell = log.info if shelf is Shelf.DONE else log.warning
        tell(
            _EVENTS[shelf],
            **named(drop),
            reason=str(ending.reason) if ending else None,
            seconds=round(self._instance.clock.now() - drop.received_at, 3),
            error=ending.message if ending and shelf is not Shelf.DONE else None,
            hint=drop.next_step or None,
            place=drop.place,
            **facts,
        )

    async def rewrite(self, drop: Drop, **changes: Any) -> Drop:
        """More was learnt about a drop that is filed: its sidecars as a new revision."""
        ledger = self._instance.ledger
        async with self._instance.register.locked(drop.drop):
            current = await ledger.run(ledger.drops.get, drop.drop)
            if current is None or not current.filed:
                return drop  # it is on its way, and its sidecars will say so
            revised = await ledger.run(
                ledger.drops.note, current, revision=current.revision + 1, **changes
            )
            if revised.drop in self._instance.register:
                self._instance.register.refresh(revised)
            path = self._instance.path(revised)
            await self.sidecars.write(revised, path, path)
            return revised
