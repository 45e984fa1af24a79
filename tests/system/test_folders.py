"""Folders on their own: markers, manifests, a folder that is missing and one whose disk is full."""

import hashlib
import json
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from daemon import Launch, lines, sent
from strict_tenant import StrictTenant


def test_a_marker_says_that_the_file_is_whole(launch: Launch, tenant: StrictTenant) -> None:
    """Without it a file waits, and is held as incomplete in the end; the marker moves along with it."""
    marked = {"ready": "marker"}
    daemon = launch({"orders": marked, "late": {**marked, "marker_timeout": "300ms"}, "others": {}})
    daemon.site.drop("orders.csv", lines("L1"))
    daemon.wait_for("drop.seen", file="orders.csv")
    daemon.site.drop("late.csv", lines("L2"), "late")
    assert daemon.settled("late.csv", "late").ending == ("held", "incomplete")
    daemon.site.drop("other.csv", lines("L3"), "others")
    daemon.settled("other.csv", "others")
    assert sent(tenant) == ["L3"]
    daemon.site.drop("orders.csv.ok", b"")
    ended = daemon.settled("orders.csv")
    assert ended.ending == ("done", "staged")
    assert ended.sidecar(".ok").exists()
    assert sent(tenant) == ["L3", "L1"]
    assert list(daemon.site.inbox().iterdir()) == []


def manifest(content: bytes, records: int, total: str) -> bytes:
    """A manifest as a sender writes it."""
    said = {"records": records, "sha256": hashlib.sha256(content).hexdigest()}
    return json.dumps({**said, "totals": {"Ext Sll Prc": total}}).encode()


def test_a_manifest_is_compared_with_the_file(launch: Launch, tenant: StrictTenant) -> None:
    """What its manifest contradicts is not sent; what it confirms is, and the manifest moves along."""
    daemon = launch({"orders": {"ready": "manifest"}})
    wrong, right = lines("L1", "L2"), lines("L3", "L4")
    daemon.site.drop("wrong.csv", wrong)
    daemon.site.drop("wrong.csv.manifest.json", manifest(wrong, 3, "21.01"))
    failed = daemon.settled("wrong.csv")
    assert failed.ending == ("failed", "invalid")
    assert failed.report["checks"]["by_code"] == {"manifest.records": 1, "manifest.totals": 1}
    daemon.site.drop("right.csv", right)
    daemon.site.drop("right.csv.manifest.json", manifest(right, 2, "21.00"))
    done = daemon.settled("right.csv")
    assert done.ending == ("done", "staged")
    assert done.sidecar(".manifest.json").exists()
    assert sent(tenant) == ["L3", "L4"]


def test_a_missing_inbox_stops_its_own_folder_only(launch: Launch, tenant: StrictTenant) -> None:
    """It is told once, the others go on, and the folder works again when the inbox is back."""
    daemon = launch({"orders": {}, "others": {}})
    daemon.site.inbox().rmdir()
    daemon.wait_for("folder.missing", folder="orders")
    daemon.site.drop("other.csv", lines("L1"), "others")
    assert daemon.settled("other.csv", "others").ending == ("done", "staged")
    daemon.site.inbox().mkdir()
    daemon.site.drop("orders.csv", lines("L2"))
    assert daemon.settled("orders.csv").ending == ("done", "staged")
    daemon.wait_for("folder.resumed", folder="orders")
    assert len(daemon.seen("folder.missing")) == 1
    assert sent(tenant) == ["L1", "L2"]


IN_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
SMALL_DISK = 'mount -t tmpfs -o size=128k tmpfs "$0" && mkdir "$0/inbox" && exec "$@"'


def fill(directory: Path) -> Path:
    """Fill a disk to the last block; returns the file to remove."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return filler


def test_a_full_disk_stops_its_own_folder_only(make: Launch, tenant: StrictTenant) -> None:
    """One folder's disk is full: the others go on, and it goes on by itself when there is room."""
    daemon = make({"orders": {}, "others": {}})
    home = daemon.site.inbox().parent
    daemon.site.inbox().rmdir()
    daemon.wrapper = (*IN_NAMESPACE, SMALL_DISK, str(home))
    probe = [*IN_NAMESPACE, SMALL_DISK, str(home), "true"]
    if not shutil.which("unshare") or subprocess.run(probe, check=False).returncode:
        pytest.skip("no file system can be mounted in a namespace here, so none can be full")
    daemon.start()
    # The mount is seen by the daemon alone; through it the test looks over its shoulder.
    seen = Path(f"/proc/{daemon.process.pid}/root{home}")
    filler = fill(seen)
    os.truncate(filler, filler.stat().st_size - 4096)
    # With these line ends it can't be sent from where it stands: its part must be written.
    (seen / "inbox" / "orders.csv").write_bytes(lines("L1").replace(b"\r\n", b"\n"))
    daemon.wait_for("disk.trouble")
    daemon.site.drop("other.csv", lines("L2"), "others")
    assert daemon.settled("other.csv", "others").ending == ("done", "staged")
    assert sent(tenant) == ["L2"]
    filler.unlink()
    daemon.wait_for("drop.done", file="orders.csv")
    daemon.wait_for("disk.mended")
    assert sent(tenant) == ["L2", "L1"]
