from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskGroup
from ledgers import open_ledger
from logs import Lines, logged
from stand_ins import SetClock, Sleeps

from revsyncd.adapters.ledger import Ledger
from revsyncd.core.errors import LedgerBroken, NoSpace, RevsyncdError
from revsyncd.pipelines.conditions import SERVICE_FAILED, Conditions
from revsyncd.supervisor import (
    HEALTHY_AFTER,
    MOST_FAILURES,
    Service,
    ServiceGivenUp,
    Supervisor,
)

SOON = 30.0  # seconds; what is awaited happens at once, or never
Run = Callable[[], Awaitable[None]]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as opened:
        yield opened


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def conditions(ledger: Ledger, clock: SetClock) -> Conditions:
    return Conditions(ledger, clock)


@pytest.fixture
def supervisor(conditions: Conditions, clock: SetClock) -> Supervisor:
    return Supervisor(conditions, clock)


@pytest.fixture
def log() -> Iterator[Lines]:
    with logged() as lines:
        yield lines


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> Sleeps:
    """Pauses before a restart take no time here."""
    made = Sleeps(most=1000)
    monkeypatch.setattr("revsyncd.supervisor.anyio.sleep", made.sleep)
    return made


@asynccontextmanager
async def running() -> AsyncIterator[TaskGroup]:
    """A task group for services, ended with the block."""
    with anyio.fail_after(SOON):
        async with anyio.create_task_group() as tasks:
            yield tasks
            tasks.cancel_scope.cancel()


class Failing:
    """A service that fails so many times with these errors, the last one again and again, then runs."""

    def __init__(self, times: int, *errors: Exception) -> None:
        self.times = times
        self.errors = errors or (ValueError("broken"),)
        self.runs = 0
        self.works = anyio.Event()

    async def __call__(self) -> None:
        """Fail, or run on."""
        self.runs += 1
        if self.runs <= self.times:
            raise self.errors[min(self.runs, len(self.errors)) - 1]
        self.works.set()
        await anyio.sleep_forever()


async def run_to_its_end(supervisor: Supervisor, run: Run, *, essential: bool = False) -> Service:
    """Supervise one service until it is stopped or given up."""
    with anyio.fail_after(SOON):
        async with anyio.create_task_group() as tasks:
            service = Service("token", run, essential=essential)
            supervisor.start(tasks, service)
    return service


# -- restarts ------------------------------------------------------------------------------------


async def test_a_failed_service_is_started_again(
    supervisor: Supervisor, conditions: Conditions, sleeps: Sleeps, log: Lines
) -> None:
    """After growing pauses, counted, and told when it fails and when it is back."""
    run = Failing(3, RevsyncdError("no key", hint="make one"))
    async with running() as tasks:
        supervisor.start(tasks, Service("token", run))
        await run.works.wait()
        assert supervisor.services["token"].restarts == 3
        assert not conditions.holds(SERVICE_FAILED, "token")
    assert sleeps.pauses == [0.2, 0.4, 0.8]
    told = [(line["event"], line["service"], line.get("restarts")) for line in log()]
    assert told == [
        pair
        for number in (1, 2, 3)
        for pair in (
            ("service.failed", "token", None),
            ("service.restarted", "token", number),
        )
    ]
    assert (log()[0]["error"], log()[0]["hint"]) == ("RevsyncdError: no key", "make one")


async def test_a_failed_service_is_shown_while_it_pauses(
    supervisor: Supervisor, conditions: Conditions, sleeps: Sleeps, ledger: Ledger
) -> None:
    """Also to another process, and with what comes next where the error does not say."""
    sleeps.most = 0
    async with running() as tasks:
        supervisor.start(tasks, Service("token", Failing(1)))
        await sleeps.over.wait()
        (shown,) = ledger.conditions.all()
    assert shown.message == "ValueError: broken"
    assert shown.hint == "It is started again in 0.2 seconds."


