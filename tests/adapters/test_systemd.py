import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from revsyncd.adapters.systemd import Notifier

UNIT = Path(__file__).parents[2] / "systemd" / "revsyncd@.service"
QUEUE = Path("/proc/sys/net/unix/max_dgram_qlen")


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """What the service manager listens on, in the file system or in Linux's abstract namespace."""
    name = f"{tmp_path}/notify" if request.param == "path" else f"\0{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name)
        listener.settimeout(5)
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


def verified(tmp_path: Path, unit: str) -> str:
    """What systemd says of a unit whose program this machine has."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here: the unit can't be verified on this machine")
    path = tmp_path / "revsyncd@acme.service"
    path.write_text(re.sub(r"(?m)^ExecStart=.*", "ExecStart=/bin/true", unit))
    found = subprocess.run(
        ["systemd-analyze", "verify", path], capture_output=True, text=True, check=False
    )
    ours = [line for line in found.stderr.splitlines() if "revsyncd" in line]
    return "\n".join(ours) + ("" if found.returncode == 0 else f"exit {found.returncode}")


def test_unit(tmp_path: Path) -> None:
    """The service manager has nothing to say against the unit."""
    assert verified(tmp_path, UNIT.read_text()) == ""


def test_broken_unit(tmp_path: Path) -> None:
    """And it would, if there were something."""
    assert "KillMood" in verified(tmp_path, UNIT.read_text().replace("KillMode", "KillMood"))


def test_unit_explains_itself() -> None:
    """Each setting has a reason above it, or above the block it stands in."""
    reason = False
    for line in UNIT.read_text().partition("[Service]\n")[2].partition("[Install]")[0].splitlines():
        reason = bool(line) and (reason or line.startswith("#"))
        assert reason or not line or line.startswith("ExecStart="), line


def test_unit_outwaits_the_daemon() -> None:
    """The manager waits longer than the daemon waits for its uploads by default."""
    (patience,) = re.findall(r"(?m)^TimeoutStopSec=(\d+)s$", UNIT.read_text())
    assert int(patience) > 45


def test_unit_has_one_parent() -> None:
    """Two writable places below the root would make renames between them fail."""
    assert re.findall(r"(?m)^ReadWritePaths=(.*)$", UNIT.read_text()) == ["/srv/revsync/%i"]
