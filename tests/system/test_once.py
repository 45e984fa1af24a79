"""Nothing is posted twice in silence: duplicates, lost answers, and kills around the last chunk."""

import shutil
import signal
import socket
from pathlib import Path

import pytest
from daemon import Daemon, Launch, line, lines, table
from strict_tenant import StrictTenant
from wire import Fate, Wire

import revsyncd

# More than the kernel's buffers take, so that an upload can be met in its middle.
BIG = table(line(f"B{n}", comment="c" * 2900) for n in range(3000))


def times_stored(tenant: StrictTenant, line_id: str) -> int:
    """How often the tenant holds the record with this id."""
    return sum(row[0] == line_id for stored in tenant.stored for row in stored.rows)


def test_the_same_content_again_is_held_as_a_duplicate(
    launch: Launch, tenant: StrictTenant
) -> None:
    """The same bytes, or the same as sent but for BOM and line ends: held, the first drop named."""
    daemon = launch()
    daemon.site.drop("orders.csv", lines("L1"))
    first = daemon.settled("orders.csv")
    again = {
        "again.csv": lines("L1"),
        "unix.csv": b"\xef\xbb\xbf" + table([line("L1")], end="\n"),
    }
    for name, content in again.items():
        daemon.site.drop(name, content)
        second = daemon.settled(name)
        assert second.ending == ("held", "duplicate")
        assert second.report["duplicate_of"] == first.drop
        assert first.drop in second.report["message"]
        assert second.path.read_bytes() == content
    assert times_stored(tenant, "L1") == 1


def test_equal_drops_in_two_folders_at_once_are_sent_once(
    make: Launch, tenant: StrictTenant
) -> None:
    """Two folders of one template get the same bytes at the same time: one is done, the other held."""
    daemon = make({"east": {}, "west": {}})
    daemon.site.drop("orders.csv", lines("L1"), "east")
    daemon.site.drop("orders.csv", lines("L1"), "west")
    daemon.start()
    endings = [daemon.settled("orders.csv", folder) for folder in ("east", "west")]
    assert sorted(each.ending for each in endings) == [("done", "staged"), ("held", "duplicate")]
    done, held = sorted(endings, key=lambda each: each.ending)
    assert held.report["duplicate_of"] == done.drop
    assert times_stored(tenant, "L1") == 1


def test_a_lost_answer_is_held_in_doubt_across_restarts(
    wire: Wire, launch: Launch, tenant: StrictTenant
) -> None:
    """The tenant has it, the answer was lost: held, with what to look for, and never sent again."""
    wire.plan(Fate.LOSE)
    daemon = launch()
    daemon.site.drop("orders.csv", lines("L1"))
    held = daemon.settled("orders.csv")
    assert held.ending == ("held", "in_doubt")
    assert tenant.stored[0].file_name in held.report["next_step"]
    for later in ("L2", "L3"):
        assert daemon.stop() == 0
        daemon.restart()
        daemon.site.drop(f"{later}.csv", lines(later))
        assert daemon.settled(f"{later}.csv").ending == ("done", "staged")
    assert [times_stored(tenant, each) for each in ("L1", "L2", "L3")] == [1, 1, 1]
    assert daemon.site.settled(held.drop).ending == ("held", "in_doubt")


# On this route a second upload is taken without a word; the other refuses a name that it knows.
KILLED = {"orders": {"upload": "file"}}


def killed_after_it_was_stored(daemon: Daemon, wire: Wire) -> None:
    """Kill -9 when the tenant has stored the body and its answer has not arrived; then start again."""
    wire.plan(Fate.HOLD)
    daemon.start()
    daemon.site.drop("orders.csv", lines("L1"))
    wire.wait_met(Fate.HOLD)
    daemon.kill()
    daemon.restart()


def test_a_kill_after_the_body_was_stored_posts_nothing_twice(
    wire: Wire, make: Launch, tenant: StrictTenant
) -> None:
    """After kill -9 and two restarts the drop is held in doubt, and the tenant holds it once."""
    daemon = make(KILLED)
    killed_after_it_was_stored(daemon, wire)
    assert daemon.settled("orders.csv").ending == ("held", "in_doubt")
    for later in ("L2", "L3"):
        daemon.kill()
        daemon.restart()
        daemon.site.drop(f"{later}.csv", lines(later))
        assert daemon.settled(f"{later}.csv").ending == ("done", "staged")
    assert [times_stored(tenant, each) for each in ("L1", "L2", "L3")] == [1, 1, 1]


COMMIT = "await register.release(upload.drop, upload.part)"
IN_MEMORY = """register._keep_part(
                    register._part(upload.drop, upload.part).become(PartState.RELEASED)
                )"""


