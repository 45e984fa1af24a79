"""What holds now and makes the daemon less than well: logged when it begins and when it ends.

Conditions live in the ledger, so that `revsyncd status` sees them from another process.
"""

from dataclasses import dataclass
from typing import Any

from revsyncd.adapters.ledger import Condition, Ledger
from revsyncd.adapters.log import get_logger
from revsyncd.core.errors import NoSpace
from revsyncd.ports import Clock

log = get_logger()

EVERYWHERE = "*"  # the scope of what concerns the whole instance


@dataclass(frozen=True, slots=True)
class Sort:
    """How one kind of condition is told: the event when it begins and the one when it ends."""

    begins: str
    ends: str
    lasting: bool = False  # survives a restart: a person's word, or a stop that a person must lift
    red: bool = True  # the daemon can't do all of its work, and nobody wants it so


PAUSED = "paused"  # by a person; scope: a folder or everywhere
STOPPED = "folder.stopped"  # on_failure = "stop"
FOLDER_PAUSED = "folder.paused"  # the tenant refuses this folder's template
FOLDER_MISSING = "folder.missing"
NOT_CONFIGURED = "folder.not_configured"  # taken out of the configuration, and drops are left
CHECKS_FAILED = "folder.checks"  # the checks of a drop break down, and the later ones wait for it
TENANT_PAUSED = "tenant.paused"
UNREACHABLE = "tenant.unreachable"
DISK = "disk.trouble"
NO_ERROR_LISTS = "stage_errors.refused"  # scope: a kind
GL_REFUSED = "gl.refused"  # the tenant forbids the calls for batches
GL_OUTBOX = "gl.outbox"  # nothing can be written for the ERP
SERVICE_FAILED = "service.failed"

SORTS = {
    PAUSED: Sort("folder.paused", "folder.resumed", lasting=True, red=False),
    STOPPED: Sort("folder.paused", "folder.resumed", lasting=True),
    FOLDER_PAUSED: Sort("folder.paused", "folder.resumed"),
    FOLDER_MISSING: Sort("folder.missing", "folder.resumed"),
    NOT_CONFIGURED: Sort("folder.paused", "folder.resumed"),
    CHECKS_FAILED: Sort("folder.paused", "folder.resumed"),
    TENANT_PAUSED: Sort("tenant.paused", "tenant.resumed"),
    UNREACHABLE: Sort("tenant.unreachable", "tenant.resumed"),
    DISK: Sort("disk.trouble", "disk.mended"),
    NO_ERROR_LISTS: Sort("stage_errors.refused", "stage_errors.resumed"),
    GL_REFUSED: Sort("gl.refused", "gl.resumed"),
    GL_OUTBOX: Sort("disk.trouble", "disk.mended"),
    SERVICE_FAILED: Sort("service.failed", "service.restarted"),
}


class Conditions:
    """The conditions of one instance. A condition may be begun and ended as often as one likes."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        """Empty until `load`."""
        self._ledger = ledger
        self._clock = clock
        self._now: dict[tuple[str, str], Condition] = {}
        self._unwritten: dict[tuple[str, str], None] = {}  # what the ledger does not know yet

    async def load(self) -> None:
        """Forget what only held while the last process ran, keep what lasts."""
        await self._ledger.run(self._ledger.conditions.forget_passing)
        lasting = await self._ledger.run(self._ledger.conditions.all)
        self._now = {(c.kind, c.scope): c for c in lasting}

    def all(self) -> list[Condition]:
        """Everything that holds now, oldest first."""
        return sorted(self._now.values(), key=lambda condition: condition.since)

    def get(self, kind: str, scope: str = EVERYWHERE) -> Condition | None:
        """The condition, when it holds."""
        return self._now.get((kind, scope))

    def holds(self, kind: str, scope: str = EVERYWHERE) -> bool:
        """Whether it holds."""
        return (kind, scope) in self._now

    def red(self) -> list[str]:
        """What keeps the daemon from its work now, each on one line with its next step."""
        return [_told(each) for each in self.all() if SORTS[each.kind].red]

    def paused(self, folder: str) -> bool:
        """Whether a person paused the folder, or everything."""
        return self.holds(PAUSED, folder) or self.holds(PAUSED)

    async def begin(
        self, kind: str, scope: str = EVERYWHERE, *, message: str, hint: str = "", **facts: Any
    ) -> None:
        """It holds from now on; says so once."""
        before = self._now.get((kind, scope))
        if before and (before.message, before.hint) == (message, hint):
            return
        since = before.since if before else self._clock.now()
        sort = SORTS[kind]
        condition = Condition(kind, scope, since, message, hint, sort.lasting, facts)
        self._now[kind, scope] = condition
        await self._record((kind, scope), before)
        if before is None:
            log.warning(sort.begins, **_named(kind, scope), error=message, hint=hint, **facts)

    async def end(self, kind: str, scope: str = EVERYWHERE, **facts: Any) -> None:
        """It holds no more; says so once."""
        before = self._now.pop((kind, scope), None)
        if before is None:
            return
        await self._record((kind, scope), before)
        seconds = round(self._clock.now() - before.since, 3)
        log.info(SORTS[kind].ends, **_named(kind, scope), seconds=seconds, **facts)

    async def _record(self, key: tuple[str, str], before: Condition | None) -> None:
        """Bring the ledger up to date. A full disk under it is itself a condition: it must be told.

        What lasts, though, holds only once it is written: it is as before when NoSpace is raised.
        """
        self._unwritten[key] = None
        try:
            for waiting in list(self._unwritten):
                await self._write(*waiting)
                self._unwritten.pop(waiting, None)
        except NoSpace:
            if SORTS[key[0]].lasting and key in self._unwritten:
                self._put_back(key, before)
                raise

    async def _write(self, kind: str, scope: str) -> None:
        condition, register = self._now.get((kind, scope)), self._ledger.conditions
        if condition is None:
            await self._ledger.run(register.end, kind, scope)
        else:
            await self._ledger.run(register.begin, condition)

    def _put_back(self, key: tuple[str, str], before: Condition | None) -> None:
        del self._unwritten[key]
        self._now.pop(key, None)
        if before is not None:
            self._now[key] = before


def _named(kind: str, scope: str) -> dict[str, str]:
    if kind == SERVICE_FAILED:
        return {"service": scope}
    return {"reason": kind} | ({} if scope == EVERYWHERE else {"folder": scope})


def _told(condition: Condition) -> str:
    scope = "" if condition.scope == EVERYWHERE else f" {condition.scope}"
    step = f" Next step: {condition.hint}" if condition.hint else ""
    return " ".join(f"{condition.kind}{scope}: {condition.message}.{step}".split())
