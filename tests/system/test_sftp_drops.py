"""Drops by a real sftp client through a real sshd: whole, renamed, slow, stopped and killed.

A slow client writes blocks of 4096 bytes, so where a cut falls within a record is known beforehand.
"""

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import sftp_server as sftp
from cut_drops import content
from daemon import Daemon, Launch, Settled, line, sent, table
from sftp_server import SftpServer, quoted, skip_unless_sshd_can_run
from strict_tenant import StrictTenant
from wire import Fate, Wire

BLOCK = 4096  # bytes that the slow client writes at once
SIZE = 160_000  # bytes
RATE = 800  # Kbit/s: the last 40 % of such a file take it more than half a second
LOOKS = 300  # more than a slow put raises events; soon over when nothing comes
PATIENT = {"settle_time": "600ms"}  # longer than a busy machine lets a client wait between blocks
LONG_AGO, FAR_AHEAD = 1_000_000_000, 2_000_000_000  # 2001 and 2033


class Sender:
    """The ERP: its files, and how it brings them into an inbox."""

    def __init__(self, server: SftpServer, daemon: Daemon, folder: str = "orders") -> None:
        self.server = server
        self.inbox = daemon.site.inbox(folder)
        self._home = daemon.site.home / "sender"

    def file(self, data: bytes, name: str = "orders.csv") -> Path:
        """A file on the sender's own disk."""
        path = self._home / name
        path.write_bytes(data)
        return path

    def put(self, *files: Path, verb: str = "put") -> None:
        """Bring files in one session, in this order."""
        targets = (f"{quoted(file)} {quoted(self.inbox / file.name)}" for file in files)
        self.server.batch("\n".join(f"{verb} {target}" for target in targets))

    def begin(self, *files: Path, rate: int = RATE) -> list[subprocess.Popen[bytes]]:
        """Slow puts, at the same time, that have all come to 60 %."""
        slow = [self.server.start_slow_put(file, self.inbox / file.name, rate) for file in files]
        for file in files:
            size = file.stat().st_size * 6 // 10
            sftp.await_size(self.inbox / file.name, size, looks=LOOKS)
        return slow

    def put_and_die(self, *files: Path) -> None:
        """Puts whose clients are killed at 60 %."""
        lost = self.server.count(sftp.CLIENT_LOST)
        for client in self.begin(*files):
            sftp.kill(client)
        assert self.server.wait_for_log(sftp.CLIENT_LOST, lost + len(files))

    def put_and_stop(self, file: Path, rate: int = RATE) -> subprocess.Popen[bytes]:
        """A put whose client stands still from 60 % on."""
        [client] = self.begin(file, rate=rate)
        os.killpg(client.pid, signal.SIGSTOP)
        return client

    def go_on(self, client: subprocess.Popen[bytes]) -> None:
        """Let a client that stands still come to its end, which it reports as a success."""
        os.killpg(client.pid, signal.SIGCONT)
        assert client.wait(60) == 0

    def marker(self, file: Path) -> Path:
        """The marker that a sender writes for this file."""
        return self.file(b"", f"{file.name}.ok")

    def manifest(self, file: Path) -> Path:
        """The manifest that a sender writes for this file."""
        data = file.read_bytes()
        said = {"records": data.count(b"\r\n") - 1, "sha256": hashlib.sha256(data).hexdigest()}
        return self.file(json.dumps(said).encode(), f"{file.name}.manifest.json")


@pytest.fixture(scope="module")
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    """One sshd for all of these tests: it keeps nothing from one to the next."""
    sshd = skip_unless_sshd_can_run()
    with SftpServer(sshd, tmp_path_factory.mktemp("sshd")) as server:
        yield server


def bodies(tenant: StrictTenant) -> list[bytes]:
    """What the tenant stored, in order of arrival."""
    return [stored.body for stored in tenant.stored]


def is_beginning(path: Path, whole: bytes) -> bool:
    """Whether a file holds at least 60 % of the whole, but not all of it."""
    cut = path.read_bytes()
    return whole.startswith(cut) and len(whole) * 6 // 10 <= len(cut) < len(whole)