async def test_a_fault_of_ours_is_logged_with_its_place(
    supervisor: Supervisor, sleeps: Sleeps, log: Lines
) -> None:
    """What nobody foresaw needs its traceback, what has a hint does not."""
    run = Failing(2, ValueError("broken"), RevsyncdError("known"))
    async with running() as tasks:
        supervisor.start(tasks, Service("token", run))
        await run.works.wait()
    traces = [line for line in log() if "exception" in line]
    assert len(traces) == 1
    assert "ValueError: broken" in traces[0]["exception"]


async def test_a_service_that_ends_has_failed(
    supervisor: Supervisor, sleeps: Sleeps, log: Lines
) -> None:
    """A service should never end by itself: it is started again like any other."""

    async def ends() -> None:
        """Nothing."""

    service = await run_to_its_end(supervisor, ends)
    assert service.restarts == MOST_FAILURES - 1
    assert "which a service never should" in log()[0]["error"]


async def test_running_well_makes_up_for_failures(
    supervisor: Supervisor, clock: SetClock, sleeps: Sleeps
) -> None:
    """A service that fails now and then over months is never given up."""
    runs, enough = 0, anyio.Event()

    async def fails_late() -> None:
        nonlocal runs
        runs += 1
        if runs == 2 * MOST_FAILURES:
            enough.set()
            await anyio.sleep_forever()
        clock.go_on(HEALTHY_AFTER + 1)
        raise ValueError

    async with running() as tasks:
        supervisor.start(tasks, Service("token", fails_late))
        await enough.wait()
    assert set(sleeps.pauses) == {0.2}


# -- giving up -----------------------------------------------------------------------------------


async def test_a_service_that_can_not_live_is_given_up_visibly(
    supervisor: Supervisor, conditions: Conditions, sleeps: Sleeps, ledger: Ledger
) -> None:
    """After so many failures in a row it stays down, and `status` says why and what to do."""
    run = Failing(1000, ValueError("broken"))
    service = await run_to_its_end(supervisor, run)
    assert (run.runs, service.restarts) == (MOST_FAILURES, MOST_FAILURES - 1)
    assert sleeps.pauses == sorted(sleeps.pauses)
    assert max(sleeps.pauses) == 60
    (shown,) = ledger.conditions.all()
    assert (shown.kind, shown.scope) == (SERVICE_FAILED, "token")
    assert shown.message == f"given up after {MOST_FAILURES} failures in a row: broken"
    assert "restart revsyncd" in shown.hint


async def test_others_outlive_a_service(supervisor: Supervisor, sleeps: Sleeps) -> None:
    """One that is given up, or fails with a group of errors, leaves the others running."""
    healthy = Failing(0)
    group = ExceptionGroup("two", [ValueError("a"), KeyError("b")])
    async with running() as tasks:
        supervisor.start(tasks, Service("desk", healthy))
        with anyio.CancelScope() as others:
            async with anyio.create_task_group() as inner:
                supervisor.start(inner, Service("token", Failing(1000)))
                supervisor.start(inner, Service("status", Failing(1000, group)))
        assert not others.cancelled_caught
        assert healthy.works.is_set()
        assert healthy.runs == 1


async def test_an_essential_service_takes_the_process_along(
    supervisor: Supervisor, sleeps: Sleeps
) -> None:
    """What nothing works without is left to the service manager: the process ends and says why."""
    run = Failing(1000, RevsyncdError("no inbox"))
    with pytest.raises(ExceptionGroup) as raised:
        await run_to_its_end(supervisor, run, essential=True)
    (error,) = raised.value.exceptions
    assert isinstance(error, ServiceGivenUp)
    assert error.message.startswith("token: given up")
    assert error.message.endswith("no inbox")
    assert error.hint


# -- a broken ledger -----------------------------------------------------------------------------

BROKEN = LedgerBroken("fsync failed")


