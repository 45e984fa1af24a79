import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from revsyncd.adapters.systemd import Notifier

QUEUE = Path("/proc/sys/net/unix/max_dgram_qlen")


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """What the service manager listens on, in the file system or in Linux's abstract namespace."""
    name = f"{tmp_path}/notify" if request.param == "path" else f"\0{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name)
        listener.settimeout(30)
        yield listener


def notifier(manager: socket.socket) -> Notifier:
    name = manager.getsockname()
    address = name if isinstance(name, str) else "@" + name[1:].decode()
    return Notifier.from_environment({"NOTIFY_SOCKET": address})


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def test_life(manager: socket.socket) -> None:
    """Each moment of the daemon's life is told in the manager's words."""
    tell = notifier(manager)
    tell.ready("2 folders, nothing waiting")
    assert heard(manager) == ["READY=1", "STATUS=2 folders, nothing waiting"]
    tell.watchdog()
    assert heard(manager) == ["WATCHDOG=1"]
    tell.status("1 drop in work")
    assert heard(manager) == ["STATUS=1 drop in work"]
    tell.stopping("1 upload to finish")
    assert heard(manager) == ["STOPPING=1", "STATUS=1 upload to finish"]
    tell.extend(1.5)
    assert heard(manager) == ["EXTEND_TIMEOUT_USEC=1500000"]


def test_reload(manager: socket.socket) -> None:
    """A reload tells when it began, on the manager's clock."""
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier(manager).reloading()
    first, second = heard(manager)
    assert first == "RELOADING=1"
    began = int(second.removeprefix("MONOTONIC_USEC="))
    assert before <= began <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_hostile_status(manager: socket.socket) -> None:
    """A file's name in the status can't tell the manager anything else."""
    notifier(manager).status("held: a\nMAINPID=1\udcff.csv")
    assert heard(manager) == ["STATUS=held: a MAINPID=1 .csv"]


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "vsock:2:1234", "/" + "x" * 200, "/\0"])
def test_nobody_listens(address: str) -> None:
    """Without a manager, or with one that is gone, the daemon goes on."""
    tell = Notifier.from_environment({"NOTIFY_SOCKET": address})
    tell.ready()
    tell.reloading()
    tell.status("")
    tell.stopping()


def test_a_manager_that_is_busy(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full socket is given up on, not waited for."""
    monkeypatch.setattr("revsyncd.adapters.systemd._PATIENCE", 0.001)
    tell = notifier(manager)
    for _ in range(int(QUEUE.read_text()) + 5):  # a few more than it takes
        tell.watchdog()
    assert heard(manager) == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    ("env", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "120000000"}, 120.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_interval(env: dict[str, str], interval: float | None) -> None:
    """A watchdog counts when it is on and meant for this process."""
    assert Notifier.from_environment(env).watchdog_interval == interval


def test_process_environment(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless told otherwise, the process's own environment counts."""
    name = manager.getsockname()
    address = name if isinstance(name, str) else "@" + name[1:].decode()
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    Notifier.from_environment().watchdog()
    assert heard(manager) == ["WATCHDOG=1"]
