"""The installed daemon brings batches to the ERP in front of a strict, independent tenant."""

import json
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from daemon import Daemon, Launch
from strict_tenant import StrictTenant


def gl(**keys: Any) -> dict[str, Any]:
    """A [gl] that looks five times a second."""
    return {"gl": {"confirm": "written", "every": "200ms", **keys}}


def outbox_of(daemon: Daemon, tenant: StrictTenant) -> Path:
    """The outbox, into which the tenant looks at every confirmation."""
    path = daemon.site.root / "outbox" / "gl"
    tenant.books.journal.outbox = str(path)
    return path


def files(outbox: Path) -> dict[str, bytes]:
    """What the ERP may load: the files with a manifest."""
    found = {}
    for path in outbox.glob("*.manifest.json"):
        file = path.with_name(path.name.removesuffix(".manifest.json"))
        found[file.name] = file.read_bytes()
    return found


def all_confirmed(tenant: StrictTenant) -> bool:
    """Whether every balanced batch was confirmed."""
    return all(b.confirmed == 1 for b in tenant.books.journal.batches.values() if b.balanced)


@pytest.mark.parametrize("tenant", ["token", "oneid"], indirect=True)
@pytest.mark.parametrize("source", ["report", "pages", "file"])
def test_each_batch_is_confirmed_once_and_only_when_it_is_out(
    make: Launch, tenant: StrictTenant, source: str
) -> None:
    """Never the unbalanced one; without credentials at the report's host; pages of at most 10,000."""
    daemon = make(top=gl(sources=[source]))
    outbox = outbox_of(daemon, tenant)
    journal = tenant.books.journal
    batches = [journal.add(lines, balanced=lines != 30) for lines in (20, 30, 20_010)]
    daemon.start()
    daemon.wait_for("gl.held", batch=str(batches[1].id), reason="unbalanced")
    assert tenant.wait_until(all_confirmed)
    daemon.wait_for("gl.confirmed", times=2)
    assert sorted(files(outbox).values()) == sorted(b.content for b in batches if b.balanced)
    assert all(name.isascii() for name in files(outbox))
    again = journal.reissue(batches[0].id, 4)
    daemon.wait_for("gl.reissued", batch=str(again.id))
    daemon.wait_for("gl.confirmed", times=3)
    assert again.content in files(outbox).values()
    assert daemon.stop() == 0


@pytest.mark.parametrize("event", ["daemon.ready", "token.renewed", "gl.written", "gl.confirmed"])
def test_killed_in_the_middle_it_goes_on(make: Launch, tenant: StrictTenant, event: str) -> None:
    """Kill -9 as soon as the log says something; the strict tenant has nothing to complain of."""
    daemon = make(top=gl())
    outbox = outbox_of(daemon, tenant)
    batches = []
    for times in (1, 2):
        # However late the last kill came: these are new, and so more than is awaited.
        batches += [tenant.books.journal.add(200) for _ in range(3)]
        daemon.start(ready=False)
        daemon.wait_for(event, times=times if event.startswith("gl.") else 1)
        daemon.kill()
    daemon.start()
    assert tenant.wait_until(all_confirmed)
    daemon.stop()
    assert sorted(files(outbox).values()) == sorted(b.content for b in batches)


def test_lost_answers_are_settled_by_the_list(make: Launch, tenant: StrictTenant) -> None:
    """Each confirmation was carried out, and none is repeated."""
    tenant.knobs.lost_confirms = 2
    daemon = make(top=gl())
    outbox_of(daemon, tenant)
    batches = [tenant.books.journal.add(4) for _ in range(3)]
    daemon.start()
    for batch in batches:
        daemon.wait_for("gl.confirmed", batch=str(batch.id))
    assert all_confirmed(tenant)


def test_an_acknowledgement_is_waited_for(make: Launch, tenant: StrictTenant) -> None:
    """Until the ERP says that it has the file, the tenant hears nothing, across a restart too."""
    daemon = make(top=gl(confirm="acknowledged"))
    outbox = outbox_of(daemon, tenant)
    batch = tenant.books.journal.add(6)
    daemon.start()
    written = daemon.wait_for("gl.written")
    daemon.kill()
    daemon.start()
    assert batch.confirmed == 0
    manifest = json.loads((outbox / f"{written['file']}.manifest.json").read_text())
    (outbox / f"{written['file']}.ack").write_text(manifest["sha256"] + "\n")
    daemon.wait_for("gl.confirmed", file=written["file"])
    assert batch.confirmed == 1


def test_an_outbox_on_another_file_system_is_refused_at_start(make: Launch) -> None:
    """With the remedy, before anything is claimed or fetched."""
    other = Path("/dev/shm")  # noqa: S108  (a file system that every Linux has)
    daemon = make(top=gl(outbox="far"))
    if not other.is_dir() or other.stat().st_dev == daemon.site.root.stat().st_dev:
        pytest.skip("there is no second file system here")
    (daemon.site.root / "far").symlink_to(other)
    daemon.start(ready=False)
    assert daemon.exit_code() == 1
    assert "another file system" in daemon.tail()
    assert "gl.outbox" in daemon.tail()
    daemon.lines.clear()  # the error is told in plain lines, not as events


