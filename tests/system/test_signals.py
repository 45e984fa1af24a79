"""Starting, reloading and refusing to start, as the service manager and other processes see it.

Stopping is in `test_once`: what matters there is the upload that is on its way.
"""

import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

from daemon import Daemon, Launch, lines
from strict_tenant import StrictTenant


def test_sighup_brings_a_new_folder_that_works(launch: Launch, tenant: StrictTenant) -> None:
    """A folder that is added to the configuration takes drops after SIGHUP; the old one goes on."""
    daemon = launch()
    daemon.site.folders["more"] = {}
    daemon.site.prepare()
    daemon.wait_for("token.renewed")
    daemon.send(signal.SIGHUP)
    daemon.wait_for("config.reloaded")
    daemon.site.drop("new.csv", lines("L1"), "more")
    daemon.site.drop("old.csv", lines("L2"))
    assert daemon.settled("new.csv", "more").ending == ("done", "staged")
    assert daemon.settled("old.csv").ending == ("done", "staged")
    assert len(tenant.stored) == 2


def test_sighup_with_a_broken_configuration_keeps_the_old_one(
    launch: Launch, tenant: StrictTenant
) -> None:
    """The log names what is wrong with the new one, and the old one's folders still work."""
    daemon = launch()
    daemon.expected_faults = ("config.rejected",)
    daemon.site.config.write_text(daemon.site.config.read_text().replace("upload", "uplaod"))
    daemon.send(signal.SIGHUP)
    rejected = daemon.wait_for("config.rejected")
    assert "uplaod" in str(rejected["error"])
    daemon.site.drop("old.csv", lines("L1"))
    assert daemon.settled("old.csv").ending == ("done", "staged")


def test_who_asks_to_stop_during_the_start_is_heard(launch: Launch) -> None:
    """While the ledger is being opened, too: exit code 0, not the signal's."""
    daemon = launch()
    assert daemon.stop() == 0
    with closing(sqlite3.connect(daemon.site.state / "ledger.sqlite3")) as other:
        other.execute("BEGIN EXCLUSIVE")
        daemon.start(ready=False)
        daemon.wait_for("daemon.started")
        daemon.send(signal.SIGTERM)
        other.rollback()
    assert daemon.exit_code() == 0
    assert daemon.seen("daemon.stopped")


def test_a_second_instance_refuses_to_start(launch: Launch, tmp_path: Path) -> None:
    """It ends with 1 and names the process that runs; that one is not disturbed."""
    daemon = launch()
    second = Daemon(daemon.site).start(ready=False)
    assert second.exit_code() == 1
    assert str(daemon.process.pid) in second.tail()
    daemon.site.drop("orders.csv", lines("L1"))
    assert daemon.settled("orders.csv").ending == ("done", "staged")


def test_a_configuration_that_cannot_be_used_ends_with_78(make: Launch) -> None:
    """Every problem is told at once, with its key."""
    daemon = make({"orders": {"settle_time": "soon", "order": "chance"}})
    daemon.expected_faults = ("",)
    daemon.start(ready=False)
    assert daemon.exit_code() == 78
    assert "templates.orders.settle_time" in daemon.tail()
    assert "templates.orders.order" in daemon.tail()


def test_a_downgrade_is_refused(make: Launch) -> None:
    """A ledger that a newer release has written stays as it is; the last line says what to install."""
    daemon = make().start()
    assert daemon.stop() == 0
    ledger = daemon.site.state / "ledger.sqlite3"
    ours = set_schema(ledger, 1000)
    content = ledger.read_bytes()
    daemon.expected_faults = ("",)
    daemon.start(ready=False)
    assert daemon.exit_code() == 1
    assert "the ledger has schema 1000" in daemon.tail()
    assert "Install the release that wrote it, or a newer one" in daemon.tail()
    assert ledger.read_bytes() == content
    set_schema(ledger, ours)


def set_schema(ledger: Path, version: int) -> int:
    """Let a ledger say that it has this form; returns the one that it had."""
    with closing(sqlite3.connect(ledger)) as connection:
        ((before,),) = connection.execute("PRAGMA user_version").fetchall()
        connection.execute(f"PRAGMA user_version = {version}")
    return int(before)


def test_the_service_manager_is_told(make: Launch, tmp_path: Path) -> None:
    """READY after the start, RELOADING and READY around a reload, STOPPING when it is interrupted."""
    daemon = make()
    address = tmp_path / "notify"
    daemon.environment["NOTIFY_SOCKET"] = str(address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(60)
        daemon.start()
        assert manager.recv(4096).startswith(b"READY=1\nSTATUS=")
        daemon.send(signal.SIGHUP)
        assert manager.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert manager.recv(4096).startswith(b"READY=1")
        assert daemon.stop(signal.SIGINT) == 0
        daemon.wait_for("daemon.stopping", uploads=0)
        daemon.wait_for("daemon.stopped")
        assert manager.recv(4096).startswith(b"STOPPING=1")


def test_no_secret_shows_anywhere(launch: Launch, tenant: StrictTenant) -> None:
    """Neither in arguments, nor in logs, reports or the ledger, also when sign-in is refused.

    Logs and files are searched after every test of this folder; here a wrong password is the canary.
    """
    canary = "canary-Zug6&hard%to guess"
    daemon = launch()
    daemon.site.drop("orders.csv", lines("L1"))
    daemon.settled("orders.csv")
    command = Path(f"/proc/{daemon.process.pid}/cmdline").read_text()
    assert not any(secret in command for secret in daemon.site.environment().values())
    assert daemon.stop() == 0
    daemon.site.introduction["password"] = canary
    daemon.start()
    daemon.site.drop("later.csv", lines("L2"))
    daemon.wait_for("token.refused")
    daemon.wait_for("tenant.paused")
    assert daemon.stop() == 0
    text = "\n".join(daemon.lines)
    files = [path for path in daemon.site.home.rglob("*") if path.is_file()]
    for found in (canary.encode(), b"canary-Zug6"):
        assert found not in text.encode()
        assert not [path for path in files if found in path.read_bytes()]