def arrived_whole(ended: Settled, data: bytes) -> None:
    """The drop is done, and its bytes are in `done/`."""
    assert ended.ending == ("done", "staged")
    assert ended.path.read_bytes() == data


# -- clients that come to their end ------------------------------------------------------------------


def test_a_put_arrives_once_and_whole_whatever_its_time(
    launch: Launch, tenant: StrictTenant, sftp_server: SftpServer
) -> None:
    """A put, and `put -p` of files from 2001 and 2033, go alike; where ages must settle, none is one."""
    daemon = launch({"orders": {}, "patient": {"settle_time": "10m"}})
    sender, patient = (Sender(sftp_server, daemon, folder) for folder in ("orders", "patient"))
    times = {"now.csv": None, "old.csv": LONG_AGO, "new.csv": FAR_AHEAD}
    files = {name: sender.file(table([line(f"of {name}")]), name) for name in times}
    whole = [file.read_bytes() for file in files.values()]
    for name, age in times.items():
        if age is not None:
            os.utime(files[name], (age, age))
    patient.put(files["old.csv"], verb="put -p")
    for name, file in files.items():
        sender.put(file, verb="put -p" if times[name] else "put")
        ended = daemon.settled(name)
        arrived_whole(ended, file.read_bytes())
        assert times[name] in (None, ended.path.stat().st_mtime)
    assert bodies(tenant) == whole
    assert {event["folder"] for event in daemon.seen("drop.claimed")} == {"orders"}
    assert (patient.inbox / "old.csv").stat().st_mtime == LONG_AGO


def test_a_put_under_another_name_and_a_rename_arrive_once(
    launch: Launch, tenant: StrictTenant, sftp_server: SftpServer
) -> None:
    """Both kinds of rename; the temporary name, which `exclude` covers, is no drop at any time."""
    daemon = launch()
    sender = Sender(sftp_server, daemon)
    sender.put(sender.file(table([line("L1")]), "later.csv.part"))
    files = {name: content(60_000, size) for name, size in (("a.csv", 128), ("b.csv", 256))}
    for plain, (name, data) in zip((False, True), files.items(), strict=True):
        temporary, final = sender.inbox / f"{name}.part", sender.inbox / name
        sftp_server.put_then_rename(sender.file(data), temporary, final, plain=plain)
        arrived_whole(daemon.settled(name), data)
    assert [event["file"] for event in daemon.seen("drop.seen")] == list(files)
    assert bodies(tenant) == list(files.values())
    assert [path.name for path in sender.inbox.iterdir()] == ["later.csv.part"]


def test_a_put_slower_than_the_settle_time_is_taken_at_its_end(
    launch: Launch, tenant: StrictTenant, sftp_server: SftpServer
) -> None:
    """It takes three times the settle time and more; it is claimed once, with all of its bytes."""
    daemon = launch({"orders": PATIENT})
    sender = Sender(sftp_server, daemon)
    file = sender.file(content(200_000, 128))
    client = sftp_server.start_slow_put(file, sender.inbox / file.name, RATE)
    assert client.wait(60) == 0
    ended = daemon.settled("orders.csv")
    arrived_whole(ended, file.read_bytes())
    assert [event["size"] for event in daemon.seen("drop.claimed")] == [file.stat().st_size]
    assert bodies(tenant) == [file.read_bytes()]


# -- clients that are killed -------------------------------------------------------------------------

CUTS = {
    "in-the-last-cell.csv": content(SIZE, 128, into=78),
    "in-the-third-cell.csv": content(SIZE, 128, into=20),
    "behind-a-line-end-in-quotes.csv": content(SIZE, 2048, into=1024, lines_of=64),
}


