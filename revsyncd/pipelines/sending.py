"""One part on its way to the tenant, and what its answer does to the ledger.

The order that everything rests on: conditions hold, *then* the ledger commits that the last chunk
goes, *then* it goes. Whoever wants to stop an upload asks `UploadInFlight.stop`, which is refused
from the moment at which the commit begins.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import anyio

from revsyncd.adapters.ledger import AlreadyTaken
from revsyncd.adapters.log import get_logger
from revsyncd.core import endings
from revsyncd.core.drop import Drop, Event, Reason, State
from revsyncd.core.errors import NoSpace
from revsyncd.core.pace import Pace
from revsyncd.core.part import Part, PartState, released
from revsyncd.core.verdict import Judgement, Route, Verdict
from revsyncd.pipelines.concluding import Concluding
from revsyncd.pipelines.conditions import DISK
from revsyncd.pipelines.instance import Instance, named
from revsyncd.ports import Damaged, NotReleased, Upload

log = get_logger()

RETRIES = Pace(first=1.0, factor=2.0, most=300.0)
RECORDS = Pace(first=0.5, factor=2.0, most=10.0)  # of an answer, in a ledger that has no room
MOST_FAILURES = 10  # of one drop while other calls succeed; then it is held as cannot_send

_RECEIVED = {
    Verdict.ACCEPTED: PartState.ACCEPTED,
    Verdict.STAGED: PartState.STAGED,
    Verdict.REFUSED: PartState.REFUSED,
    Verdict.IN_DOUBT: PartState.IN_DOUBT,
}
_RESULTS = {
    PartState.ACCEPTED: "upload.accepted",
    PartState.STAGED: "upload.accepted",
    PartState.REFUSED: "upload.refused",
    PartState.IN_DOUBT: "upload.in_doubt",
}


class Phase(StrEnum):
    """How far an upload is."""

    BEFORE = "before"  # stopping it is safe
    RELEASED = "released"  # or being released: only an answer may end it
    STOPPED = "stopped"


@dataclass(slots=True)
class UploadInFlight:
    """The upload of one part in this process."""

    drop: str
    part: int
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    phase: Phase = Phase.BEFORE
    changed: bool = False  # the dropped file was written to
    taken: str | None = None  # the drop that has the same content

    def stop(self) -> None:
        """Stop it if that is safe; afterwards it is surely not taken."""
        if self.phase is Phase.BEFORE:
            self.phase = Phase.STOPPED
            self.scope.cancel()


@dataclass(slots=True)
class Failures:
    """A drop's failures in a row, and when (monotonic seconds) it may be tried again."""

    times: int = 0
    counted: int = 0  # those between which other calls succeeded
    successes: int = -1  # the gate's count at the last failure
    retry_at: float = 0.0
    sign_in_repeated: bool = False