@pytest.mark.parametrize(
    "error",
    [
        BROKEN,
        ExceptionGroup("one", [BROKEN]),
        ExceptionGroup("two", [ValueError("a"), BROKEN]),
        ExceptionGroup("deep", [ExceptionGroup("in", [ValueError("a"), BROKEN])]),
        ExceptionGroup("both", [LedgerBroken("fsync failed"), LedgerBroken("fsync failed")]),
    ],
    ids=str,
)
async def test_nobody_survives_a_broken_ledger(
    supervisor: Supervisor, conditions: Conditions, sleeps: Sleeps, error: Exception, log: Lines
) -> None:
    """However it comes out of a service, it is not tried again: the process must end."""
    run = Failing(1000, error)
    with pytest.raises(ExceptionGroup) as raised:
        await run_to_its_end(supervisor, run)
    (ended_by,) = raised.value.exceptions
    assert isinstance(ended_by, LedgerBroken)
    assert run.runs == 1
    assert conditions.all() == []


async def test_one_error_in_a_group_is_that_error(
    supervisor: Supervisor, sleeps: Sleeps, log: Lines
) -> None:
    """The words a person reads are those of what happened, not of how it was carried."""
    inner = RevsyncdError("no key", hint="make one")
    run = Failing(1, ExceptionGroup("out", [ExceptionGroup("in", [inner])]))
    async with running() as tasks:
        supervisor.start(tasks, Service("token", run))
        await run.works.wait()
    told = [line for line in log() if "hint" in line]
    assert (told[0]["error"], told[0]["hint"]) == ("RevsyncdError: no key", "make one")


async def test_a_full_disk_under_the_ledger_ends_nothing(
    supervisor: Supervisor, conditions: Conditions, sleeps: Sleeps, ledger: Ledger
) -> None:
    """A failure that can't be recorded is still told, shown and outlived."""
    ledger.book.connection.execute("PRAGMA query_only = ON")
    run = Failing(2, NoSpace("full", hint="free space"))
    async with running() as tasks:
        supervisor.start(tasks, Service("token", run))
        await run.works.wait()
    assert run.runs == 3
    assert conditions.all() == []


# -- stopping ------------------------------------------------------------------------------------


async def test_a_service_is_stopped_where_it_stands(
    supervisor: Supervisor, conditions: Conditions, sleeps: Sleeps
) -> None:
    """Running or pausing, it ends and leaves no condition; the others and unknown names do not matter."""
    sleeps.most = 0
    stopped, failed, other = Failing(0), Failing(1), Failing(0)
    async with running() as tasks:
        for name, run in (("a", stopped), ("b", failed), ("c", other)):
            supervisor.start(tasks, Service(name, run))
        await sleeps.over.wait()
        await stopped.works.wait()
        await supervisor.stop("a", "b", "unknown")
        await anyio.wait_all_tasks_blocked()
        assert conditions.all() == []
        assert set(supervisor.services) == {"c"}
        assert other.runs == 1


async def test_a_stop_waits_for_what_must_not_be_cut_off(supervisor: Supervisor) -> None:
    """What a service does under a shield is done when the stop returns."""
    begun, go_on, done = anyio.Event(), anyio.Event(), anyio.Event()

    async def shielded() -> None:
        with anyio.CancelScope(shield=True):
            begun.set()
            await go_on.wait()
            done.set()
        await anyio.sleep_forever()

    async with running() as tasks:
        supervisor.start(tasks, Service("a", shielded))
        await begun.wait()
        async with anyio.create_task_group() as stopping:
            stopping.start_soon(supervisor.stop, "a")
            await anyio.wait_all_tasks_blocked()
            assert supervisor.services == {}
            go_on.set()
        assert done.is_set()


async def test_a_stopped_service_can_be_started_anew(
    supervisor: Supervisor, sleeps: Sleeps
) -> None:
    """As a reload does, under the same name."""
    async with running() as tasks:
        supervisor.start(tasks, Service("a", Failing(0)))
        await supervisor.stop("a")
        again = Failing(1)
        supervisor.start(tasks, Service("a", again))
        await again.works.wait()
        assert supervisor.services["a"].restarts == 1