def without_the_commit(target: Path) -> Path:
    """A copy of the package that does not commit before the last chunk; the directory to import it from."""
    source = Path(revsyncd.__file__).parent
    shutil.copytree(source, target / "revsyncd")
    sending = target / "revsyncd" / "pipelines" / "sending.py"
    text = sending.read_text()
    assert text.count(COMMIT) == 1
    sending.write_text(text.replace(COMMIT, IN_MEMORY))
    return target


def test_without_the_commit_before_the_last_chunk_the_kill_posts_twice(
    wire: Wire, make: Launch, tenant: StrictTenant, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Negative control: taken out, the same kill makes the tenant hold the content twice."""
    daemon = make(KILLED)
    daemon.package = without_the_commit(tmp_path_factory.mktemp("copy"))
    killed_after_it_was_stored(daemon, wire)
    assert daemon.settled("orders.csv").ending == ("done", "staged")
    assert times_stored(tenant, "L1") == 2


def test_what_fails_before_the_last_chunk_is_repeated_until_it_lands(
    wire: Wire, launch: Launch, tenant: StrictTenant
) -> None:
    """Cut in the middle, then killed in the middle: each time surely not posted, and sent again."""
    wire.plan(Fate.CUT, Fate.STALL)
    daemon = launch()
    daemon.site.drop("big.csv", BIG)
    wire.wait_met(Fate.CUT, Fate.STALL)
    assert tenant.stored == []
    daemon.kill()
    daemon.restart()
    ended = daemon.settled("big.csv")
    assert ended.ending == ("done", "staged")
    assert daemon.seen("upload.in_doubt") == []
    assert [stored.body for stored in tenant.stored] == [BIG]


def test_sigterm_waits_for_the_answer_after_the_last_chunk(
    wire: Wire, launch: Launch, tenant: StrictTenant
) -> None:
    """Asked to stop past the last chunk, it waits for the answer, ends with 0, and nothing is in doubt."""
    wire.plan(Fate.HOLD)
    daemon = launch()
    daemon.site.drop("orders.csv", lines("L1"))
    wire.wait_met(Fate.HOLD)
    daemon.send(signal.SIGTERM)
    daemon.wait_for("daemon.stopping", uploads=1)
    wire.let_go()
    assert daemon.exit_code() == 0
    daemon.wait_for("upload.accepted")
    daemon.wait_for("daemon.stopped")
    assert daemon.seen("upload.in_doubt") == []
    if not daemon.seen("drop.done"):
        daemon.restart()
        assert daemon.settled("orders.csv").ending == ("done", "staged")
    assert times_stored(tenant, "L1") == 1


def test_sigterm_past_the_last_chunk_asks_the_manager_for_time(
    wire: Wire, make: Launch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """So that a unit's stop time-out that is shorter than `stop_timeout` does not cut the waiting."""
    wire.plan(Fate.HOLD)
    daemon = make()
    address = str(tmp_path_factory.mktemp("manager") / "notify")
    daemon.environment["NOTIFY_SOCKET"] = address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(60)
        daemon.start()
        assert manager.recv(4096).startswith(b"READY=1")
        daemon.site.drop("orders.csv", lines("L1"))
        wire.wait_met(Fate.HOLD)
        daemon.send(signal.SIGTERM)
        assert manager.recv(4096).startswith(b"STOPPING=1")
        assert manager.recv(4096) == b"EXTEND_TIMEOUT_USEC=60000000"
        wire.let_go()
        assert daemon.exit_code() == 0


def test_sigterm_abandons_what_is_before_its_last_chunk(
    wire: Wire, launch: Launch, tenant: StrictTenant
) -> None:
    """Asked to stop before the last chunk, it ends with 0 at once; the next start sends the file."""
    wire.plan(Fate.STALL)
    daemon = launch()
    daemon.site.drop("big.csv", BIG)
    wire.wait_met(Fate.STALL)
    assert daemon.stop() == 0
    assert tenant.stored == []
    daemon.restart()
    assert daemon.settled("big.csv").ending == ("done", "staged")
    assert daemon.seen("upload.in_doubt") == []
    assert [stored.body for stored in tenant.stored] == [BIG]


def test_a_second_sigterm_interrupts_the_waiting(
    wire: Wire, launch: Launch, tenant: StrictTenant
) -> None:
    """The first waits for the answer, the second does not: the next start holds the drop in doubt."""
    wire.plan(Fate.HOLD)
    daemon = launch()
    daemon.site.drop("orders.csv", lines("L1"))
    wire.wait_met(Fate.HOLD)
    daemon.send(signal.SIGTERM)
    daemon.wait_for("daemon.stopping")
    assert daemon.stop(signal.SIGTERM) == 0
    daemon.restart()
    assert daemon.settled("orders.csv").ending == ("held", "in_doubt")
    assert times_stored(tenant, "L1") == 1
