"""Whose a drop is and who may read it: a daemon without rights on a host as docs/sftp.md describes it."""

import grp
import json
import os
import pwd
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import asyncssh
import pytest
from daemon import Daemon, lines, sent
from erp_clients import Script, script, skip_unless_installed
from sftp_host import INSTANCE, SftpHost
from strict_tenant import StrictTenant
from wire import Wire

FOLDERS: dict[str, dict[str, Any]] = {
    "transactions": {},
    "declared": {"ready": "manifest"},
    "events": {},
}
HOME = f"{INSTANCE}/transactions"


@pytest.fixture
def prepared(host: SftpHost, tenant: StrictTenant) -> Iterator[Daemon]:
    """A daemon, not started; `events` is the other ERP's folder."""
    with host.daemon(tenant, FOLDERS, {"events": host.states}) as daemon:
        yield daemon


@pytest.fixture
def daemon(prepared: Daemon) -> Daemon:
    return prepared.start()


@pytest.fixture
def erp(host: SftpHost, prepared: Daemon) -> Iterator[Script]:
    """A program of the ERP's, logged in."""
    with script(host.server) as script_:
        yield script_


def write(erp: Script, remote: str, data: bytes, mode: int | None = None) -> None:
    """Under another name first: however long the client takes, the drop appears whole."""
    with erp.open(f"{remote}.part") as file:
        if mode is not None:
            file.chmod(mode)
        file.write(data)
    erp.rename(f"{remote}.part", remote, plain=False)


def denied(call: Callable[[], object]) -> bool:
    with pytest.raises((asyncssh.SFTPPermissionDenied, asyncssh.SFTPNoSuchFile)):
        call()
    return True


def as_seen(daemon: Daemon, path: os.PathLike[str]) -> str:
    """A path as a client names it."""
    return f"{INSTANCE}/{os.path.relpath(path, daemon.site.root)}"


def test_an_erp_reads_what_became_of_its_drops_and_changes_none_of_it(
    host: SftpHost, daemon: Daemon, erp: Script
) -> None:
    """The file keeps owner and mode, its report has the folder's group; the other ERP sees neither."""
    write(erp, "inbox/orders.csv", lines("L1"))
    ended = daemon.settled("orders.csv", "transactions")
    assert ended.report["owner"] == ended.path.owner() == host.europe
    assert ended.path.group() == ended.sidecar(".report.json").group() == host.europe
    assert ended.path.stat().st_mode & 0o777 == 0o640
    done = as_seen(daemon, ended.path.parent)
    assert erp.read(f"{done}/orders.csv") == lines("L1")
    assert json.loads(erp.read(f"{done}/orders.csv.report.json"))["outcome"] == "done"
    assert erp.read("status.txt").startswith(b"transactions: drops that are waiting")
    assert denied(lambda: erp.ask("remove", f"{done}/orders.csv"))
    assert denied(lambda: erp.rename(f"{done}/orders.csv", "inbox/again.csv", plain=False))
    assert denied(lambda: write(erp, f"{done}/more.csv", b""))
    assert denied(lambda: erp.names(".work"))
    assert denied(lambda: erp.names("/"))
    with script(host.server, host.states) as other:
        assert other.ask("getcwd") == f"{INSTANCE}/events"
        for folder in (HOME, f"{HOME}/inbox", done):
            assert denied(partial(other.names, folder))
        write(other, "inbox/of-another.csv", lines("L2"))
    assert daemon.settled("of-another.csv", "events").report["owner"] == host.states


def test_a_private_drop_is_held_and_goes_on_when_its_owner_opens_it(
    daemon: Daemon, tenant: StrictTenant, erp: Script
) -> None:
    """The report names mode, owner and the command; the ERP can carry it out in `held/` itself."""
    write(erp, "inbox/orders.csv", lines("L1"), mode=0o600)
    held = daemon.settled("orders.csv", "transactions")
    assert held.ending == ("held", "unreadable")
    assert "mode 0600" in held.report["message"]
    assert "`chmod g+r`" in held.report["next_step"]
    erp.chmod(as_seen(daemon, held.path), 0o640)
    write(erp, "inbox/next.csv", lines("L2"))  # a nudge: the next look need not be waited for
    assert daemon.settled("orders.csv", "transactions").ending == ("done", "staged")
    daemon.settled("next.csv", "transactions")
    assert sorted(sent(tenant)) == ["L1", "L2"]
    assert not held.sidecar(".report.json").exists()


