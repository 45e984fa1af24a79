"""The inbound pipeline: hands out turns and slots, and lets each drop take its next step.

Whatever goes wrong with one drop concerns that drop: it is logged, tried again after a growing
pause, and the others go on.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from revsyncd.adapters.disk import FolderTrouble
from revsyncd.adapters.log import get_logger
from revsyncd.core import endings
from revsyncd.core.drop import WAITING, Drop, Event, State
from revsyncd.core.errors import CheckFailed, ConfigError, LedgerBroken, NoSpace, TenantError
from revsyncd.core.outcome import Send, decide
from revsyncd.core.pace import Pace
from revsyncd.core.part import PartState, released
from revsyncd.core.places import shown
from revsyncd.core.turns import to_check, to_send
from revsyncd.pipelines.checking import Checking, NotYet
from revsyncd.pipelines.concluding import Concluding
from revsyncd.pipelines.conditions import CHECKS_FAILED, DISK
from revsyncd.pipelines.filing import Filing
from revsyncd.pipelines.instance import Instance, named
from revsyncd.pipelines.recovery import doubt_released
from revsyncd.pipelines.register import Wake
from revsyncd.pipelines.sending import Sending

log = get_logger()

CHECKS_AT_ONCE = 2
STEP_RETRIES = Pace(first=1.0, factor=2.0, most=60.0)
TOLD_AFTER = 3  # failures of one drop's checks in a row that may pass by themselves


@dataclass(slots=True)
class _Pause:
    """How often a drop's step failed in a row, and when (monotonic seconds) it is tried again."""

    times: int = 0
    until: float = 0.0