IN_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
SMALL_DISK = 'mount -t tmpfs -o size=256k tmpfs "$0" && mkdir -p "$0/orders/inbox" && exec "$@"'
BOUND = 'mkdir -p "$0" && mount --bind "$0" "$0" && exec "$@"'


# The lock is kept open for writing, and what is open for writing keeps a mount from becoming read-only.
OWN_DISK = (
    'mount -t tmpfs tmpfs "$0" && mkdir -p "$0/orders/inbox" "$0/.revsyncd"'
    ' && mount -t tmpfs tmpfs "$0/.revsyncd" && exec "$@"'
)
BESIDE = ("nsenter", "--preserve-credentials", "--user", "--mount", "--target")


def in_namespace(daemon: Daemon, script: str, place: Path) -> None:
    """Run the daemon where the script has mounted something; skips where that can't be done."""
    daemon.wrapper = (*IN_NAMESPACE, script, str(place))
    probe = [*daemon.wrapper, "true"]
    if not shutil.which("unshare") or subprocess.run(probe, check=False).returncode:
        pytest.skip("no file system can be mounted in a namespace here")


def test_a_full_outbox_confirms_nothing_and_goes_on_by_itself(
    make: Launch, tenant: StrictTenant
) -> None:
    """A disk of 256 KB is full; when there is room the batch is written, then confirmed."""
    daemon = make(top=gl())
    in_namespace(daemon, SMALL_DISK, daemon.site.root)
    daemon.start()
    daemon.wait_for("token.renewed")
    # The mount is seen by the daemon alone; through it test and tenant look over its shoulder.
    seen = Path(f"/proc/{daemon.process.pid}/root{daemon.site.root}")
    tenant.books.journal.outbox = str(seen / "outbox" / "gl")
    filler = seen / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    batch = tenant.books.journal.add(1000)
    daemon.wait_for("disk.trouble")
    assert batch.confirmed == 0
    assert list((seen / "outbox" / "gl").glob("GL_*")) == []
    filler.unlink()
    daemon.wait_for("gl.confirmed")
    daemon.wait_for("disk.mended")
    assert list(files(seen / "outbox" / "gl").values()) == [batch.content]


def remount(daemon: Daemon, how: str) -> None:
    """Let the daemon's root become `ro` or `rw` while it runs."""
    place = str(daemon.site.root)
    command = ("mount", "-o", f"remount,bind,{how}", place)
    subprocess.run([*BESIDE, str(daemon.process.pid), *command], check=True)


def test_a_read_only_outbox_confirms_nothing_and_goes_on_by_itself(
    make: Launch, tenant: StrictTenant
) -> None:
    """A disk that turns read-only, as after an error; when it can be written the batch goes out."""
    daemon = make(top=gl())
    in_namespace(daemon, OWN_DISK, daemon.site.root)
    daemon.start()
    daemon.wait_for("token.renewed")
    outbox = Path(f"/proc/{daemon.process.pid}/root{daemon.site.root}") / "outbox" / "gl"
    tenant.books.journal.outbox = str(outbox)
    remount(daemon, "ro")
    batch = tenant.books.journal.add(1000)
    trouble = daemon.wait_for("disk.trouble")
    assert "Read-only file system" in trouble["error"]
    assert batch.confirmed == 0
    assert list(outbox.rglob("*GL_*")) == []
    remount(daemon, "rw")
    daemon.wait_for("gl.confirmed")
    daemon.wait_for("disk.mended")
    assert list(files(outbox).values()) == [batch.content]


def test_an_outbox_that_is_a_mount_of_the_same_disk_is_refused_too(make: Launch) -> None:
    """No rename crosses two mounts, even of one file system."""
    daemon = make(top=gl())
    in_namespace(daemon, BOUND, daemon.site.root / "outbox" / "gl")
    daemon.start(ready=False)
    assert daemon.exit_code() == 1
    assert "another mount" in daemon.tail()
    daemon.lines.clear()


def test_commands_work_beside_the_daemon(make: Launch, tenant: StrictTenant) -> None:
    """`gl list` shows what it has done, and `gl confirm` refuses what is not out."""
    daemon = make(top=gl(confirm="never"))
    outbox_of(daemon, tenant)
    batch = tenant.books.journal.add(6)
    held = tenant.books.journal.add(6, balanced=False)
    daemon.start()
    daemon.wait_for("gl.held")
    listed = daemon.command("gl", "list")
    assert listed.returncode == 0
    assert str(batch.id) in listed.stdout
    assert "held" in listed.stdout
    refused = daemon.command("gl", "confirm", str(held.id), "--reason", "because")
    assert (refused.returncode, held.confirmed) == (1, 0)
    assert "not published and verified" in refused.stderr
    done = daemon.command("gl", "confirm", str(batch.id), "--reason", "posted")
    assert (done.returncode, batch.confirmed) == (0, 1)
    assert daemon.stop(signal.SIGTERM) == 0