def test_settling_holds_a_file_that_was_cut_in_a_record(
    launch: Launch, tenant: StrictTenant, sftp_server: SftpServer
) -> None:
    """Nothing of it is sent, as often as its client is killed; put again whole it goes through."""
    daemon = launch({"orders": PATIENT})
    sender = Sender(sftp_server, daemon)
    files = [sender.file(data, name) for name, data in CUTS.items()]
    sender.put_and_die(*files)
    for file in files:
        held = daemon.settled(file.name)
        assert held.ending == ("held", "incomplete")
        assert is_beginning(held.path, file.read_bytes())
    assert tenant.stored == []
    sender.put(*files)
    for file in files:
        arrived_whole(daemon.settled(file.name), file.read_bytes())
    assert sorted(bodies(tenant)) == sorted(CUTS.values())
    sender.put(files[0])
    again = daemon.settled(files[0].name)
    assert again.ending == ("held", "duplicate")
    assert again.path.name == f"{files[0].stem}.{again.drop}.csv"
    assert len(tenant.stored) == len(files)


def test_without_its_marker_a_cut_file_waits_and_can_be_completed(
    launch: Launch, tenant: StrictTenant, sftp_server: SftpServer
) -> None:
    """Cut exactly behind a record it stays in the inbox; `reput` appends the rest, and it goes whole."""
    daemon = launch({"orders": {"ready": "marker"}, "others": {}})
    sender = Sender(sftp_server, daemon)
    file = sender.file(content(SIZE, 128))
    sender.put_and_die(file)
    daemon.site.drop("other.csv", table([line("of others")]), "others")
    daemon.settled("other.csv", "others")
    assert is_beginning(sender.inbox / "orders.csv", file.read_bytes())
    assert sent(tenant) == ["of others"]
    sender.put(file, verb="reput")
    sender.put(sender.marker(file))
    ended = daemon.settled("orders.csv")
    arrived_whole(ended, file.read_bytes())
    assert ended.sidecar(".ok").exists()
    assert bodies(tenant)[1:] == [file.read_bytes()]


def test_a_marker_that_came_before_its_file_is_none(
    launch: Launch, tenant: StrictTenant, sftp_server: SftpServer
) -> None:
    """The marker first, then a put that dies: held when the time is over; in the right order it goes."""
    daemon = launch({"orders": {"ready": "marker", "marker_timeout": "1s"}})
    sender = Sender(sftp_server, daemon)
    file = sender.file(content(SIZE, 128))
    marker = sender.marker(file)
    sender.put(marker)
    sender.put_and_die(file)
    held = daemon.settled("orders.csv")
    assert held.ending == ("held", "incomplete")
    assert is_beginning(held.path, file.read_bytes())
    assert held.sidecar(".ok").exists()
    assert tenant.stored == []
    sender.put(file, marker)
    arrived_whole(daemon.settled("orders.csv"), file.read_bytes())
    assert bodies(tenant) == [file.read_bytes()]


def test_a_manifest_shows_every_cut(
    launch: Launch, tenant: StrictTenant, sftp_server: SftpServer
) -> None:
    """Cut files wait for it; a sender that writes it all the same betrays even a cut behind a record."""
    endings = {"between.csv": ("failed", "invalid"), "within.csv": ("held", "incomplete")}
    daemon = launch({"orders": {"ready": "manifest"}, "others": {}})
    sender = Sender(sftp_server, daemon)
    contents = [content(SIZE, 128), content(SIZE, 128, into=78)]
    files = [sender.file(data, name) for name, data in zip(endings, contents, strict=True)]
    manifests = [sender.manifest(file) for file in files]
    sender.put_and_die(*files)
    daemon.site.drop("other.csv", table([line("of others")]), "others")
    daemon.settled("other.csv", "others")
    assert sorted(sender.inbox.iterdir()) == sorted(sender.inbox / name for name in endings)
    sender.put(*manifests)
    for file in files:
        refused = daemon.settled(file.name)
        assert refused.ending == endings[file.name]
        assert {"manifest.records", "manifest.sha256"} <= refused.report["checks"]["by_code"].keys()
        assert is_beginning(refused.path, file.read_bytes())
    assert sent(tenant) == ["of others"]
    sender.put(*files, *manifests)
    for file in files:
        arrived_whole(daemon.settled(file.name), file.read_bytes())
    assert sorted(bodies(tenant)[1:]) == sorted(contents)


