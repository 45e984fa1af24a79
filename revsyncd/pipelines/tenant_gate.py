"""Whether the tenant, and each folder's template, can be worked with now.

A pause is entered by what the tenant answers and left by itself: the tenant by a probe after growing
pauses, a folder by letting one upload try again.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import anyio

from revsyncd.core.errors import Busy, Forbidden, SignInRefused, TenantError, TenantUnusable
from revsyncd.core.pace import Pace
from revsyncd.pipelines.conditions import (
    EVERYWHERE,
    FOLDER_PAUSED,
    TENANT_PAUSED,
    UNREACHABLE,
    Conditions,
)
from revsyncd.pipelines.register import Wake
from revsyncd.ports import Clock, Tenant

_IN_TIME = "check the network, the proxy and base_url; it is tried again by itself"
PROBES = Pace(first=5.0, factor=2.0, most=600.0)
FOLDER_TRIES = Pace(first=30.0, factor=2.0, most=1800.0)


@dataclass(slots=True)
class _Pause:
    """How often something was refused in a row, and when (monotonic seconds) it may be tried."""

    call: str  # what the tenant refused: "mapping", "upload" or "status"; only its success ends the pause
    times: int = 0
    until: float = 0.0


@dataclass(slots=True)
class TenantGate:
    """The state of the tenant as the pipelines see it."""

    tenant: Tenant
    conditions: Conditions
    clock: Clock
    changed: Wake
    successes: int = 0  # answers of any kind that show that the tenant works
    _probing: Wake = field(default_factory=Wake)
    _hurry: Wake = field(default_factory=Wake)
    _busy_until: float = 0.0
    _probes: int = 0
    _busies: int = 0
    _folders: dict[str, _Pause] = field(default_factory=dict)

    def open(self) -> bool:
        """Whether calls may be made now."""
        paused = self.conditions.holds(TENANT_PAUSED)
        return not paused and self.clock.monotonic() >= self._busy_until

    def folder_open(self, folder: str) -> bool:
        """Whether the folder's template may be used now; a paused one may be tried when due."""
        pause = self._folders.get(folder)
        return pause is None or self.clock.monotonic() >= pause.until

    def opens_at(self) -> list[float]:
        """The monotonic times at which something that is closed now may open by itself."""
        now = self.clock.monotonic()
        times = [self._busy_until, *(pause.until for pause in self._folders.values())]
        return [at for at in times if at > now]

    async def worked(self, folder: str = "", call: str = "") -> None:
        """The tenant answered as it should; `call` is what it did for `folder`."""
        self.successes += 1
        self._busies = 0
        await self.conditions.end(UNREACHABLE)
        if call == "upload":
            self._probes = 0
        pause = self._folders.get(folder)
        if pause is not None and pause.call == call:
            del self._folders[folder]
            await self.conditions.end(FOLDER_PAUSED, folder)

    async def failed(self, error: TenantError, folder: str = "", call: str = "") -> None:
        """A call failed: pause what must pause. The caller repeats its call in its own time."""
        if isinstance(error, Forbidden) and folder:
            await self.pause_folder(folder, call, error.message, error.hint)
        elif isinstance(error, TenantUnusable | SignInRefused | Forbidden):
            await self.pause_tenant(error.message, error.hint)
        elif isinstance(error, Busy):
            self.wait(error.retry_after)
        else:
            await self.unreachable(error.message, error.hint)

    async def unreachable(self, message: str, hint: str) -> None:
        """No call gets through at present; each is repeated in its own time."""
        await self.conditions.begin(UNREACHABLE, message=message, hint=hint or _IN_TIME)

    def wait(self, seconds: float | None) -> None:
        """Leave the tenant in peace for so long, as it asked."""
        pause = PROBES.pause(self._busies + 1) if seconds is None else seconds
        self._busies += 1
        self._busy_until = max(self._busy_until, self.clock.monotonic() + pause)

    async def pause_folder(self, folder: str, call: str, message: str, hint: str) -> None:
        """The tenant refuses this folder; when it refuses a second one, it is the tenant."""
        pause = self._folders.setdefault(folder, _Pause(call))
        pause.until = self.clock.monotonic() + FOLDER_TRIES.pause(pause.times + 1)
        pause.times += 1
        await self.conditions.begin(FOLDER_PAUSED, folder, message=message, hint=hint)
        if len(self._folders) > 1:
            await self.pause_tenant(message, hint)

    async def pause_tenant(self, message: str, hint: str) -> None:
        """Nothing works until a person mends something; probe with growing pauses meanwhile."""
        await self.conditions.begin(TENANT_PAUSED, message=message, hint=hint)
        self._probing.nudge()

    def reloaded(self, folders: Collection[str]) -> None:
        """The configuration changed: what was refused may be right now, so it is tried at once."""
        self._folders = {
            name: _Pause(p.call) for name, p in self._folders.items() if name in folders
        }
        self._probes = 0
        self._hurry.nudge()

    async def run(self) -> None:
        """The probing service: ends a pause of the tenant when a probe succeeds."""
        while True:
            if not self.conditions.holds(TENANT_PAUSED):
                await self._probing.wait()
                continue
            # A second upload that fails meanwhile must not hasten the probe; a reload may.
            asked = self._busy_until - self.clock.monotonic()
            await self._rest(max(PROBES.pause(self._probes + 1), asked))
            self._probes += 1
            await self._probe()

    async def _rest(self, seconds: float) -> None:
        """Sleep so long, or until a reload."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._end_on_reload, tasks.cancel_scope)
            await anyio.sleep(seconds)
            tasks.cancel_scope.cancel()

    async def _end_on_reload(self, rest: anyio.CancelScope) -> None:
        await self._hurry.wait()
        rest.cancel()

    async def _probe(self) -> None:
        try:
            await self.tenant.probe()
        except (TenantUnusable, SignInRefused, Forbidden) as error:
            await self.conditions.begin(TENANT_PAUSED, message=error.message, hint=error.hint)
        except Busy as error:
            self.wait(error.retry_after)
        except TenantError:
            return  # unreachable now: that says nothing about what paused it
        else:
            self._folders.clear()
            for condition in self.conditions.all():
                if condition.kind == FOLDER_PAUSED:
                    await self.conditions.end(FOLDER_PAUSED, condition.scope)
            await self.conditions.end(TENANT_PAUSED, EVERYWHERE)
            await self.conditions.end(UNREACHABLE)
            self.changed.nudge()
