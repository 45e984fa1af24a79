"""Keeps services running: restarts with growing pauses, counts, and gives up visibly.

A service is a coroutine that should never end. Each fails alone: the others go on. One that fails
again and again is given up, which `status` shows; an essential one then ends the process, so that
the service manager may start it anew.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from revsyncd.adapters.log import get_logger
from revsyncd.core.errors import LedgerBroken, RevsyncdError
from revsyncd.core.pace import Pace
from revsyncd.pipelines.conditions import SERVICE_FAILED, Conditions
from revsyncd.ports import Clock

log = get_logger()

RESTARTS = Pace(first=0.2, factor=2.0, most=60.0, jitter=0.0)
MOST_FAILURES = 12  # in a row; with these pauses about five minutes
HEALTHY_AFTER = 300.0  # seconds of running after which earlier failures no longer count


class ServiceGivenUp(RevsyncdError):
    """An essential service failed too often: the process must end."""


@dataclass(slots=True)
class Service:
    """A coroutine under supervision."""

    name: str
    run: Callable[[], Awaitable[None]]
    essential: bool = False
    restarts: int = 0
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ended: anyio.Event = field(default_factory=anyio.Event)


class Supervisor:
    """Runs services in one task group."""

    def __init__(self, conditions: Conditions, clock: Clock) -> None:
        """Nothing runs yet."""
        self._conditions = conditions
        self._clock = clock
        self.services: dict[str, Service] = {}

    def start(self, tasks: TaskGroup, service: Service) -> None:
        """Run a service until it is stopped or given up."""
        self.services[service.name] = service
        tasks.start_soon(self._supervise, service, name=service.name)

    async def stop(self, *names: str) -> None:
        """End services, and wait until they have ended; they must be safe to cancel anywhere."""
        services = [self.services.pop(name) for name in names if name in self.services]
        for service in services:
            service.scope.cancel()
        for service in services:
            await service.ended.wait()
            await self._conditions.end(SERVICE_FAILED, service.name)

    async def _supervise(self, service: Service) -> None:
        try:
            with service.scope:
                await self._keep_running(service)
        finally:
            service.ended.set()

    async def _keep_running(self, service: Service) -> None:
        failures = 0
        while True:
            began = self._clock.monotonic()
            error = await self._run(service)
            if self._clock.monotonic() - began > HEALTHY_AFTER:
                failures = 0
            failures += 1
            if failures >= MOST_FAILURES:
                await self._give_up(service, error)
                return
            await self._restart(service, failures, error)

    async def _run(self, service: Service) -> Exception:
        """Let the service run; returns what ended it. A broken ledger is nobody's to survive."""
        try:
            await service.run()
        except LedgerBroken:
            raise
        except Exception as error:  # whatever ends one service must not end the others
            if not isinstance(error, RevsyncdError):
                log.exception("service.traceback", service=service.name)
            return _unwrapped(error)
        return RevsyncdError("it ended, which a service never should")

    async def _restart(self, service: Service, failures: int, error: Exception) -> None:
        pause = RESTARTS.pause(failures)
        message = f"{type(error).__name__}: {error}"
        hint = getattr(error, "hint", "") or f"It is started again in {pause:g} seconds."
        await self._conditions.begin(SERVICE_FAILED, service.name, message=message, hint=hint)
        await anyio.sleep(pause)
        service.restarts += 1
        await self._conditions.end(SERVICE_FAILED, service.name, restarts=service.restarts)

    async def _give_up(self, service: Service, error: Exception) -> None:
        message = f"given up after {MOST_FAILURES} failures in a row: {error}"
        hint = "Mend what the message names and restart revsyncd."
        await self._conditions.begin(SERVICE_FAILED, service.name, message=message, hint=hint)
        if service.essential:
            raise ServiceGivenUp(f"{service.name}: {message}", hint=hint)


def _unwrapped(error: Exception) -> Exception:
    """The one error inside nested exception groups, where there is one; it may have to end us."""
    single = list(_leaves(error))
    for leaf in single:
        if isinstance(leaf, LedgerBroken):
            raise leaf
    return single[0] if len(single) == 1 else error


def _leaves(error: Exception) -> Iterator[Exception]:
    if not isinstance(error, ExceptionGroup):
        yield error
        return
    for inner in error.exceptions:
        yield from _leaves(inner)
