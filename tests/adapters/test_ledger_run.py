import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from drops import a_drop
from ledgers import open_ledger

from revsyncd.adapters.ledger import Ledger
from revsyncd.core.drop import Drop


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as opened:
        yield opened


async def test_work_is_done_off_the_event_loop(ledger: Ledger) -> None:
    """While the ledger syncs, uploads go on."""
    assert await ledger.run(threading.get_ident) != threading.get_ident()


async def test_a_result_and_an_error_come_back(ledger: Ledger) -> None:
    """As if the method had been called."""
    assert await ledger.run(ledger.drops.add, a_drop()) == a_drop()
    with pytest.raises(ZeroDivisionError):
        await ledger.run(lambda: 1 // 0)


async def test_a_cancellation_waits_for_the_commit(ledger: Ledger) -> None:
    """Who is cancelled while a commit is on its way still learns that it happened."""
    begun, go_on = anyio.Event(), threading.Event()
    known: list[Drop] = []

    def slowly() -> Drop:
        anyio.from_thread.run_sync(begun.set)
        go_on.wait(60)
        return ledger.drops.add(a_drop())

    async def record() -> None:
        known.append(await ledger.run(slowly))
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(record)
        await begun.wait()
        tasks.cancel_scope.cancel()
        go_on.set()
    assert known == ledger.drops.open() == [a_drop()]


async def test_what_waits_for_its_turn_is_done_in_spite_of_a_cancellation(ledger: Ledger) -> None:
    """A step that was asked for is not dropped because another one is being committed."""
    begun, go_on = anyio.Event(), threading.Event()

    def slowly() -> None:
        anyio.from_thread.run_sync(begun.set)
        go_on.wait(60)

    async def record() -> None:
        await ledger.run(ledger.drops.add, a_drop())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ledger.run, slowly)
        await begun.wait()
        tasks.start_soon(record)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
        go_on.set()
    assert ledger.drops.open() == [a_drop()]


async def test_one_works_on_it_at_a_time(ledger: Ledger) -> None:
    """Two steps never share a transaction."""
    inside, most = 0, 0

    def work(number: int) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        ledger.drops.add(a_drop(number))
        inside -= 1

    async with anyio.create_task_group() as tasks:
        for number in range(1, 21):
            tasks.start_soon(ledger.run, work, number)
    assert most == 1
    assert len(ledger.drops.open()) == 20


async def test_a_reader_runs_off_the_loop_as_well(ledger: Ledger, tmp_path: Path) -> None:
    """What commands open may be used from the same code."""
    await ledger.run(ledger.drops.add, a_drop())
    with Ledger.read(tmp_path / "state", lambda: 1.0) as reader:
        assert await reader.run(reader.drops.open) == [a_drop()]