# -- clients that stand still for longer than the settle time ----------------------------------------


def test_a_client_that_stands_still_in_a_record_is_held(
    launch: Launch, tenant: StrictTenant, sftp_server: SftpServer
) -> None:
    """It looks cut and is not sent; what the client still writes is all there in the held file."""
    daemon = launch({"orders": PATIENT})
    sender = Sender(sftp_server, daemon)
    file = sender.file(content(SIZE, 128, into=78))
    client = sender.put_and_stop(file)
    held = daemon.settled("orders.csv")
    assert held.ending == ("held", "incomplete")
    assert is_beginning(held.path, file.read_bytes())
    sender.go_on(client)
    assert held.path.read_bytes() == file.read_bytes()
    assert tenant.stored == []
    sender.put(file)
    arrived_whole(daemon.settled("orders.csv"), file.read_bytes())
    assert bodies(tenant) == [file.read_bytes()]


def test_a_claimed_file_that_goes_on_growing_settles_anew(
    launch: Launch, tenant: StrictTenant, sftp_server: SftpServer
) -> None:
    """It stood still between two records and was claimed; before its checks it grew: all of it is sent."""
    wire = Wire(tenant)  # which nobody serves yet: without a mapping nothing can be checked
    daemon = launch({"orders": PATIENT})
    sender = Sender(sftp_server, daemon)
    file = sender.file(content(SIZE, 128))
    client = sender.put_and_stop(file)
    assert daemon.wait_for("drop.claimed")["size"] < file.stat().st_size
    daemon.wait_for("tenant.unreachable")
    sender.go_on(client)
    with wire:
        arrived_whole(daemon.settled("orders.csv"), file.read_bytes())
    assert bodies(tenant) == [file.read_bytes()]


# Bytes, and of each record: more than the kernel's buffers, cells the tenant does not refuse as too long.
LARGE: Sequence[int] = (9_000_000, 1024)
FAST = 40_000  # Kbit/s


def test_an_upload_is_abandoned_when_the_client_goes_on(
    wire: Wire, launch: Launch, tenant: StrictTenant, sftp_server: SftpServer
) -> None:
    """It stood still between two records, its beginning was on the way: that never counts, all is sent."""
    wire.plan(Fate.STALL)
    daemon = launch({"orders": PATIENT})
    sender = Sender(sftp_server, daemon)
    file = sender.file(content(*LARGE))
    client = sender.put_and_stop(file, FAST)
    wire.wait_met(Fate.STALL)
    sender.go_on(client)
    wire.let_go()
    arrived_whole(daemon.settled("orders.csv"), file.read_bytes())
    assert bodies(tenant) == [file.read_bytes()]


def test_a_client_that_goes_on_after_its_beginning_was_sent_is_told(
    wire: Wire, launch: Launch, tenant: StrictTenant, sftp_server: SftpServer
) -> None:
    """It stood still between two records for too long: held, and what is missing completes the set."""
    wire.plan(Fate.HOLD)
    daemon = launch({"orders": PATIENT})
    sender = Sender(sftp_server, daemon)
    data = content(SIZE, 128)
    client = sender.put_and_stop(sender.file(data))
    wire.wait_met(Fate.HOLD)
    sender.go_on(client)
    wire.let_go()
    held = daemon.settled("orders.csv")
    assert held.ending == ("held", "incomplete")
    assert held.path.read_bytes() == data
    [beginning] = bodies(tenant)
    assert held.report["records_by_state"]["staged"] == beginning.count(b"\r\n") - 1
    sender.put(sender.file(table([]) + data.removeprefix(beginning), "rest.csv"))
    assert daemon.settled("rest.csv").ending == ("done", "staged")
    ids = [row.partition(b",")[0].decode() for row in data.splitlines()]
    assert sent(tenant) == ids[1:]
