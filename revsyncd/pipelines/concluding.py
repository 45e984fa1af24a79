"""Drops get their endings here, and only here: recorded first, filed afterwards."""

from typing import Any

from revsyncd.core import endings
from revsyncd.core.drop import Drop, Ending, Event, Reason, State, advance
from revsyncd.core.errors import NoSpace, RevsyncdError
from revsyncd.core.outcome import Follow, Send, Settle, decide
from revsyncd.core.places import Sidecar, shown, sidecar_name
from revsyncd.pipelines.conditions import STOPPED
from revsyncd.pipelines.instance import Instance


class Concluding:
    """Moves drops to their endings. Callers hold the drop's lock."""

    def __init__(self, instance: Instance) -> None:
        """Work for an instance."""
        self._instance = instance
        self.postponed: set[str] = (
            set()
        )  # drops whose parts are recorded, and their own state is not

    async def settle(self, drop: Drop, event: Event, ending: Ending, **facts: Any) -> Drop:
        """Record an ending; the drop is then to be filed."""
        known = drop.state is not State.HELD and drop.sha256 is not None
        if known and ending != endings.changed_while_sent() and await self._changed(drop):
            ending = endings.written_on(ending)
        ending = await self._stop_folder(drop, event, ending)
        now = self._instance.clock.now()
        return await self._instance.register.move(
            drop.drop, event, ending=ending, settled_at=now, filed=False, **facts
        )

    async def with_ending(self, drop: Drop, event: Event, ending: Ending) -> Drop:
        """A new drop that has its ending before it is recorded: at no moment may it be checked."""
        ending = await self._stop_folder(drop, event, ending)
        now = self._instance.clock.now()
        return drop.evolve(state=advance(drop.state, event), ending=ending, settled_at=now)

    async def _stop_folder(self, drop: Drop, event: Event, ending: Ending) -> Ending:
        """Where the folder stops on failure, it does so before its next drop's turn has come.

        For a drop that was held before, it has stopped already, and a person may have resumed it.
        Returns the ending, which then says how the correction has to be called.
        """
        folder, becomes = self._instance.folder(drop), advance(drop.state, event)
        stops = folder is not None and folder.on_failure == "stop"
        if not stops or drop.state is State.HELD or becomes not in (State.FAILED, State.HELD):
            return ending
        correction = shown(sidecar_name(drop.file, Sidecar.REJECTS, drop.drop))
        await self._instance.conditions.begin(
            STOPPED,
            drop.folder,
            message=f"{shown(drop.file)} ended in {becomes}/ and the folder stops on failure",
            hint=f"Drop its correction, called {correction} or as its report says; or `revsyncd resume"
            f' {drop.folder} --reason "…"` to go on without it.',
            drop=drop.drop,
        )
        return endings.stopping(ending) if becomes is State.FAILED else ending

    async def duplicate(self, drop: Drop, other: str, **facts: Any) -> None:
        """The same content was, or may have been, sent before as drop `other`."""
        folder = self._instance.folder(drop)
        held = folder is None or folder.on_duplicate == "hold" or drop.state is not State.CLAIMED
        ledger = self._instance.ledger
        ending = endings.duplicate(drop, await ledger.run(ledger.drops.get, other), held=held)
        event = Event.SET_ASIDE if held else Event.INVALID
        await self.settle(drop, event, ending, duplicate_of=other, **facts)

    async def advance(self, drop_id: str, *, timed_out: bool = False) -> None:
        """Draw the consequence of what its parts have become; raises NoSpace, and then it is `postponed`.

        None for a drop that has its ending, whose file may still have to move: after a kill, say.
        """
        try:
            await self._advance(drop_id, timed_out=timed_out)
        except NoSpace:
            self.postponed.add(drop_id)
            self._instance.register.changed.nudge()
            raise
        self.postponed.discard(drop_id)

    async def _advance(self, drop_id: str, *, timed_out: bool) -> None:
        register = self._instance.register
        drop, parts = register.drop(drop_id), register.parts(drop_id)
        if drop.state in (State.STAGED, State.DONE, State.FAILED):
            return
        folder = self._instance.folder(drop)
        in_sequence = folder is not None and folder.parts == "sequence"
        decision = decide(parts, in_sequence=in_sequence, timed_out=timed_out)
        match decision:
            case Settle():
                await self._settle(drop, decision)
            case Follow() if drop.state is State.SENDING and not _unsent(parts):
                await register.move(drop_id, Event.ALL_RECEIVED)
            case Send() if drop.state is State.HELD and drop.reason is Reason.STATUS_TIMEOUT:
                await self.send_again(drop)
            case _:
                pass

    async def send_again(self, drop: Drop, **facts: Any) -> Drop:
        """Take a held drop back into work to send what is not at the tenant."""
        return await self._instance.register.move(
            drop.drop, Event.SENT_AGAIN, ending=None, settled_at=None, filed=False, **facts
        )

    async def follow_on(self, drop: Drop) -> Drop:
        """Take a held drop back into work, all of whose parts are at the tenant or on their way."""
        return await self._instance.register.move(
            drop.drop, Event.ALL_RECEIVED, ending=None, settled_at=None, filed=False
        )

    async def start_over(self, drop: Drop, **facts: Any) -> Drop:
        """Take a held drop of which nothing was released back into work, to be checked anew."""
        self._instance.register.forget_plan(drop.drop)
        return await self._instance.register.move(
            drop.drop, Event.START_OVER, ending=None, settled_at=None, filed=False, **facts
        )

    async def _settle(self, drop: Drop, decision: Settle) -> None:
        if decision.event is Event.ALL_STAGED:
            decision = await self._staged(drop, decision.ending)
        ending = decision.ending
        if decision.event is Event.SET_ASIDE and drop.state is State.HELD:
            # Held already: another part's answer may have changed why, and the report says so.
            if ending != drop.ending:
                await self._instance.register.note(drop.drop, "held on", ending=ending, filed=False)
            return
        await self.settle(drop, decision.event, ending)

    async def _staged(self, drop: Drop, ending: Ending) -> Settle:
        """The tenant has all that was sent: is that all of the file?

        A sender may have gone on writing after the last release, which looked for the last time.
        """
        if await self._changed(drop):
            return Settle(Event.SET_ASIDE, endings.changed_while_sent())
        return Settle(Event.ALL_STAGED, endings.when_staged(drop, ending))

    async def _changed(self, drop: Drop) -> bool:
        """Whether the file has other bytes than those that were checked; a new time alone is none."""
        files, path = self._instance.files, self._instance.path(drop)
        try:
            if await files.identity(path) == drop.identity:
                return False
            return await files.sha256(path) != drop.sha256
        except (OSError, RevsyncdError):
            return False  # gone, or its disk is in trouble: filing meets the same, and tells


def _unsent(parts: list[Any]) -> bool:
    return any(part.state == "planned" for part in parts)
