from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from made_drops import Steady, claim, opened, send, settle, tree
from stand_ins import NoJournal

from revsyncd.adapters.check_process import ProcessChecker
from revsyncd.adapters.clock import SystemClock
from revsyncd.core.drop import Event, Reason
from revsyncd.core.part import PartState
from revsyncd.core.settle import STRAY_AFTER
from revsyncd.pipelines.conditions import PAUSED, Conditions
from revsyncd.pipelines.files import Files
from revsyncd.pipelines.instance import Instance
from revsyncd.pipelines.mappings import Mappings
from revsyncd.pipelines.register import Register
from revsyncd.pipelines.status_files import NOTHING, StatusFiles
from revsyncd.pipelines.tenant_gate import TenantGate
from revsyncd.tenant_link import TenantLink


@pytest.fixture
async def instance(tmp_path: Path) -> AsyncIterator[Instance]:
    """An instance at noon in Berlin plus an hour, with nothing in it."""
    config, clock = tree(tmp_path), Steady()
    async with TenantLink.to(config, SystemClock()) as tenant:
        with opened(config, clock) as ledger:
            register, conditions = Register(ledger), Conditions(ledger, clock)
            gate = TenantGate(tenant, conditions, clock, register.changed)
            yield Instance(
                config=config,
                clock=clock,
                ledger=ledger,
                register=register,
                conditions=conditions,
                tenant=tenant,
                gate=gate,
                mappings=Mappings(ledger, clock, tenant, gate),
                files=Files(config.state_dir, ProcessChecker()),
                journal=NoJournal(),
            )


def lines(instance: Instance, folder: str = "transactions") -> list[str]:
    """What stands under the head."""
    return instance.places(folder).status.read_text().splitlines()[3:]


def put(instance: Instance, name: str, folder: str = "transactions") -> Path:
    path = instance.places(folder).inbox / name
    path.write_bytes(b"Doc Line Id\r\n1\r\n")
    return path


async def test_nothing(instance: Instance) -> None:
    """A folder with nothing in it says so, with the time there and how it is kept."""
    await StatusFiles(instance).refresh()
    text = instance.places("events").status.read_text()
    head, time, *_ = text.splitlines()
    assert head == "events: drops that are waiting, in work or held"
    assert time.startswith("As of 2026-11-24 13:00 CET")
    assert lines(instance, "events") == [NOTHING]


async def test_in_work_and_held(instance: Instance) -> None:
    """Each drop has one line: what it is, what state it is in, since when, what to do."""
    ledger, config = instance.ledger, instance.config
    send(ledger, claim(config, ledger, "a.csv"), PartState.ACCEPTED, PartState.PLANNED)
    held = claim(config, ledger, "b.csv", number=1)
    step = "Give it up: `revsyncd resolve DROP --reject`."
    held = settle(ledger, held, Event.SET_ASIDE, Reason.DUPLICATE, step)
    assert held.drop in held.next_step
    claim(config, ledger, "c.csv", "events", number=2)
    await instance.register.load()
    await StatusFiles(instance).refresh()
    assert lines(instance) == [
        "a.csv: being sent (1 of 2 parts received, 0 staged) (received 2026-11-24 13:00 CET).",
        f"b.csv: held since 2026-11-24 13:01 CET: it is duplicate. What to do: {held.next_step}",
    ]
    assert lines(instance, "events") == [
        "c.csv: taken; to be checked (received 2026-11-24 13:00 CET)."
    ]


async def test_the_inbox(instance: Instance) -> None:
    """What is not taken yet waits, for its marker where there has to be one; the rest is no drop."""
    for name in ("a.csv", "half.part", ".hidden.csv", "b.csv.ok"):
        put(instance, name)
    for name in ("a.csv", "b.csv", "b.csv.ok"):
        put(instance, name, "events")
    (instance.places("events").inbox / "directory.csv").mkdir()
    await StatusFiles(instance).refresh()
    seen = "(seen since 2026-11-24 13:00 CET)."
    assert lines(instance) == [
        f"a.csv: waits in the inbox until nobody writes to it any more {seen}"
    ]
    assert lines(instance, "events") == [
        f"a.csv: waits in the inbox for a.csv.ok {seen}",
        f"b.csv: waits in the inbox for b.csv.ok {seen}",
    ]


async def test_strays(instance: Instance) -> None:
    """A name that no pattern matches is told after an hour, with what would match."""
    put(instance, "a.xlsx")
    status = StatusFiles(instance)
    await status.refresh()
    assert lines(instance) == [NOTHING]
    assert isinstance(instance.clock, Steady)
    instance.clock.time += STRAY_AFTER
    await status.refresh()
    [line] = lines(instance)
    assert line.startswith("a.xlsx: ignored")
    assert "What to do: Drop files whose names match *.csv" in line


async def test_hostile_names(instance: Instance) -> None:
    """Whatever a file is called, it has one line of plain text."""
    put(instance, "a\nb\u2028c\udcff.csv")
    await StatusFiles(instance).refresh()
    [line] = lines(instance)
    assert line.startswith(r"a\nb\u2028c\xff.csv: waits")


async def test_obstacles_come_first(instance: Instance) -> None:
    """A paused folder says so, by whom and how it goes on; other folders do not."""
    put(instance, "a.csv")
    await instance.conditions.begin(
        PAUSED, "transactions", message="paused by ann: period close", hint="`revsyncd resume`."
    )
    await StatusFiles(instance).refresh()
    first, second = lines(instance)
    assert first.startswith("! paused by ann: period close (since 2026-11-24 13:00 CET).")
    assert first.endswith("What to do: `revsyncd resume`.")
    assert second.startswith("a.csv: waits")
    assert lines(instance, "events") == [NOTHING]


async def test_an_unchanged_text_is_not_written_again(instance: Instance) -> None:
    """The file stays the same file until something changes, and is replaced whole then."""
    status, path = StatusFiles(instance), instance.places("transactions").status
    await status.refresh()
    first = path.stat().st_ino
    with path.open() as reader:
        await status.refresh()
        assert path.stat().st_ino == first
        put(instance, "a.csv")
        await status.refresh()
        assert path.stat().st_ino != first
        assert NOTHING in reader.read()
    assert lines(instance)[0].startswith("a.csv: waits")


async def test_many_files(instance: Instance) -> None:
    """A flooded inbox is cut short, and the rest counted."""
    for number in range(203):
        put(instance, f"{number:03}.csv")
    await StatusFiles(instance).refresh()
    assert len(lines(instance)) == 201
    assert lines(instance)[-1] == "… and 3 more files in the inbox."


async def test_a_missing_folder_does_not_stop_the_others(instance: Instance) -> None:
    """What can't be written is tried again, and the others are written meanwhile."""
    home = instance.places("transactions").home
    home.rename(home.with_name("away"))
    status = StatusFiles(instance)
    await status.refresh()
    assert lines(instance, "events") == [NOTHING]
    home.with_name("away").rename(home)
    await status.refresh()
    assert lines(instance) == [NOTHING]


async def test_the_service_looks_again_and_again(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change made while it runs is in the file soon after."""
    monkeypatch.setattr("revsyncd.pipelines.status_files.EVERY", 0.001)
    instance.clock = SystemClock()
    path = instance.places("transactions").status
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(StatusFiles(instance).run)
            while not path.exists():
                await anyio.lowlevel.checkpoint()
            put(instance, "a.csv")
            while "a.csv" not in path.read_text():
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
