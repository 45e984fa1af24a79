"""Order within a folder and between folders, and folders that stop at a failure."""

import subprocess
import sys

from daemon import Daemon, Launch, line, lines, sent, table
from strict_tenant import StrictTenant
from wire import Fate, Wire


def test_drops_are_sent_in_the_order_of_the_folder(make: Launch, tenant: StrictTenant) -> None:
    """Of two files that were there before the start, the first by arrival, or by name, goes first."""
    daemon = make({"came": {}, "named": {"order": "name"}})
    for folder in ("came", "named"):
        daemon.site.drop("b.csv", lines(f"{folder} b"), folder)
        daemon.site.pass_a_moment()
        daemon.site.drop("a.csv", lines(f"{folder} a"), folder)
    daemon.start()
    for folder in ("came", "named"):
        daemon.settled("a.csv", folder)
        daemon.settled("b.csv", folder)
    assert [each for each in sent(tenant) if "came" in each] == ["came b", "came a"]
    assert [each for each in sent(tenant) if "named" in each] == ["named a", "named b"]


def test_a_folder_waits_for_those_it_comes_after(
    wire: Wire, make: Launch, tenant: StrictTenant
) -> None:
    """While a drop of the earlier folder awaits its answer, the later folder's is checked, not sent."""
    wire.plan(Fate.HOLD)
    daemon = make({"later": {"after": ["earlier"]}, "earlier": {}})
    daemon.site.drop("earlier.csv", lines("L1"), "earlier")
    daemon.start()
    wire.wait_met(Fate.HOLD)
    daemon.site.drop("later.csv", lines("L2"), "later")
    daemon.wait_for("drop.checked", file="later.csv")
    assert sent(tenant) == ["L1"]
    wire.let_go()
    daemon.settled("later.csv", "later")
    assert sent(tenant) == ["L1", "L2"]
    starts = [event["file"] for event in daemon.seen("upload.started")]
    assert starts == ["earlier.csv", "later.csv"]


STOPPING = {"orders": {"on_failure": "stop"}, "others": {}}


def stopped(daemon: Daemon, wire: Wire, tenant: StrictTenant) -> None:
    """A drop is refused while the next one is ready to go: the folder stops, others go on."""
    tenant.knobs.refuse = "bad"
    wire.plan(Fate.HOLD)
    daemon.site.drop("1.csv", table([line("L1", comment="bad")]))
    daemon.site.drop("2.csv", lines("L2"))
    daemon.start()
    wire.wait_met(Fate.HOLD)
    daemon.wait_for("drop.checked", file="2.csv")
    wire.let_go()
    assert daemon.settled("1.csv").ending == ("failed", "refused")
    daemon.wait_for("folder.paused", folder="orders")
    daemon.site.drop("3.csv", lines("L3"), "others")
    assert daemon.settled("3.csv", "others").ending == ("done", "staged")
    assert sent(tenant) == ["L3"]


def test_a_folder_that_stops_goes_on_with_the_correction(
    wire: Wire, make: Launch, tenant: StrictTenant
) -> None:
    """After a failure later drops wait, across a restart; the correction goes first, then they go."""
    daemon = make(STOPPING)
    stopped(daemon, wire, tenant)
    assert daemon.stop() == 0
    daemon.restart()
    daemon.site.drop("1.remaining.csv", lines("L1"))
    for name in ("1.remaining.csv", "2.csv"):
        assert daemon.settled(name).ending == ("done", "staged")
    assert sent(tenant) == ["L3", "L1", "L2"]


def test_a_whole_file_is_the_correction_under_the_name_that_the_report_says(
    wire: Wire, make: Launch, tenant: StrictTenant
) -> None:
    """The same name again only waits, and does not hide what the correction is for."""
    daemon = make(STOPPING)
    stopped(daemon, wire, tenant)
    failed = daemon.wait_for("drop.failed", file="1.csv")
    assert "1.csv.rejects.csv" in daemon.site.settled(failed["drop"]).report["next_step"]
    daemon.site.drop("1.csv", lines("L4"))
    daemon.wait_for("drop.claimed", times=2, file="1.csv")
    daemon.site.drop("1.csv.rejects.csv", lines("L1"))
    for name in ("1.csv.rejects.csv", "2.csv"):
        assert daemon.settled(name).ending == ("done", "staged")
    assert sent(tenant)[:3] == ["L3", "L1", "L2"]


def test_a_folder_that_stops_goes_on_when_a_person_resumes_it(
    wire: Wire, make: Launch, tenant: StrictTenant
) -> None:
    """`revsyncd resume` lets the later drops go without a correction."""
    daemon = make(STOPPING)
    stopped(daemon, wire, tenant)
    words = ["resume", "orders", "--reason", "corrected by hand"]
    command = [sys.executable, "-m", "revsyncd", *words, "--config", str(daemon.site.config)]
    environment = daemon.whole_environment()
    subprocess.run(command, check=True, timeout=60, env=environment, capture_output=True)
    assert daemon.settled("2.csv").ending == ("done", "staged")
    assert sent(tenant) == ["L3", "L2"]