class Sending:
    """Sends parts of one instance; `inflight` and `failures` are read by whoever hands out slots."""

    def __init__(self, instance: Instance, concluding: Concluding) -> None:
        """Nothing is in flight."""
        self._instance = instance
        self._concluding = concluding
        self.inflight: dict[tuple[str, int], UploadInFlight] = {}
        self.failures: dict[str, Failures] = {}

    def may_try(self, drop: str) -> bool:
        """Whether the drop's pause after a failure is over."""
        failures = self.failures.get(drop)
        return failures is None or self._instance.clock.monotonic() >= failures.retry_at

    def stop_unreleased(self, drop: str | None = None) -> None:
        """Stop what is before its last chunk: of one drop, or all."""
        for upload in list(self.inflight.values()):
            if drop in (None, upload.drop):
                upload.stop()

    def take_slot(self, drop_id: str, number: int) -> None:
        """Count the part as in flight from now on; `send` gives the slot back."""
        self.inflight[drop_id, number] = UploadInFlight(drop_id, number)

    async def send(self, drop_id: str, number: int) -> None:
        """Send one part, for which a slot was taken, and record what became of it."""
        upload = self.inflight[drop_id, number]
        try:
            with upload.scope:
                await self._send(upload)
        finally:
            del self.inflight[drop_id, number]
            self._instance.register.changed.nudge()

    async def _send(self, upload: UploadInFlight) -> None:
        register = self._instance.register
        async with register.locked(upload.drop):
            drop = register.drop(upload.drop)
            if self._instance.address(drop) and not released(register.parts(upload.drop)):
                # Its parts were prepared for another template, one that was mended perhaps.
                with anyio.CancelScope(shield=True):
                    await self._start_over(drop)
                return
            if drop.state is State.CHECKED:
                drop = await register.move(upload.drop, Event.STARTED)
            if drop.state is not State.SENDING:
                return  # settled meanwhile
            part = register.parts(upload.drop)[upload.part - 1]
            if await self._has_changed(drop, part):
                with anyio.CancelScope(shield=True):
                    await self._start_over(drop)
                return
        log.info("upload.started", **named(drop, part), records=part.records)
        started = self._instance.clock.monotonic()
        try:
            judgement = await self._instance.tenant.upload(
                self._described(drop, part), lambda: self._release(upload)
            )
        except Damaged as damage:
            with anyio.CancelScope(shield=True):
                async with register.locked(upload.drop):
                    await self._damaged(upload, damage)
            return
        await self._hear(upload, judgement, started)

    async def _hear(self, upload: UploadInFlight, judgement: Judgement, started: float) -> None:
        """Record what the answer says. It comes but once: kept while the ledger can't be written."""
        tries = 0
        while not await self._heard(upload, judgement, started):
            tries += 1
            await anyio.sleep(RECORDS.pause(tries))

    async def _heard(self, upload: UploadInFlight, judgement: Judgement, started: float) -> bool:
        register = self._instance.register
        try:
            with anyio.CancelScope(shield=True):
                async with register.locked(upload.drop):
                    await self._conclude(upload, judgement, started)
        except NoSpace as error:
            if register.parts(upload.drop)[upload.part - 1].state is not PartState.RELEASED:
                raise  # recorded, or nothing was released: the drop's next step goes on from there
            folder = register.drop(upload.drop).folder
            await self._instance.conditions.begin(
                DISK, folder, message=error.message, hint=error.hint
            )
            return False
        return True

    async def _has_changed(self, drop: Drop, part: Part) -> bool:
        """Whether the dropped file, from which the part is sent, was written to since it was checked.

        FileNotFoundError starts the drop over: prepared bytes that somebody removed are made anew.
        """
        seen = await self._instance.files.identity(self._path(drop, part))
        return part.in_place and seen != drop.identity

    def _path(self, drop: Drop, part: Part) -> Path:
        return self._instance.path(drop) if part.in_place else self._instance.root / part.path

    def _described(self, drop: Drop, part: Part) -> Upload:
        return Upload(
            Route(part.route),
            drop.template_name,
            part.file_name,
            self._path(drop, part),
            part.size,
            part.cut,
            part.sha256,
            part.records,
            part.head.encode(),
            part.offset,
            drop.size if part.in_place else None,
        )

    async def _release(self, upload: UploadInFlight) -> None:
        """The ledger commits that the last chunk goes. Raises NotReleased to keep it here."""
        register = self._instance.register
        dropped = register.drop(upload.drop)
        if await self._instance.files.identity(self._instance.path(dropped)) != dropped.identity:
            upload.changed = True
            raise NotReleased("the dropped file was written to")
        async with register.locked(upload.drop):
            self._check_may_go(upload)
            upload.phase = Phase.RELEASED
            try:
                await register.release(upload.drop, upload.part)
            except AlreadyTaken as taken:
                upload.phase, upload.taken = Phase.BEFORE, taken.drop
                raise NotReleased(str(taken)) from taken
            except NoSpace:
                upload.phase = Phase.BEFORE  # told and waited for as trouble with a disk
                raise

    def _check_may_go(self, upload: UploadInFlight) -> None:
        if self._instance.stopping or upload.phase is Phase.STOPPED:
            raise NotReleased("revsyncd is stopping")
        drop = self._instance.register.drop(upload.drop)
        if self._instance.conditions.paused(drop.folder):
            raise NotReleased("the folder was paused")
        if drop.state is not State.SENDING:
            raise NotReleased("the drop was settled meanwhile")
        # Another part may have been refused, or fallen in doubt, while this one was on its way.
        ended = (PartState.REFUSED, PartState.IN_DOUBT)
        if any(p.state in ended for p in self._instance.register.parts(upload.drop)):
            raise NotReleased("another part was refused or is in doubt")

    async def _conclude(self, upload: UploadInFlight, judgement: Judgement, started: float) -> None:
        register = self._instance.register
        drop = register.drop(upload.drop)
        part = register.parts(upload.drop)[upload.part - 1]
        state, doubt = self._state(judgement, part)
        if state is None:
            await self._not_taken(upload, drop, part, judgement)
            return
        now = self._instance.clock.now()
        part = await register.settle_part(
            upload.drop,
            upload.part,
            state,
            message=judgement.message,
            request_id=judgement.request_id,
            tracking=judgement.tracking,
            doubt=doubt,
            accepted_at=now if state is PartState.ACCEPTED else None,
        )
        self.failures.pop(upload.drop, None)
        if state is not PartState.IN_DOUBT:
            await self._instance.gate.worked(drop.folder, "upload")
        facts = {**named(drop, part), "request_id": part.request_id, "reason": doubt}
        seconds = round(self._instance.clock.monotonic() - started, 3)
        if state in (PartState.ACCEPTED, PartState.STAGED):
            log.info(_RESULTS[state], **facts, seconds=seconds)
        else:
            log.warning(_RESULTS[state], **facts, error=part.message, seconds=seconds)
        await self._concluding.advance(upload.drop)

    def _state(self, judgement: Judgement, part: Part) -> tuple[PartState | None, Reason | None]:
        """What the part becomes; None when it was surely not taken and is to be tried again."""
        if judgement.verdict is Verdict.REFUSED:
            return PartState.REFUSED, None
        if part.state is not PartState.RELEASED:
            # Without its last chunk no body was whole; a success in answer to it can't be trusted.
            success = judgement.verdict in (*_RECEIVED, Verdict.UNCONFIRMED)
            return (PartState.IN_DOUBT, Reason.IN_DOUBT) if success else (None, None)
        if judgement.verdict is Verdict.UNCONFIRMED:
            if self._instance.config.tenant.without_id == "done":
                return PartState.STAGED, None
            return PartState.IN_DOUBT, Reason.UNCONFIRMED
        state = _RECEIVED.get(judgement.verdict)
        return state, Reason.IN_DOUBT if state is PartState.IN_DOUBT else None

    async def _not_taken(
        self, upload: UploadInFlight, drop: Drop, part: Part, judgement: Judgement
    ) -> None:
        log.debug("upload.not_taken", **named(drop, part), error=judgement.message)
        if part.state is PartState.RELEASED:
            await self._instance.register.settle_part(
                drop.drop, part.part, PartState.PLANNED, message=judgement.message
            )
        if drop.state is not State.SENDING or upload.phase is Phase.STOPPED:
            return
        if upload.changed:
            await self._start_over(drop)
        elif upload.taken is not None:
            await self._concluding.duplicate(drop, upload.taken)
        else:
            await self._try_later(drop, judgement)

    async def _damaged(self, upload: UploadInFlight, damage: Damaged) -> None:
        """What was prepared is made anew, if nothing was released; a person looks else.

        Raises FileNotFoundError where the dropped file itself is gone.
        """
        drop = self._instance.register.drop(upload.drop)
        parts = self._instance.register.parts(upload.drop)
        if drop.state is not State.SENDING or upload.phase is Phase.STOPPED:
            return
        seen = await self._instance.files.identity(self._instance.path(drop))
        part = parts[upload.part - 1]
        if not released(parts):
            await self._prepare_anew(drop, part, damage)
        elif part.in_place or seen != drop.identity:
            await self._start_over(drop)
        else:
            self.stop_unreleased(drop.drop)
            await self._concluding.settle(drop, Event.SET_ASIDE, endings.damaged(str(damage)))

    async def _prepare_anew(self, drop: Drop, part: Part, damage: Damaged) -> None:
        """Start over after a growing pause, and not for ever: a disk may go on damaging it."""
        failures = self.failures.setdefault(drop.drop, Failures())
        failures.times += 1
        failures.retry_at = self._instance.clock.monotonic() + RETRIES.pause(failures.times)
        if failures.times > MOST_FAILURES:
            del self.failures[drop.drop]
            ending = endings.damaged_again(failures.times, str(damage))
            await self._concluding.settle(drop, Event.SET_ASIDE, ending)
            return
        hint = "The file is checked and cut anew. Look at the disk if it happens again."
        log.warning("drop.step_failed", **named(drop, part), error=str(damage), hint=hint)
        await self._start_over(drop)

    async def _start_over(self, drop: Drop) -> None:
        """The dropped file changed after its parts were prepared."""
        self.stop_unreleased(drop.drop)
        if released(self._instance.register.parts(drop.drop)):
            ending = endings.changed_while_sent()
            await self._concluding.settle(drop, Event.SET_ASIDE, ending)
            return
        await self._instance.register.move(drop.drop, Event.START_OVER)
        self._instance.register.forget_plan(drop.drop)

    async def _try_later(self, drop: Drop, judgement: Judgement) -> None:
        gate = self._instance.gate
        failures = self.failures.setdefault(drop.drop, Failures())
        match judgement.verdict:
            case Verdict.SIGN_IN if not failures.sign_in_repeated:
                failures.sign_in_repeated = True
            case Verdict.SIGN_IN | Verdict.PAUSE_TENANT:
                await gate.pause_tenant(judgement.message, judgement.hint)
            case Verdict.PAUSE_FOLDER:
                await gate.pause_folder(drop.folder, "upload", judgement.message, judgement.hint)
            case Verdict.WAIT:
                gate.wait(judgement.retry_after)
            case _:
                await self._count_failure(drop, failures, judgement)

    async def _count_failure(self, drop: Drop, failures: Failures, judgement: Judgement) -> None:
        """A failure before the last chunk: repeated for ever, unless only this drop fails."""
        gate = self._instance.gate
        failures.times += 1
        failures.retry_at = self._instance.clock.monotonic() + RETRIES.pause(failures.times)
        if failures.successes == gate.successes:
            await gate.unreachable(judgement.message, judgement.hint)
        else:
            failures.counted += 1
        failures.successes = gate.successes
        if failures.counted <= MOST_FAILURES:
            return
        parts = self._instance.register.parts(drop.drop)
        if drop.state is State.SENDING and not any(p.state is PartState.RELEASED for p in parts):
            del self.failures[drop.drop]
            ending = endings.cannot_send(failures.times, judgement.message)
            await self._concluding.settle(drop, Event.SET_ASIDE, ending)
