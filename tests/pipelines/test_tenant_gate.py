from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from ledgers import open_ledger
from logs import logged
from stand_ins import SetClock, Sleeps, ToldTenant

from revsyncd.adapters.ledger import Ledger
from revsyncd.core.errors import (
    Busy,
    Forbidden,
    SignInRefused,
    TenantError,
    TenantUnusable,
    Unreachable,
)
from revsyncd.pipelines.conditions import (
    FOLDER_PAUSED,
    PAUSED,
    TENANT_PAUSED,
    UNREACHABLE,
    Conditions,
)
from revsyncd.pipelines.register import Wake
from revsyncd.pipelines.tenant_gate import FOLDER_TRIES, PROBES, TenantGate

SOON = 30.0  # seconds; what is awaited happens at once, or never
DISABLED = TenantUnusable("405", hint="have it enabled")
FORBIDDEN = Forbidden("403", hint="mend the role")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as opened, logged():
        yield opened


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def make(ledger: Ledger, clock: SetClock) -> Callable[..., TenantGate]:
    """A gate to a tenant that gives these answers."""

    def made(*answers: TenantError | None) -> TenantGate:
        tenant = ToldTenant(*answers)
        return TenantGate(tenant, Conditions(ledger, clock), clock, Wake())

    return made


@pytest.fixture
def gate(make: Callable[..., TenantGate]) -> TenantGate:
    return make()


@asynccontextmanager
async def probing(
    gate: TenantGate, monkeypatch: pytest.MonkeyPatch, most: int = 100
) -> AsyncIterator[Sleeps]:
    """The probing service runs, its pauses taking no time."""
    sleeps = Sleeps(most)
    with monkeypatch.context() as patch, anyio.fail_after(SOON):
        patch.setattr("revsyncd.pipelines.tenant_gate.anyio.sleep", sleeps.sleep)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gate.run)
            yield sleeps
            tasks.cancel_scope.cancel()


def probes(gate: TenantGate) -> int:
    assert isinstance(gate.tenant, ToldTenant)
    return gate.tenant.probes


# -- the tenant ----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [DISABLED, SignInRefused("no", hint="h"), FORBIDDEN])
async def test_what_a_person_must_mend_pauses_the_tenant(
    gate: TenantGate, error: TenantError
) -> None:
    """The condition carries the remedy, and no call is made any more."""
    assert gate.open()
    await gate.failed(error)
    condition = gate.conditions.get(TENANT_PAUSED)
    assert condition is not None
    assert (condition.message, condition.hint) == (error.message, error.hint)
    assert not gate.open()