class Inbound:
    """The service that moves drops on."""

    def __init__(
        self, instance: Instance, concluding: Concluding, sending: Sending, filing: Filing
    ) -> None:
        """Work for an instance."""
        self._instance = instance
        self._checking = Checking(instance, concluding)
        self._concluding = concluding
        self._sending = sending
        self._filing = filing
        self._busy: set[str] = set()  # drops being checked or filed
        self._filing_in: set[str] = set()  # folders in which a drop is being filed
        self._pauses: dict[str, _Pause] = {}
        self._unchecked: dict[str, str] = {}  # by folder, the drop whose checks break down
        self.quiet = Wake()  # nudged whenever a step has ended
        self.rounds = 0  # how often it looked what may start: the daemon's pulse

    @property
    def filing(self) -> bool:
        """Whether a drop is being filed now."""
        return bool(self._filing_in)

    async def run(self) -> None:
        """Start whatever may start; wait until something changes or a pause ends."""
        # After a fault of this very service, uploads may have been cut off past their last chunk.
        await doubt_released(self._instance, self._concluding)
        async with anyio.create_task_group() as tasks:
            while True:
                await self._resume()
                self._conclude(tasks)
                self._file(tasks)
                self._check(tasks)
                self._send(tasks)
                self.rounds += 1
                await self._instance.register.changed.wait(self._until_next())

    def reloaded(self) -> None:
        """The configuration changed: what failed may go well now, so it is tried at once."""
        for pause in self._pauses.values():
            pause.until = 0.0

    def _until_next(self) -> float | None:
        """Seconds until a pause ends; None when nothing waits for a time."""
        now = self._instance.clock.monotonic()
        times = [pause.until for pause in self._pauses.values()]
        times += [failures.retry_at for failures in self._sending.failures.values()]
        times += self._instance.gate.opens_at()
        later = [at for at in times if at > now]
        return min(later) - now + 0.001 if later else None

    def _may_step(self, drop: Drop) -> bool:
        pause = self._pauses.get(drop.drop)
        rested = pause is None or self._instance.clock.monotonic() >= pause.until
        return rested and drop.drop not in self._busy

    # -- what a full disk postponed --------------------------------------------------------------

    def _conclude(self, tasks: TaskGroup) -> None:
        for drop_id in sorted(self._concluding.postponed):
            if drop_id not in self._instance.register:
                self._concluding.postponed.discard(drop_id)
            elif self._may_step(drop := self._instance.register.drop(drop_id)):
                self._start(tasks, drop, self._conclude_one)

    async def _conclude_one(self, drop_id: str) -> None:
        async with self._instance.register.locked(drop_id):
            await self._concluding.advance(drop_id)

    # -- filing ----------------------------------------------------------------------------------

    def _file(self, tasks: TaskGroup) -> None:
        uploading = {upload.drop for upload in self._sending.inflight.values()}
        for drop in self._instance.register.to_be_moved():
            due = self._may_step(drop) and drop.drop not in uploading
            if due and drop.folder not in self._filing_in:
                self._filing_in.add(drop.folder)
                self._start(tasks, drop, self._file_one)

    async def _file_one(self, drop_id: str) -> None:
        folder = self._instance.register.drop(drop_id).folder
        try:
            await self._filing.file(drop_id)
        finally:
            self._filing_in.discard(folder)

    # -- checking --------------------------------------------------------------------------------

    def _check(self, tasks: TaskGroup) -> None:
        if self._instance.stopping:
            return
        register = self._instance.register
        busy = [register.drop(drop) for drop in self._busy if drop in register]
        checking = sum(drop.state is State.CLAIMED for drop in busy)
        due = to_check(
            self._instance.turns(),
            register.waiting(),
            lambda drop: not self._may_step(drop),
            CHECKS_AT_ONCE - checking,
        )
        for drop in due:
            if drop.in_work:
                self._start(tasks, drop, self._checking.check)

    # -- sending ---------------------------------------------------------------------------------

    def _send(self, tasks: TaskGroup) -> None:
        if self._instance.stopping or not self._instance.gate.open():
            return
        free = self._instance.config.tenant.max_parallel_uploads - len(self._sending.inflight)
        turns, waiting = self._instance.turns(), self._instance.register.waiting()
        for drop in to_send(turns, waiting):
            if not self._may_step(drop) or not self._sending.may_try(drop.drop):
                continue
            for number in self._parts_to_send(drop):
                if free <= 0:
                    return
                if (drop.drop, number) not in self._sending.inflight:
                    self._sending.take_slot(drop.drop, number)
                    tasks.start_soon(self._guarded, drop.drop, self._send_one(number))
                    free -= 1

    def _parts_to_send(self, drop: Drop) -> list[int]:
        if not drop.in_work:
            return []
        folder = self._instance.folder(drop)
        in_sequence = folder is not None and folder.parts == "sequence"
        parts = self._instance.register.parts(drop.drop)
        decision = decide(parts, in_sequence=in_sequence, timed_out=False)
        if isinstance(decision, Send):
            return [part.part for part in decision.parts]
        # While one part's answer is awaited, the others that are planned may go beside it.
        others = {PartState.REFUSED, PartState.IN_DOUBT} & {part.state for part in parts}
        if in_sequence or others:
            return []
        return [part.part for part in parts if part.state is PartState.PLANNED]

    def _send_one(self, number: int) -> Callable[[str], Awaitable[None]]:
        async def send(drop_id: str) -> None:
            try:
                await self._sending.send(drop_id, number)
            finally:
                self.quiet.nudge()

        return send

    # -- every step ------------------------------------------------------------------------------

    def _start(self, tasks: TaskGroup, drop: Drop, step: Callable[[str], Awaitable[None]]) -> None:
        self._busy.add(drop.drop)
        tasks.start_soon(self._stepped, drop.drop, step)

    async def _stepped(self, drop_id: str, step: Callable[[str], Awaitable[None]]) -> None:
        try:
            await self._guarded(drop_id, step)
        finally:
            self._busy.discard(drop_id)
            self.quiet.nudge()
            self._instance.register.changed.nudge()

    async def _guarded(self, drop_id: str, step: Callable[[str], Awaitable[None]]) -> None:
        """Let a drop take a step; a fault pauses the drop. A broken ledger ends the process."""
        try:
            await step(drop_id)
        except NotYet as why:
            log.debug("drop.waits", drop=drop_id, error=str(why))
            self._rest(drop_id, self._settle_time(drop_id))
        except LedgerBroken:
            raise
        except FileNotFoundError as error:
            await self._lost(drop_id, error)
        except (TenantError, ConfigError, NoSpace, FolderTrouble, CheckFailed, OSError) as error:
            await self._failed(drop_id, error)
        except Exception as error:  # a fault of ours in one drop must not stop the others
            log.exception("drop.step_failed", drop=drop_id)
            await self._failed(drop_id, error)
        else:
            self._pauses.pop(drop_id, None)
            await self._resume(drop_id)

    async def _failed(self, drop_id: str, error: Exception) -> None:
        if drop_id not in self._instance.register:
            return  # settled meanwhile
        pause = self._pauses.setdefault(drop_id, _Pause())
        pause.times += 1
        self._rest(drop_id, STEP_RETRIES.pause(pause.times))
        if isinstance(error, NoSpace):
            folder = self._instance.register.drop(drop_id).folder
            await self._instance.conditions.begin(
                DISK, folder, message=error.message, hint=error.hint
            )
        elif isinstance(error, CheckFailed) and (error.lasting or pause.times >= TOLD_AFTER):
            await self._pause_folder(drop_id, error)
        elif pause.times == 1 and not isinstance(error, TenantError):
            hint = getattr(error, "hint", "") or "It is tried again with growing pauses."
            log.warning("drop.step_failed", drop=drop_id, error=str(error), hint=hint)

    async def _pause_folder(self, drop_id: str, error: CheckFailed) -> None:
        """One drop's checks break down and hold up its folder: a condition with the remedy."""
        drop = self._instance.register.drop(drop_id)
        self._unchecked[drop.folder] = drop_id
        message = (
            f"{shown(drop.file)} can't be checked, and what comes after it waits: {error.message}"
        )
        hint = f"{error.hint} It is tried again every minute, and at a reload.".lstrip()
        conditions = self._instance.conditions
        await conditions.begin(CHECKS_FAILED, drop.folder, message=message, hint=hint)

    async def _resume(self, checked: str = "") -> None:
        """End the pause of each folder whose drop is checked, or is gone: cancelled, settled."""
        register = self._instance.register
        for folder, drop_id in list(self._unchecked.items()):
            if drop_id == checked or drop_id not in register:
                del self._unchecked[folder]
                await self._instance.conditions.end(CHECKS_FAILED, folder)

    def _rest(self, drop_id: str, seconds: float) -> None:
        pause = self._pauses.setdefault(drop_id, _Pause())
        pause.until = self._instance.clock.monotonic() + seconds

    def _settle_time(self, drop_id: str) -> float:
        folder = self._instance.folder(self._instance.register.drop(drop_id))
        return folder.settle_time if folder else STEP_RETRIES.most

    async def _lost(self, drop_id: str, error: FileNotFoundError) -> None:
        """Something is gone from our own work directory: prepared parts are made anew."""
        register = self._instance.register
        if drop_id not in register:
            return  # settled meanwhile
        async with register.locked(drop_id):
            drop = register.drop(drop_id)
            if drop.state not in WAITING:
                await self._failed(drop_id, error)
            elif not await self._file_is_there(drop):
                log.warning("drop.lost", **named(drop), error=str(error))
                await self._concluding.settle(drop, Event.SET_ASIDE, endings.missing())
            elif drop.state is State.CLAIMED:
                await self._failed(drop_id, error)
            elif released(register.parts(drop_id)):
                self._sending.stop_unreleased(drop_id)
                ending = endings.damaged(f"{error.filename or error} is gone")
                await self._concluding.settle(drop, Event.SET_ASIDE, ending)
            else:
                await register.move(drop_id, Event.START_OVER)
                register.forget_plan(drop_id)

    async def _file_is_there(self, drop: Drop) -> bool:
        try:
            await self._instance.files.identity(self._instance.path(drop))
        except FileNotFoundError:
            return False
        return True
