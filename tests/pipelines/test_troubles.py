"""Troubles that last or come together; one trouble of one call is a row of `prove/faults_network`."""

import errno
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, bench, folder

from revsyncd.adapters.ledger.book import Book
from revsyncd.adapters.ledger.identity import Head
from revsyncd.core.errors import NoSpace
from revsyncd.core.pace import Pace
from revsyncd.core.template import Kind

QUICK = Pace(first=0.05, factor=1.0, most=0.05)
KIND = Kind.TRANSACTION
IDS = ["A1", "A2", "A3"]


async def dropped(it: Bench, name: str = "a.csv", **cells: str) -> None:
    """A small right file."""
    it.drop(name, it.content(IDS, **cells))


async def test_second_folder_pauses_the_tenant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a second folder is forbidden too, it is the tenant's matter."""
    two = folder("orders") + folder("events", template="Event Upload")
    async with bench(tmp_path, monkeypatch, folders=two) as it:
        it.tenant.trouble.add("answer", on="/v1/upload/mapping", status=403, body="{}", times=2)
        async with it.running():
            await dropped(it)
            it.drop("e.csv", b"x\r\n1\r\n", to="events")
            await it.log.until("tenant.paused")
        assert not it.stored()


async def test_unknown_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template that the tenant does not know pauses its folder; nothing goes to failed."""
    one = folder("orders", template="No Such Template")
    async with bench(tmp_path, monkeypatch, folders=one) as it:
        async with it.running():
            await dropped(it)
            await it.log.until("folder.paused", folder="orders")
        assert next(str(path) for path in it.found("a.csv")).startswith(".work/")


@pytest.mark.parametrize("keyword", ["hold", "done"])
async def test_without_id(keyword: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload received without a request id is held as unconfirmed, or done, as configured."""
    body = '{"status": "Success", "message": "File received successfully"}'
    async with bench(tmp_path, monkeypatch, tenant=f'without_id = "{keyword}"') as it:
        it.tenant.trouble.add("answer", on="/v1/upload/file", status=200, body=body, at="stored")
        async with it.running():
            await dropped(it)
            if keyword == "hold":
                line = await it.log.until("drop.held", reason="unconfirmed")
                assert "without_id" in line["hint"]
            else:
                await it.log.until("drop.done", reason="staged")
        assert it.stored() == [IDS]


async def test_cannot_send(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drop that alone fails again and again, while other calls succeed, is held."""
    async with bench(tmp_path, monkeypatch) as it:
        it.tenant.trouble.add("reset", on="/v1/upload/file", at="head", times=1000)
        async with it.running():
            await dropped(it)
            while not it.log.having("drop.held"):
                await it.instance.tenant.stage_errors(KIND)
                await it.instance.gate.worked()
            line = await it.log.until("drop.held", reason="cannot_send")
            assert "--send" in line["hint"]
            it.tenant.trouble.clear()
            assert (await it.ask("send", line["drop"]))[0]
            await it.log.until("drop.done")
        assert it.stored() == [IDS]


async def test_refused_sign_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong credentials pause the tenant; nothing is lost, and right ones let everything go on."""
    monkeypatch.setattr("revsyncd.pipelines.tenant_gate.PROBES", QUICK)
    monkeypatch.setattr("revsyncd.adapters.token.SLOWEST", QUICK)
    async with bench(tmp_path, monkeypatch) as it:
        right = it.tenant.info["password"]
        monkeypatch.setenv("BENCH_PASSWORD", "wrong")
        async with it.running():
            await dropped(it)
            await it.log.until("tenant.paused")
            monkeypatch.setenv("BENCH_PASSWORD", right)
            await it.log.until("tenant.resumed")
            await it.log.until("drop.done")
        assert it.stored() == [IDS]


async def test_expired_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that the tenant forgot is renewed once, for all who use it."""
    async with bench(tmp_path, monkeypatch) as it, it.running():
        await dropped(it)
        await it.log.until("drop.done", file="a.csv")
        it.tenant.tokens.expire_all()
        await dropped(it, "b.csv", Doc_Num="D2")
        await it.log.until("drop.done", file="b.csv")
        assert it.tenant.world.counts.sign_ins == 2


# -- statuses that can't be had, and disks that are full -----------------------------------------


@pytest.mark.parametrize("status", [404, 500])
async def test_a_status_that_can_not_be_had(
    status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A status that is refused concerns its folder alone, and time runs out on it all the same."""
    folders = folder(keys='status_timeout = "1s"') + folder("others")
    body = '{"message": "not here"}'
    async with bench(tmp_path, monkeypatch, folders=folders) as it:
        on = "/v1/fileupload/status/10001"
        it.tenant.trouble.add("answer", on=on, status=status, body=body, times=1000)
        async with it.running():
            await dropped(it)
            await it.log.until("upload.accepted")
            it.drop("b.csv", it.content(["B1"]), to="others")
            await it.log.until("drop.done", file="b.csv")
            await it.log.until("drop.held", reason="status_timeout")
            it.tenant.trouble.clear()
            await it.log.until("drop.done", file="a.csv")
        assert not it.log.having("tenant.paused")


async def test_no_space_for_a_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full when a file is claimed is told as that, and the file is taken later."""
    mkdir, full = Path.mkdir, [True]

    def refuse(path: Path, *args: Any, **kwargs: Any) -> None:
        if path.parent.name == ".work" and full:
            raise OSError(errno.ENOSPC, "No space left on device")
        mkdir(path, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", refuse)
    async with bench(tmp_path, monkeypatch) as it, it.running():
        await dropped(it)
        await it.log.until("disk.trouble")
        full.clear()
        await it.log.until("drop.done")
        assert not it.log.having("folder.missing")


async def test_no_space_for_a_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that can't be recorded is trouble with a disk, and no failure of the drop."""
    async with bench(tmp_path, monkeypatch) as it:
        write, full = Head.write, [True]

        def refuse(head: Head, book: Book) -> None:
            if full:
                raise NoSpace("no space for the head")
            write(head, book)

        async with it.running():
            monkeypatch.setattr(Head, "write", refuse)
            await dropped(it)
            await it.log.until("disk.trouble")
            full.clear()
            await it.log.until("drop.done")
        assert not it.log.having("tenant.unreachable")
        assert it.stored() == [IDS]
