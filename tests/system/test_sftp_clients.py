"""The clients of ERPs on a host as docs/sftp.md describes it: chroot, accounts, a daemon without rights."""

import hashlib
import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import asyncssh
import pytest
import sftp_server as sftp
from cut_drops import content
from daemon import Daemon, line, sent, table
from erp_clients import Erp, Lftp, Program, Scp, Script, Sftp, script, skip_unless_installed
from sftp_host import INSTANCE, SftpHost
from strict_tenant import StrictTenant
from wire import Wire

LONG_AGO = 1_000_000_000  # 2001
SIZE, RECORD = 160_000, 1024  # bytes of a file, and of each of its records
RATE = 100_000  # bytes a second of a slow client: the last 40 % take it more than half a second
PATIENT = {"settle_time": "600ms"}  # longer than a busy machine lets a client wait between blocks
MODES: dict[str, dict[str, Any]] = {
    "transactions": PATIENT,
    "marked": {"ready": "marker"},
    "declared": {"ready": "manifest"},
}


@pytest.fixture
def daemon(host: SftpHost, tenant: StrictTenant) -> Iterator[Daemon]:
    """A daemon with one folder for each way of being complete."""
    with host.daemon(tenant, MODES) as daemon:
        yield daemon.start()


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """The ERP's own disk."""
    return tmp_path


@pytest.fixture
def erp(host: SftpHost, daemon: Daemon) -> Iterator[Script]:
    """A program of the ERP's, logged in."""
    with script(host.server) as script_:
        yield script_


def inbox(folder: str, name: str) -> str:
    """A name in a folder's inbox, as clients write it."""
    return f"{INSTANCE}/{folder}/inbox/{name}"


def written(local: Path, name: str, data: bytes) -> Path:
    path = local / name
    path.write_bytes(data)
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def manifest_of(data: bytes) -> bytes:
    said = {"records": data.count(b"\r\n") - 1, "sha256": hashlib.sha256(data).hexdigest()}
    return json.dumps(said).encode()


def write(erp: Script, remote: str, data: bytes) -> None:
    with erp.open(remote) as file:
        file.write(data)


def bodies(tenant: StrictTenant) -> list[bytes]:
    return [stored.body for stored in tenant.stored]


def arrives_whole(daemon: Daemon, name: str, folder: str, data: bytes) -> None:
    ended = daemon.settled(name, folder)
    assert ended.ending == ("done", "staged")
    assert ended.path.read_bytes() == data


# -- clients that come to their end ------------------------------------------------------------------


def test_whatever_client_brings_it_a_file_arrives_once_and_whole(
    host: SftpHost, daemon: Daemon, tenant: StrictTenant, erp: Script, local: Path
) -> None:
    """Written under its name with a time of 2001, or renamed to it in either way; by each client."""
    skip_unless_installed("scp", "lftp")
    server = host.server
    data = {f"{name}.csv": table([line(name)]) for name in ("sftp", "scp", "lftp", "asyncssh")}
    data |= {f"{name}-renamed.csv": table([line(f"{name} renamed")]) for name in ("sftp", "lftp")}
    data |= {f"{name}-rename.csv": table([line(name)]) for name in ("plain", "posix")}
    files = {name: written(local, name, bytes_) for name, bytes_ in data.items()}
    clients: list[Erp] = [Sftp(server), Scp(server), Lftp(server), erp]
    for client in clients:
        name = f"{client.name}.csv"
        client.put_preserving(files[name], f"inbox/{name}")
    for renaming in (Sftp(server), Lftp(server)):
        name = f"{renaming.name}-renamed.csv"
        renaming.put_then_rename(files[name], f"inbox/{name}.part", f"inbox/{name}")
    for plain, name in ((True, "plain-rename.csv"), (False, "posix-rename.csv")):
        erp.put(files[name], f"inbox/{name}.part")
        erp.rename(f"inbox/{name}.part", f"inbox/{name}", plain=plain)
    for name, whole in data.items():
        ended = daemon.settled(name, "transactions")
        assert ended.ending == ("done", "staged")
        assert ended.path.read_bytes() == whole
        assert ended.report["owner"] == host.europe
        kept = ended.path.stat().st_mtime == LONG_AGO
        assert kept == (name not in ("sftp-renamed.csv", "plain-rename.csv", "posix-rename.csv"))
    assert sorted(bodies(tenant)) == sorted(data.values())
    assert sorted(event["file"] for event in daemon.seen("drop.seen")) == sorted(data)


