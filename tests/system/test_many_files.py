"""More files, or more events, than anybody expects, and inboxes that can't be watched."""

import re
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from daemon import Daemon, Launch, lines, sent
from strict_tenant import StrictTenant
from wire import Fate, Wire

pytestmark = pytest.mark.prove

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")
MOST_MEMORY = 200_000  # kB
MANY = 20_000
FOLDERS = ("north", "east", "south", "west")


def test_the_kernels_queue_overflows(launch: Launch, tenant: StrictTenant) -> None:
    """Files whose events the kernel dropped are found all the same."""
    limit = int(QUEUE.read_text())
    if limit > 100_000:
        pytest.skip(f"{QUEUE} is {limit}: to overflow it takes too long")
    daemon = launch()
    daemon.send(signal.SIGSTOP)
    noise = daemon.site.inbox() / ".noise"
    for _ in range(limit // 2 + 1):  # the making and the removing: at least two events
        noise.touch()
        noise.unlink()
    for number in range(3):
        daemon.site.drop(f"{number}.csv", lines(f"L{number}"))
    daemon.send(signal.SIGCONT)
    for number in range(3):
        assert daemon.settled(f"{number}.csv").ending == ("done", "staged")
    assert sorted(sent(tenant)) == ["L0", "L1", "L2"]


IN_NAMESPACE = ("unshare", "--user", "--map-root-user", "sh", "-c")
ONE_WATCH = 'echo 1 > /proc/sys/user/max_inotify_watches && exec "$@"'


def test_no_watch_is_left(make: Launch, tenant: StrictTenant) -> None:
    """Of two inboxes one can be watched: the remedy is named, and the files of both are found."""
    probe = [*IN_NAMESPACE, ONE_WATCH, "sh", "true"]
    if not shutil.which("unshare") or subprocess.run(probe, check=False).returncode:
        pytest.skip("no user namespace can be made here, so watches can't be taken away")
    daemon = make({"east": {}, "west": {}})
    daemon.wrapper = (*IN_NAMESPACE, ONE_WATCH, "sh")
    daemon.expected_faults = ("service.failed",)
    daemon.start()
    assert "max_user_watches" in daemon.wait_for("service.failed", service="watcher")["hint"]
    for folder in ("east", "west"):
        daemon.site.drop("orders.csv", lines(folder), folder)
    for folder in ("east", "west"):
        assert daemon.settled("orders.csv", folder).ending == ("done", "staged")
    assert sorted(sent(tenant)) == ["east", "west"]


def drop_many(daemon: Daemon, number: int, good: int = 1) -> None:
    """So many files at once, each `good`-th with a record, the others with a header alone."""
    daemon.send(signal.SIGSTOP)
    for each in range(number):
        ids = () if each % good else (f"L{each}",)
        daemon.site.drop(f"{each:05}.csv", lines(*ids), FOLDERS[each % len(FOLDERS)])
    daemon.send(signal.SIGCONT)


def memory(daemon: Daemon) -> int:
    """The most that the process ever had, in kB."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1])


def all_settled(daemon: Daemon, tenant: StrictTenant, number: int, good: int) -> None:
    """Each has its ending and its report, and the tenant has what it should, once."""
    daemon.wait_for_endings(number)
    outcomes = [r["outcome"] for folder in FOLDERS for _, r in daemon.site.reports(folder)]
    assert outcomes.count("done") == number // good
    assert outcomes.count("failed") == number - number // good
    assert sorted(sent(tenant)) == sorted(f"L{each}" for each in range(0, number, good))
    assert [path for folder in FOLDERS for path in daemon.site.inbox(folder).iterdir()] == []
    assert memory(daemon) < MOST_MEMORY


def test_many_files_at_once(launch: Launch, tenant: StrictTenant) -> None:
    """Each is settled with its report, and the tenant has what it should."""
    daemon = launch({folder: {} for folder in FOLDERS})
    drop_many(daemon, 100, 10)
    all_settled(daemon, tenant, 100, 10)


@pytest.mark.prove_full
def test_two_thousand_files_at_once(launch: Launch, tenant: StrictTenant) -> None:
    """The same, of which most files come to nothing: what is tried is the daemon, not the tenant."""
    daemon = launch({folder: {} for folder in FOLDERS})
    drop_many(daemon, 2_000, 50)
    all_settled(daemon, tenant, 2_000, 50)


def lying(daemon: Daemon, where: str) -> Counter[tuple[str, str]]:
    """Folder and name of every file that lies in such places of a folder."""
    found = (path for f in FOLDERS for path in (daemon.site.root / f).glob(where))
    return Counter((path.parents[2].name, path.name) for path in found)


@pytest.mark.prove_full
def test_twenty_thousand_files_at_once(make: Launch, wire: Wire, tenant: StrictTenant) -> None:
    """All are claimed while the tenant is slow, and after a kill each is there still, once.

    What comes after the claim is one drop at a time, so it is tried with fewer.
    """
    expected = Counter((FOLDERS[n % len(FOLDERS)], f"{n:05}.csv") for n in range(MANY))
    wire.plan(Fate.HOLD, Fate.HOLD)  # both uploads that there may be at once
    daemon = make({folder: {} for folder in FOLDERS}).start()
    drop_many(daemon, MANY)
    daemon.wait_for_many(("drop.claimed",), MANY)
    wire.wait_met(Fate.HOLD, Fate.HOLD)
    assert lying(daemon, ".work/*/*.csv") == expected
    assert memory(daemon) < MOST_MEMORY
    daemon.kill()
    wire.let_go()
    daemon.start()
    daemon.wait_for_endings(100)
    assert memory(daemon) < MOST_MEMORY
    assert daemon.stop() == 0
    assert lying(daemon, ".work/*/*.csv") + lying(daemon, "[dfh]*/*/*.csv") == expected
    told = [report for folder in FOLDERS for _, report in daemon.site.reports(folder)]
    assert [r["reason"] for r in told].count("in_doubt") == 2  # the kill cut off their answers
    assert max(Counter(sent(tenant)).values()) == 1
