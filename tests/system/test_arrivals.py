"""How files arrive: before the start, slowly, replaced, under hostile names, or as no files at all."""

import os
import shutil
import subprocess

import pytest
from daemon import Launch, line, lines, sent, table
from strict_tenant import StrictTenant
from wire import Fate, Wire


def test_files_from_before_the_start_are_taken(make: Launch, tenant: StrictTenant) -> None:
    """No event tells of them: the first look does."""
    daemon = make()
    daemon.site.drop("orders.csv", lines("L1"))
    daemon.start()
    assert daemon.settled("orders.csv").ending == ("done", "staged")
    assert sent(tenant) == ["L1"]


NO_INOTIFY = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"'
IN_NAMESPACE = ("unshare", "--user", "--map-root-user", "sh", "-c")


def test_files_are_found_while_the_watcher_is_broken(make: Launch, tenant: StrictTenant) -> None:
    """Where the kernel gives no inotify instance, files are found by looking, a little later."""
    probe = [*IN_NAMESPACE, NO_INOTIFY, "sh", "true"]
    if not shutil.which("unshare") or subprocess.run(probe, check=False).returncode:
        pytest.skip("no user namespace can be made here, so inotify can't be taken away")
    daemon = make()
    daemon.wrapper = (*IN_NAMESPACE, NO_INOTIFY, "sh")
    daemon.expected_faults = ("service.failed",)
    daemon.start()
    broken = daemon.wait_for("service.failed", service="watcher")
    assert "inotify" in broken["hint"]
    daemon.site.drop("orders.csv", lines("L1"))
    assert daemon.settled("orders.csv").ending == ("done", "staged")
    assert sent(tenant) == ["L1"]


def test_a_file_written_in_bursts_is_taken_whole(launch: Launch, tenant: StrictTenant) -> None:
    """While its size grows it waits; what arrives is the whole file, once."""
    daemon = launch({"orders": {"settle_time": "2s"}})  # no pause of a busy machine is as long
    content = table(line(f"L{n}") for n in range(2000))
    with (daemon.site.inbox() / "orders.csv").open("wb", buffering=0) as file:
        file.write(content[:100])
        daemon.wait_for("drop.seen")
        for start in range(100, len(content), 1000):
            file.write(content[start : start + 1000])
    ended = daemon.settled("orders.csv")
    assert ended.ending == ("done", "staged")
    assert [stored.body for stored in tenant.stored] == [content]


def test_a_file_written_to_after_it_was_claimed_is_never_sent_half(
    wire: Wire, launch: Launch, tenant: StrictTenant
) -> None:
    """A sender that goes on writing while the upload runs: that upload is abandoned, the whole is sent."""
    wire.plan(Fate.STALL)
    daemon = launch()
    content = table(line(f"L{n}", comment="c" * 2900) for n in range(3000))
    with (daemon.site.inbox() / "orders.csv").open("wb") as file:
        file.write(content)
        file.flush()
        wire.wait_met(Fate.STALL)
        file.write(lines("L-late").partition(b"\r\n")[2])
    wire.let_go()
    ended = daemon.settled("orders.csv")
    assert ended.ending == ("done", "staged")
    assert sent(tenant) == [*(f"L{n}" for n in range(3000)), "L-late"]


def test_a_file_replaced_while_it_waits_is_sent_as_it_is_then(
    launch: Launch, tenant: StrictTenant
) -> None:
    """Another file takes its name before its marker comes: the later content is sent, alone."""
    daemon = launch({"orders": {"ready": "marker"}})
    daemon.site.drop("orders.csv", lines("L1"))
    daemon.wait_for("drop.seen")
    daemon.site.drop("orders.csv", lines("L2"))
    daemon.site.drop("orders.csv.ok", b"")
    ended = daemon.settled("orders.csv")
    assert ended.path.read_bytes() == lines("L2")
    assert ended.sidecar(".ok").exists()
    assert sent(tenant) == ["L2"]


def test_the_name_of_an_earlier_file_overwrites_nothing(
    launch: Launch, tenant: StrictTenant
) -> None:
    """A later drop of the same name stands beside the earlier one, with its drop id in the name."""
    daemon = launch()
    ended = []
    for line_id in ("L1", "L2"):
        daemon.site.drop("orders.csv", lines(line_id))
        ended.append(daemon.settled("orders.csv"))
    assert [each.path.read_bytes() for each in ended] == [lines("L1"), lines("L2")]
    assert [each.path.name for each in ended] == ["orders.csv", f"orders.{ended[1].drop}.csv"]
    assert sent(tenant) == ["L1", "L2"]


HOSTILE = [
    b"new\nline.csv",
    b"quo\"te's.csv",
    b"-rf.csv",
    b"..csv",
    b"x" * 251 + b".csv",
    b"latin-\xfc\xff.csv",
    b"%00 $(reboot);&|.csv",
    "Müller €.csv".encode(),
]


def test_hostile_names_are_sent_like_any_other(make: Launch, tenant: StrictTenant) -> None:
    """Newline, quotes, leading dash, dots, 255 bytes, not UTF-8: done, bytes and name unchanged."""
    daemon = make({"orders": {"exclude": ["*.tmp"]}})
    for number, name in enumerate(HOSTILE):
        daemon.site.drop(name, lines(f"L{number}"))
    daemon.start()
    daemon.wait_for("drop.done", times=len(HOSTILE))
    assert sorted(sent(tenant)) == [f"L{number}" for number in range(len(HOSTILE))]
    [day] = (daemon.site.root / "orders" / "done").iterdir()
    bodies = {os.fsencode(path.name): path.read_bytes() for path in day.iterdir()}
    for number, name in enumerate(HOSTILE):
        # The longest name leaves no room for sidecars: it may be cut, its bytes may not.
        kept = [each for each in bodies if each[:200] == name[:200] and b".report." not in each]
        assert [bodies[each] for each in kept] == [lines(f"L{number}")]
        assert len(name) > 200 or kept == [name]
    reports = list(daemon.site.reports())
    assert {report["reason"] for _, report in reports} == {"staged"}
    assert len(reports) == len(HOSTILE)
    assert list(daemon.site.inbox().iterdir()) == []


def test_what_is_no_file_is_held_and_stops_nothing(launch: Launch, tenant: StrictTenant) -> None:
    """Links and FIFOs are held, directories stay, empty files fail, and a good file goes through."""
    daemon = launch()
    inbox = daemon.site.inbox()
    outside = daemon.site.home / "outside.csv"
    outside.write_bytes(lines("L1"))
    (inbox / "link.csv").symlink_to(outside)
    (inbox / "dangling.csv").symlink_to(inbox / "nowhere")
    os.mkfifo(inbox / "fifo.csv")
    (inbox / "directory.csv").mkdir()
    daemon.site.drop("nothing.csv", b"")
    daemon.site.drop("header.csv", lines())
    daemon.site.drop("good.csv", lines("L2"))
    assert daemon.settled("good.csv").ending == ("done", "staged")
    for name in ("link.csv", "dangling.csv", "fifo.csv"):
        assert daemon.settled(name).ending == ("held", "not_a_file")
        assert daemon.seen("drop.checked", file=name) == []
    for name in ("nothing.csv", "header.csv"):
        assert daemon.settled(name).ending == ("failed", "empty")
    assert [path.name for path in inbox.iterdir()] == ["directory.csv"]
    assert outside.read_bytes() == lines("L1")
    assert sent(tenant) == ["L2"]