async def test_a_paused_tenant_resumes_by_itself(
    make: Callable[..., TenantGate], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is probed with growing pauses; the first probe that succeeds ends every pause."""
    gate = make(DISABLED, Unreachable("no route"), SignInRefused("wrong role"), None)
    await gate.failed(FORBIDDEN, "orders", "upload")
    await gate.failed(Unreachable("no route"))
    async with probing(gate, monkeypatch) as sleeps:
        await gate.failed(DISABLED)
        await gate.changed.wait()
    assert gate.open()
    assert gate.folder_open("orders")
    assert gate.conditions.all() == []
    assert sleeps.pauses == [5, 10, 20, 40]
    assert probes(gate) == 4


async def test_only_the_tenants_own_answers_change_what_is_said(
    make: Callable[..., TenantGate], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new refusal replaces the old; a lost connection says nothing about what must be mended."""
    gate = make(SignInRefused("wrong role"), Unreachable("no route"))
    async with probing(gate, monkeypatch, most=3) as sleeps:
        await gate.failed(DISABLED)
        await sleeps.over.wait()
    condition = gate.conditions.get(TENANT_PAUSED)
    assert condition is not None
    assert condition.message == "wrong role"
    assert not gate.conditions.holds(UNREACHABLE)
    assert sleeps.pauses[-1] < PROBES.most


async def test_probes_get_rarer_up_to_a_longest_pause(
    make: Callable[..., TenantGate], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant that stays away for a weekend is asked now and then."""
    gate = make(DISABLED)
    async with probing(gate, monkeypatch, most=12) as sleeps:
        await gate.failed(DISABLED)
        await sleeps.over.wait()
    assert sleeps.pauses == [5, 10, 20, 40, 80, 160, 320, 600, 600, 600, 600, 600]


async def test_a_second_refusal_does_not_hasten_the_probe(
    gate: TenantGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two uploads that fail one after the other are one pause."""
    async with probing(gate, monkeypatch, most=0) as sleeps:
        await gate.failed(DISABLED)
        await sleeps.over.wait()
        await gate.failed(DISABLED)
        await anyio.wait_all_tasks_blocked()
    assert probes(gate) == 0


async def test_a_probe_that_is_told_to_wait_waits(
    make: Callable[..., TenantGate], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe is a call like others: Retry-After holds for it, too."""
    gate = make(Busy("503", retry_after=3600), None)
    async with probing(gate, monkeypatch) as sleeps:
        await gate.failed(DISABLED)
        await gate.changed.wait()
    assert sleeps.pauses == [5, 3600]


async def test_a_pause_after_a_useless_end_grows_on(
    make: Callable[..., TenantGate], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a probe succeeds but uploads are refused again, the next pause is longer; an upload mends it."""
    gate = make(None)
    async with probing(gate, monkeypatch) as sleeps:
        for _ in range(3):
            await gate.failed(DISABLED)
            await gate.changed.wait()
        await gate.worked("orders", "upload")
        await gate.failed(DISABLED)
        await gate.changed.wait()
    assert sleeps.pauses == [5, 10, 20, 5]


async def test_a_person_pauses_apart_from_the_tenant(
    gate: TenantGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A successful probe does not lift what a person said."""
    await gate.conditions.begin(PAUSED, message="period close")
    async with probing(gate, monkeypatch):
        await gate.failed(DISABLED)
        await gate.changed.wait()
    assert [c.kind for c in gate.conditions.all()] == [PAUSED]


# -- folders -------------------------------------------------------------------------------------


async def test_a_forbidden_template_pauses_its_folder_only(
    gate: TenantGate, clock: SetClock
) -> None:
    """The others go on; it may be tried again when its pause is over, each pause longer."""
    for expected in (30, 60, 120):
        await gate.failed(FORBIDDEN, "orders", "upload")
        assert gate.open()
        assert gate.folder_open("events")
        assert not gate.folder_open("orders")
        assert gate.opens_at() == [clock.monotonic() + expected]
        clock.go_on(expected)
        assert gate.folder_open("orders")
    assert gate.conditions.holds(FOLDER_PAUSED, "orders")
    assert FOLDER_TRIES.most == 1800


async def test_a_folder_resumes_by_the_call_that_paused_it(gate: TenantGate) -> None:
    """A mapping that can be fetched says nothing about uploads, and another folder nothing about this."""
    await gate.failed(FORBIDDEN, "orders", "upload")
    await gate.worked()
    await gate.worked("orders", "mapping")
    await gate.worked("events", "upload")
    assert gate.conditions.holds(FOLDER_PAUSED, "orders")
    await gate.worked("orders", "upload")
    assert gate.conditions.all() == []
    assert gate.folder_open("orders")
    await gate.failed(FORBIDDEN, "orders", "mapping")
    assert gate.opens_at() == [gate.clock.monotonic() + 30]


async def test_a_second_folder_pauses_the_tenant(gate: TenantGate) -> None:
    """What two folders meet lies with the user's role or the address, not with a template."""
    await gate.failed(FORBIDDEN, "orders", "upload")
    await gate.failed(FORBIDDEN, "orders", "upload")
    assert gate.open()
    await gate.failed(Forbidden("404", hint="check base_url"), "events", "mapping")
    condition = gate.conditions.get(TENANT_PAUSED)
    assert condition is not None
    assert condition.hint == "check base_url"
    assert not gate.open()


async def test_a_folder_that_works_again_does_not_count(gate: TenantGate) -> None:
    """Two folders refused one after the other, not at once, are two mistakes and no tenant's."""
    await gate.failed(FORBIDDEN, "orders", "upload")
    await gate.worked("orders", "upload")
    await gate.failed(FORBIDDEN, "events", "upload")
    assert gate.open()


# -- patience ------------------------------------------------------------------------------------


async def test_a_busy_tenant_is_left_in_peace_as_it_asked(
    gate: TenantGate, clock: SetClock
) -> None:
    """For as long as it said, and a shorter wish does not shorten a longer one; it is no condition."""
    await gate.failed(Busy("429", retry_after=90))
    await gate.failed(Busy("429", retry_after=10), "orders", "mapping")
    assert not gate.open()
    assert gate.opens_at() == [clock.monotonic() + 90]
    clock.go_on(89)
    assert not gate.open()
    clock.go_on(1)
    assert gate.open()
    assert gate.opens_at() == []
    assert gate.conditions.all() == []


async def test_a_busy_tenant_that_names_no_time_gets_growing_pauses(
    gate: TenantGate, clock: SetClock
) -> None:
    """Until it works again; then patience begins anew."""
    pauses = []
    for error in (*[Busy("503")] * 3, None, Busy("503")):
        if error is None:
            await gate.worked()
            continue
        await gate.failed(error)
        pauses.append(gate.opens_at()[0] - clock.monotonic())
        clock.go_on(pauses[-1])
    assert pauses == [5, 10, 20, 5]


async def test_an_unreachable_tenant_is_shown_but_not_paused(gate: TenantGate) -> None:
    """Each call is tried again in its own time, and any answer ends the condition."""
    await gate.failed(Unreachable("no route", hint="check the network"), "orders", "mapping")
    assert gate.conditions.holds(UNREACHABLE)
    assert gate.open()
    assert gate.folder_open("orders")
    await gate.worked()
    assert gate.conditions.all() == []


async def test_successes_are_counted(gate: TenantGate) -> None:
    """By them a drop that alone fails is told from a tenant that does."""
    await gate.worked()
    await gate.worked("orders", "upload")
    await gate.failed(Unreachable("no route"))
    assert gate.successes == 2


async def test_a_reload_hastens_the_probe_and_forgets_removed_folders(gate: TenantGate) -> None:
    """What was refused may be right now: it is tried at once, and only what is configured counts."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gate.run)
        await gate.pause_folder("gone", "upload", "403", "")
        await gate.failed(DISABLED)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(SOON):
            gate.reloaded(["orders"])
            await gate.changed.wait()
        assert not gate.conditions.holds(TENANT_PAUSED)
        await gate.pause_folder("orders", "upload", "403", "")
        assert not gate.conditions.holds(TENANT_PAUSED)
        tasks.cancel_scope.cancel()
