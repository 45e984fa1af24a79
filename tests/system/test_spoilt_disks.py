"""Each row of the table of the disk's troubles happens to the real daemon, and is mended."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from daemon import PATIENCE, Daemon, Launch, Settled, lines
from prove.faults_disk import DENIED, SPOILT, At, Denied, Spoilt
from prove.small_disk import NoNamespace, SmallDisks
from strict_tenant import StrictTenant
from watchfiles import watch
from wire import Fate, Wire

pytestmark = pytest.mark.prove

SMALL = {"root": "size=2m,nr_inodes=120", "state": "size=4m,nr_inodes=30"}
LATE = {"settle_time": "1h"}  # nothing is claimed before the test has spoilt what it spoils


def marked(rows: Sequence[Spoilt | Denied]) -> list[Any]:
    """The rows as parameters."""
    rare = [pytest.mark.prove_full]
    return [pytest.param(row, marks=rare if row.rare else [], id=row.name) for row in rows]


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[SmallDisks]:
    """Small disks for the root and the state directory."""
    places = {tmp_path / name: how for name, how in SMALL.items()}
    for place in places:
        place.mkdir()
    try:
        with SmallDisks(places) as disks:
            yield disks
    except NoNamespace as why:
        pytest.skip(f"{why}, so no disk can be spoilt")


@pytest.fixture
def daemon(make: Launch, disks: SmallDisks) -> Iterator[Daemon]:
    """A daemon that sees the small disks; what is on them is kept for the audit after the test."""
    daemon = make({"orders": LATE})
    daemon.wrapper = disks.wrapper
    disks.seen(daemon.site.inbox()).mkdir(parents=True)
    yield daemon
    daemon.end()
    for place in (daemon.site.root, daemon.site.state):
        disks.keep(place)


def drop(daemon: Daemon, disks: SmallDisks) -> None:
    """A file appears in the inbox that the daemon sees."""
    aside = disks.seen(daemon.site.root / "orders" / "coming")
    aside.write_bytes(lines("L1"))
    aside.rename(disks.seen(daemon.site.inbox() / "orders.csv"))


def settles(daemon: Daemon) -> None:
    """What was seen may be claimed from now on."""
    daemon.site.folders["orders"] = {}
    daemon.site.configure()
    if daemon.seen("daemon.ready"):
        daemon.send(signal.SIGHUP)


@pytest.mark.parametrize("row", marked(SPOILT))
def test_a_disk_is_spoilt_and_mended(
    row: Spoilt, wire: Wire, daemon: Daemon, disks: SmallDisks, tenant: StrictTenant
) -> None:
    """It is told; when it is mended all goes on by itself, and the tenant holds the file once."""
    if row.at is At.ANSWER:
        settles(daemon)
        wire.plan(Fate.HOLD)
    daemon.start()
    drop(daemon, disks)
    if row.at is At.ANSWER:
        wire.wait_met(Fate.HOLD)
    else:
        daemon.wait_for("drop.seen")
    mend = row.spoil(disks, daemon.site.home / row.place)
    if row.at is At.CLAIM:
        settles(daemon)
    wire.let_go()
    told = daemon.wait_for(row.told)
    assert told["hint"], told
    mend()
    daemon.wait_for("drop.done", file="orders.csv")
    assert [stored.body for stored in tenant.stored] == [lines("L1")]
    assert daemon.stop() == 0


# -- permissions ---------------------------------------------------------------------------------

DROP_RIGHTS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")


@pytest.fixture
def unprivileged(make: Launch) -> Daemon:
    """A daemon that permissions bind, also where root runs the tests."""
    daemon = make({"orders": LATE})
    if os.geteuid() == 0:
        able = (
            shutil.which("setpriv")
            and not subprocess.run(
                [*DROP_RIGHTS, "true"], check=False, capture_output=True
            ).returncode
        )
        if not able:
            pytest.skip("root can't give its rights away here, and no permission binds it")
        daemon.wrapper = DROP_RIGHTS
    return daemon.start()


@pytest.mark.parametrize("row", marked(DENIED))
def test_permissions_are_taken_away_and_given_back(
    row: Denied, unprivileged: Daemon, tenant: StrictTenant
) -> None:
    """It is told with the directory's name; given back, the file is staged, once."""
    daemon = unprivileged
    place = daemon.site.root / "orders" / row.place
    place.mkdir(exist_ok=True)
    daemon.site.drop("orders.csv", lines("L1"))
    daemon.wait_for("drop.seen")
    before = place.stat().st_mode
    place.chmod(row.mode)
    settles(daemon)
    try:
        told = daemon.wait_for(row.told)
    finally:
        place.chmod(before)
    assert str(place) in told["error"]
    assert told["hint"]
    assert daemon.settled("orders.csv").ending == ("done", "staged")
    assert len(tenant.stored) == 1


