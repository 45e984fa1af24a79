"""Accepted parts are asked after until the tenant says staged or refused; late answers count too."""

from dataclasses import dataclass

from revsyncd.adapters.log import get_logger
from revsyncd.core.drop import Drop, Reason, State
from revsyncd.core.errors import Forbidden, NoSpace, TenantError
from revsyncd.core.pace import Pace
from revsyncd.core.part import Part, PartState
from revsyncd.core.verdict import Following as Says
from revsyncd.core.verdict import Route, StatusReading
from revsyncd.pipelines.concluding import Concluding
from revsyncd.pipelines.conditions import DISK
from revsyncd.pipelines.instance import Instance, named

log = get_logger()

LOOKS = Pace(first=0.5, factor=1.6, most=60.0)

_BECOMES = {
    Says.STAGED: (PartState.STAGED, None),
    Says.REFUSED: (PartState.REFUSED, None),
    Says.IN_DOUBT: (PartState.IN_DOUBT, Reason.IN_DOUBT),
    Says.COUNT_MISMATCH: (PartState.IN_DOUBT, Reason.COUNT_MISMATCH),
}


@dataclass(slots=True)
class _Looks:
    """How often a part was asked after in vain; when (monotonic seconds) it is asked next."""

    times: int
    next_at: float
    accepted_at: (
        float  # monotonic, too: a wall clock that is set makes no time-out come or stay away
    )


class Following:
    """The service that follows accepted parts, one question at a time."""

    def __init__(self, instance: Instance, concluding: Concluding) -> None:
        """Work for an instance."""
        self._instance = instance
        self._concluding = concluding
        self._looks: dict[tuple[str, int], _Looks] = {}

    async def run(self) -> None:
        """Ask whenever something is due; wait when nothing is."""
        while True:
            followed = self._instance.register.followed()
            self._forget_others(followed)
            for drop, part in followed:
                if self._due(part) and self._instance.gate.open():
                    await self._look(drop, part)
            await self._instance.register.accepted.wait(self._pause())

    def _forget_others(self, followed: list[tuple[Drop, Part]]) -> None:
        keys = {(part.drop, part.part) for _, part in followed}
        self._looks = {key: looks for key, looks in self._looks.items() if key in keys}

    def _due(self, part: Part) -> bool:
        now = self._instance.clock.monotonic()
        if (part.drop, part.part) not in self._looks:
            # What an earlier process has waited is known by the wall clock alone.
            waited = max(self._instance.clock.now() - (part.accepted_at or 0.0), 0.0)
            self._looks[part.drop, part.part] = _Looks(0, now + LOOKS.pause(1), now - waited)
        return self._looks[part.drop, part.part].next_at <= now

    def _pause(self) -> float | None:
        """Until the next look is due; None when nothing is followed."""
        if not self._looks:
            return None
        if not self._instance.gate.open():
            return LOOKS.most
        soonest = min(looks.next_at for looks in self._looks.values())
        return max(soonest - self._instance.clock.monotonic(), 0.01)

    async def _look(self, drop: Drop, part: Part) -> None:
        looks = self._looks[part.drop, part.part]
        looks.times += 1
        looks.next_at = self._instance.clock.monotonic() + LOOKS.pause(looks.times + 1)
        if part.request_id is None:
            return
        try:
            reading = await self._instance.tenant.status(
                Route(part.route), part.request_id, part.records
            )
        except TenantError as error:
            await self._failed(drop.drop, error)
            reading = StatusReading(Says.NOT_YET)  # time passes all the same
        else:
            await self._instance.gate.worked(drop.folder, "status")
        try:
            async with self._instance.register.locked(drop.drop):
                await self._conclude(part, reading)
        except NoSpace as error:  # it says the same when it is asked again
            await self._instance.conditions.begin(
                DISK, drop.folder, message=error.message, hint=error.hint
            )

    async def _failed(self, drop_id: str, error: TenantError) -> None:
        register = self._instance.register
        drop = register.drop(drop_id) if drop_id in register else None
        # A request that the tenant will not show any more, of a drop held for it, pauses nothing.
        if drop is None or (drop.state is State.HELD and isinstance(error, Forbidden)):
            return
        await self._instance.gate.failed(error, drop.folder, "status")

    async def _conclude(self, part: Part, reading: StatusReading) -> None:
        register = self._instance.register
        if part not in register.parts(part.drop):
            return  # a person's word came between
        drop = register.drop(part.drop)
        if reading.following is Says.NOT_YET:
            if self._timed_out(drop, part) and drop.reason is not Reason.STATUS_TIMEOUT:
                await self._concluding.advance(part.drop, timed_out=True)
            return
        state, doubt = _BECOMES[reading.following]
        await register.settle_part(
            part.drop, part.part, state, message=reading.message, doubt=doubt
        )
        facts = {**named(drop, part), "request_id": part.request_id}
        if state is PartState.REFUSED:
            log.warning("upload.refused", **facts, error=reading.message)
        elif state is PartState.IN_DOUBT:
            log.warning("upload.in_doubt", **facts, reason=doubt, error=reading.message)
        await self._concluding.advance(part.drop)

    def _timed_out(self, drop: Drop, part: Part) -> bool:
        folder = self._instance.folder(drop)
        if folder is None or folder.review or part.accepted_at is None:
            return False
        began = self._looks[part.drop, part.part].accepted_at
        return self._instance.clock.monotonic() - began > folder.status_timeout