def test_a_private_manifest_holds_its_drop_until_it_can_be_read(
    daemon: Daemon, tenant: StrictTenant, erp: Script
) -> None:
    """Without it nothing says that the file is whole; mended it says so."""
    inbox = f"{INSTANCE}/declared/inbox"
    write(erp, f"{inbox}/orders.csv", lines("L1", "L2"))
    write(erp, f"{inbox}/orders.csv.manifest.json", b'{"records": 2}', mode=0o600)
    held = daemon.settled("orders.csv", "declared")
    assert held.ending == ("held", "unreadable")
    assert "its manifest" in held.report["message"]
    assert tenant.stored == []
    erp.chmod(as_seen(daemon, held.sidecar(".manifest.json")), 0o640)
    write(erp, f"{inbox}/next.csv", b"")
    assert daemon.settled("orders.csv", "declared").ending == ("done", "staged")
    assert sent(tenant) == ["L1", "L2"]


def test_a_drop_of_a_foreign_group_is_held_with_the_group_to_mend(
    host: SftpHost, daemon: Daemon, tenant: StrictTenant, erp: Script
) -> None:
    """Its mode lets the group read, so not the mode is to blame."""
    account = pwd.getpwnam(host.europe)
    foreign = grp.getgrnam(host.confined).gr_gid
    write(erp, "inbox/orders.csv.part", lines("L1"))
    erp.ask("chown", "inbox/orders.csv.part", uid=account.pw_uid, gid=foreign)
    erp.rename("inbox/orders.csv.part", "inbox/orders.csv", plain=True)
    held = daemon.settled("orders.csv", "transactions")
    assert held.ending == ("held", "unreadable")
    assert f"mode 0640, owner {host.europe}, group {host.confined}" in held.report["message"]
    assert "`chgrp`" in held.report["next_step"]
    mended = as_seen(daemon, held.path)
    erp.ask("chown", mended, uid=account.pw_uid, gid=account.pw_gid)
    write(erp, "inbox/next.csv", b"")
    assert daemon.settled("orders.csv", "transactions").ending == ("done", "staged")
    assert sent(tenant) == ["L1"]


def test_a_drop_that_turns_private_after_its_claim_is_held_too(
    host: SftpHost, tenant: StrictTenant
) -> None:
    """Clients that keep the mode set it at the end, wherever the file is by then."""
    wire = Wire(tenant)  # which nobody serves yet: without a mapping nothing can be checked
    patient = {"transactions": {"settle_time": "600ms"}}  # longer than a client waits to write
    with host.daemon(tenant, patient) as daemon, script(host.server) as erp:
        daemon.start()
        file = erp.open("inbox/orders.csv")
        file.write(lines("L1"))
        daemon.wait_for("drop.claimed")
        daemon.wait_for("tenant.unreachable")
        file.chmod(0o600)
        file.close()
        with wire:
            held = daemon.settled("orders.csv", "transactions")
        assert held.ending == ("held", "unreadable")
        assert tenant.stored == []


def test_an_inbox_with_a_sticky_bit_is_named_and_goes_on_without_it(
    host: SftpHost, daemon: Daemon, tenant: StrictTenant, erp: Script
) -> None:
    """Where the inbox is not the service's own, nobody else may take files out of it."""
    inbox = daemon.site.inbox("transactions")
    shutil.chown(inbox, user="root")
    inbox.chmod(0o3770)
    write(erp, "inbox/orders.csv", lines("L1"))
    trouble = daemon.wait_for("disk.trouble", folder="transactions")
    assert trouble["hint"].endswith(f"chmod -t {inbox}")
    write(erp, "inbox/next.csv", lines("L2"))
    daemon.wait_for("drop.seen", file="next.csv")  # another look, which meets the same
    write(erp, "inbox/third.csv", lines("L3"))
    daemon.wait_for("drop.seen", file="third.csv")
    assert len(daemon.seen("disk.trouble")) == 1
    assert daemon.seen("disk.mended") == []
    inbox.chmod(0o2770)
    for name in ("orders.csv", "next.csv", "third.csv"):
        assert daemon.settled(name, "transactions").ending == ("done", "staged")
    daemon.wait_for("disk.mended", folder="transactions")
    assert sorted(sent(tenant)) == ["L1", "L2", "L3"]


def test_readers_by_acl_read_reports_by_that_of_done_and_drops_by_that_of_the_inbox(
    host: SftpHost, prepared: Daemon, erp: Script
) -> None:
    """A moved file brings its list along: it got it where it was made. Nothing can be written."""
    skip_unless_installed("setfacl")
    host.let_read(host.states)
    daemon = prepared.start()
    write(erp, "inbox/orders.csv", lines("L1"))
    ended = daemon.settled("orders.csv", "transactions")
    file = as_seen(daemon, ended.path)
    with script(host.server, host.states) as accountant:
        assert accountant.read(file) == lines("L1")
        assert json.loads(accountant.read(f"{file}.report.json"))["outcome"] == "done"
        assert accountant.names(HOME)
        assert denied(lambda: accountant.names(f"{HOME}/inbox"))
        assert denied(lambda: accountant.ask("remove", file))