def test_files_that_come_at_once_arrive_each_by_itself(
    host: SftpHost, daemon: Daemon, tenant: StrictTenant, local: Path
) -> None:
    """Four at a time by one client, in one folder."""
    skip_unless_installed("lftp")
    data = {f"{n}.csv": content(60_000 + n, RECORD, into=n) for n in range(1, 6)}
    for name, whole in data.items():
        written(local, name, whole)
    Lftp(host.server).put_all(local, "inbox")
    for name, whole in data.items():
        arrives_whole(daemon, name, "transactions", whole)
    assert sorted(bodies(tenant)) == sorted(data.values())


def test_of_a_file_written_over_only_the_last_content_goes(
    daemon: Daemon, tenant: StrictTenant, erp: Script, local: Path
) -> None:
    """Also where size and time stay as they were; a marker that came before counts no more."""
    first, last = (written(local, "orders.csv", table([line("L1")])), table([line("L2")]))
    erp.put_preserving(first, inbox("marked", "orders.csv"))
    write(erp, inbox("marked", "early.csv"), table([line("early")]))
    write(erp, inbox("marked", "early.csv.ok"), b"")
    arrives_whole(daemon, "early.csv", "marked", table([line("early")]))
    erp.put_preserving(written(local, "orders.csv", last), inbox("marked", "orders.csv"))
    write(erp, inbox("marked", "orders.csv.ok"), b"")
    arrives_whole(daemon, "orders.csv", "marked", last)
    assert sent(tenant) == ["early", "L2"]


def test_a_file_of_the_name_of_one_in_work_is_a_drop_of_its_own(
    host: SftpHost, tenant: StrictTenant
) -> None:
    """What was claimed can't be written over any more: both are sent, each under its own drop."""
    wire = Wire(tenant)  # which nobody serves yet: without a mapping nothing can be checked
    with host.daemon(tenant, {"transactions": PATIENT}) as daemon, script(host.server) as erp:
        daemon.start()
        for number in (1, 2):
            write(erp, "inbox/orders.csv", table([line(f"L{number}")]))
            daemon.wait_for("drop.claimed", times=number)
        with wire:
            ended = [daemon.settled("orders.csv", "transactions") for _ in range(2)]
    assert [each.ending for each in ended] == [("done", "staged")] * 2
    assert len({each.path for each in ended}) == 2
    assert sent(tenant) == ["L1", "L2"]


# -- clients that are killed -------------------------------------------------------------------------


def test_of_a_client_killed_at_60_percent_nothing_is_sent(
    host: SftpHost, daemon: Daemon, tenant: StrictTenant, erp: Script, local: Path
) -> None:
    """Settled it looks cut and is held; without marker or manifest it waits, and can be completed."""
    skip_unless_installed("scp", "lftp")
    names = ("scp.csv", "lftp.csv")
    data = {name: content(SIZE, RECORD, into=300 + n) for n, name in enumerate(names)}
    files = {name: written(local, name, whole) for name, whole in data.items()}
    for folder, client in killed_in_each_mode(host, daemon, files):
        if folder == "transactions":
            held = daemon.settled(f"{client}.csv", folder)
            assert held.ending == ("held", "incomplete")
            assert data[f"{client}.csv"].startswith(held.path.read_bytes())
    for folder in ("marked", "declared"):
        assert sorted(path.name for path in daemon.site.inbox(folder).iterdir()) == sorted(names)
    assert tenant.stored == []
    with pytest.raises(CalledProcessError):  # what was taken can't be completed
        Sftp(host.server).resume(files["scp.csv"], inbox("transactions", "scp.csv"))
    Lftp(host.server).resume(files["lftp.csv"], inbox("marked", "lftp.csv"))
    write(erp, inbox("marked", "lftp.csv.ok"), b"")
    arrives_whole(daemon, "lftp.csv", "marked", data["lftp.csv"])
    Sftp(host.server).resume(files["scp.csv"], inbox("declared", "scp.csv"))
    write(erp, inbox("declared", "scp.csv.manifest.json"), manifest_of(data["scp.csv"]))
    arrives_whole(daemon, "scp.csv", "declared", data["scp.csv"])
    assert bodies(tenant) == [data["lftp.csv"], data["scp.csv"]]