# -- fsync ---------------------------------------------------------------------------------------

INJECTED = "(INJECTED)"


def failing_fsync(nth: int, out: Path) -> tuple[str, ...]:
    """What runs a command whose N-th fsync or fdatasync, in each thread, says EIO."""
    calls = "fsync,fdatasync"
    inject = f"inject={calls}:error=EIO:when={nth}"
    return ("strace", "-D", "-f", "-qq", "-o", str(out), "-e", f"trace={calls}", "-e", inject, "--")


def strace_works(out: Path) -> bool:
    """Whether it is here and may trace."""
    words = [*failing_fsync(1, out), "true"]
    return bool(shutil.which("strace")) and not subprocess.run(words, check=False).returncode


def one_fsync_fails(daemon: Daemon, nth: int, tenant: StrictTenant) -> bool:
    """Live through it, with a second process where the first ends; False when no call was the N-th."""
    out = daemon.site.home / f"strace{nth}"
    name, content = f"orders{nth}.csv", lines(f"L{nth}")
    daemon.wrapper = failing_fsync(nth, out)
    daemon.site.drop(name, content)
    daemon.start(ready=False)
    if daemon.settled_or_ended(name):
        ended = daemon.settled(name)
    else:
        assert daemon.exit_code() == 1
        daemon.wrapper = ()
        daemon.start()
        ended = filed(daemon, name)
    assert ended.ending in (("done", "staged"), ("held", "in_doubt"))
    assert ended.path.read_bytes() == content
    at_tenant = [stored.body for stored in tenant.stored].count(content)
    assert at_tenant == 1 or (at_tenant == 0 and ended.ending[0] == "held")
    assert daemon.stop() in (0, 1)  # the N-th may have been the last one
    return INJECTED in out.read_text()


def filed(daemon: Daemon, name: str) -> Settled:
    """Await a report with its file; the line in the log may be lost with the process that filed it."""
    orders = daemon.site.root / "orders"
    until = time.monotonic() + PATIENCE
    for _ in watch(orders, rust_timeout=200, yield_on_timeout=True, debounce=1):
        for path, report in daemon.site.reports():
            if report["file"] == name and path.with_name(name).exists():
                return daemon.site.settled(report["drop"])
        assert time.monotonic() < until, daemon.tail()
    raise AssertionError("the watch ended")


# What a process may say that ends because the ledger's own fsync failed.
RIGHT = ("service.failed", "service.traceback", "drop.step_failed", "")


@pytest.mark.parametrize("nth", [2, 9])
def test_an_fsync_fails(nth: int, make: Launch, tenant: StrictTenant, tmp_path: Path) -> None:
    """The daemon tries again, or ends and the next one goes on: staged once, or held in doubt."""
    if not strace_works(tmp_path / "strace"):
        pytest.skip("strace is not here, or may not trace processes")
    daemon = make({"orders": {}})
    daemon.expected_faults = RIGHT
    assert one_fsync_fails(daemon, nth, tenant)


@pytest.mark.prove_full
def test_fsync_fails_at_every_call(make: Launch, tenant: StrictTenant, tmp_path: Path) -> None:
    """At number 1, 2, 3 … until none fails."""
    if not strace_works(tmp_path / "strace"):
        pytest.skip("strace is not here, or may not trace processes")
    daemon = make({"orders": {}})
    daemon.expected_faults = RIGHT
    nth = 1
    while one_fsync_fails(daemon, nth, tenant):
        nth += 1
    assert nth > 6
