"""The sign of life: it comes from where the work is done, so it ends when the work does."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from bench import PATIENCE, bench

from revsyncd.adapters.systemd import Notifier

OFTEN = 0.03  # seconds within which a sign is due


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """What the service manager listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(0)
        yield listener


def signs(manager: socket.socket) -> int:
    """How many signs of life have come since this was asked the last time."""
    found = 0
    while True:
        try:
            found += manager.recv(4096) == b"WATCHDOG=1"
        except BlockingIOError:
            return found


async def until_a_sign(manager: socket.socket) -> None:
    with anyio.fail_after(PATIENCE):
        while not signs(manager):
            await anyio.wait_readable(manager)


async def test_a_loop_that_stands_gives_no_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manager: socket.socket
) -> None:
    """While a step keeps the event loop for itself nothing is told; afterwards it is again."""
    async with bench(tmp_path, monkeypatch) as it:
        notifier = Notifier(str(tmp_path / "notify"), OFTEN)
        monkeypatch.setattr(Notifier, "from_environment", lambda: notifier)
        async with it.running():
            await until_a_sign(manager)
            signs(manager)
            time.sleep(10 * OFTEN)  # noqa: ASYNC251  (this is the step that hangs)
            assert signs(manager) == 0
            await until_a_sign(manager)


async def test_a_ledger_that_stands_gives_no_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manager: socket.socket
) -> None:
    """While a call to the ledger hangs nothing is told, though the event loop turns."""
    async with bench(tmp_path, monkeypatch) as it:
        notifier = Notifier(str(tmp_path / "notify"), OFTEN)
        monkeypatch.setattr(Notifier, "from_environment", lambda: notifier)
        async with it.running(), anyio.create_task_group() as tasks:
            await until_a_sign(manager)
            entered, leave = threading.Event(), threading.Event()

            def hang() -> None:
                entered.set()
                leave.wait(PATIENCE)

            tasks.start_soon(it.instance.ledger.run, hang)
            await anyio.to_thread.run_sync(entered.wait)
            signs(manager)
            await anyio.sleep(10 * OFTEN)  # a sign that should not come can't be awaited
            assert signs(manager) == 0
            leave.set()
            await until_a_sign(manager)