def killed_in_each_mode(
    host: SftpHost, daemon: Daemon, files: dict[str, Path]
) -> list[tuple[str, str]]:
    """Kill clients at 60 % in each folder; lftp waits too long between writes to be settled at all."""
    clients: list[Program] = [Scp(host.server), Lftp(host.server)]
    killed = [(folder, client) for folder in MODES for client in clients]
    killed.remove(("transactions", clients[1]))

    def begin_and_kill(folder: str, client: Program) -> None:
        name = f"{client.name}.csv"
        process = client.begin(files[name], inbox(folder, name), RATE)
        sftp.await_size(daemon.site.inbox(folder) / name, SIZE * 6 // 10, looks=60)
        sftp.kill(process)

    with ThreadPoolExecutor(len(killed)) as at_once:
        for killing in [at_once.submit(begin_and_kill, *each) for each in killed]:
            killing.result()
    return [(folder, client.name) for folder, client in killed]


def test_a_cut_between_two_records_is_seen_by_marker_and_manifest_and_not_by_settling(
    host: SftpHost, daemon: Daemon, tenant: StrictTenant
) -> None:
    """This is what docs/sftp.md names as not seen: half of the file is posted, and called done."""
    whole = content(SIZE, RECORD)
    half = whole[: whole.index(b"\r\n", len(whole) // 2) + 2]
    for folder in ("marked", "declared", "transactions"):
        with script(host.server) as erp:
            erp.open(inbox(folder, "orders.csv")).write(half)
            erp.die()
    ended = daemon.settled("orders.csv", "transactions")
    assert ended.ending == ("done", "staged")
    assert ended.path.read_bytes() == half
    assert bodies(tenant) == [half]
    for folder in ("marked", "declared"):
        assert [path.name for path in daemon.site.inbox(folder).iterdir()] == ["orders.csv"]


# -- trouble on the server ---------------------------------------------------------------------------


def test_when_the_servers_process_dies_a_script_learns_it_and_lftp_goes_on(
    host: SftpHost, daemon: Daemon, tenant: StrictTenant, local: Path
) -> None:
    """The script's file is held as cut; lftp connects again and completes what it had begun."""
    skip_unless_installed("lftp")
    whole = content(SIZE, RECORD, into=301)
    slow = Lftp(host.server).begin(
        written(local, "lftp.csv", whole), inbox("marked", "lftp.csv"), RATE
    )
    sftp.await_size(daemon.site.inbox("marked") / "lftp.csv", SIZE * 6 // 10)
    with script(host.server) as erp:
        file = erp.open("inbox/script.csv")
        file.write(whole[: SIZE * 6 // 10])
        for process in host.sessions():
            os.kill(process, signal.SIGKILL)
        with pytest.raises((asyncssh.Error, OSError)):
            file.write(whole[SIZE * 6 // 10 :])
    assert daemon.settled("script.csv", "transactions").ending == ("held", "incomplete")
    assert slow.wait(60) == 0
    with script(host.server) as erp:
        write(erp, inbox("marked", "lftp.csv.ok"), b"")
        write(erp, "inbox/script.csv", table([line("again")]))
    arrives_whole(daemon, "lftp.csv", "marked", whole)
    arrives_whole(daemon, "script.csv", "transactions", table([line("again")]))
    assert bodies(tenant) == [whole, table([line("again")])]


def test_a_file_cut_by_a_full_disk_is_held_when_there_is_room_again(
    host: SftpHost, tenant: StrictTenant, local: Path
) -> None:
    """The client reports a failure; the beginning that it leaves is not sent."""
    data = written(local, "orders.csv", content(6_000_000, RECORD, into=301))
    with (
        host.small_disk("4m"),
        host.daemon(tenant, {"transactions": PATIENT}) as daemon,
        script(host.server) as erp,
    ):
        write(erp, "inbox/ballast.part", bytes(2_800_000))
        daemon.start()
        with pytest.raises(CalledProcessError):
            Sftp(host.server).put(data, "inbox/orders.csv")
        daemon.wait_for("disk.trouble", folder="transactions")
        erp.ask("remove", "inbox/ballast.part")
        held = daemon.settled("orders.csv", "transactions")
        assert held.ending == ("held", "incomplete")
        daemon.wait_for("disk.mended", folder="transactions")
        assert data.read_bytes().startswith(held.path.read_bytes())
        write(erp, "inbox/small.csv", table([line("L1")]))
        arrives_whole(daemon, "small.csv", "transactions", table([line("L1")]))
    assert sent(tenant) == ["L1"]
