"""What a start finds: drops with an ending whose files did not move yet, and another tenant."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, bench, folder

from revsyncd.config import load
from revsyncd.core.drop import Drop
from revsyncd.core.errors import NoSpace, RefusedToStart
from revsyncd.core.places import new_drop_id
from revsyncd.pipelines.filing import Filing

IDS = ["A1", "A2", "A3"]


@contextmanager
def nothing_moves(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Shelves have no space: drops get their endings, and their files stay where they are."""

    async def refuse(_: Filing, drop: Drop) -> None:
        raise NoSpace(f"no space for {drop.file}")

    with monkeypatch.context() as patch:
        patch.setattr(Filing, "_shelve", refuse)
        yield


async def test_a_staged_drop_is_filed_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that ends between the tenant's word and the move leaves nothing that stops the next."""
    async with bench(tmp_path, monkeypatch) as it:
        with nothing_moves(monkeypatch):
            async with it.running():
                it.drop("a.csv", it.content(IDS))
                await it.log.until("disk.trouble")
        async with it.running():
            await it.log.until("drop.done", reason="staged")
        assert it.stored() == [IDS]


async def test_a_drop_given_up_is_filed_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for a drop in doubt that a person gave up: its parts decide nothing any more."""
    async with bench(tmp_path, monkeypatch) as it:
        it.tenant.trouble.add("reset", on="/v1/upload/file", at="stored")
        async with it.running():
            it.drop("a.csv", it.content(IDS))
            held = await it.log.until("drop.held", reason="in_doubt")
            with nothing_moves(monkeypatch):
                assert (await it.ask("reject", held["drop"]))[0]
                await it.log.until("disk.trouble")
        async with it.running():
            await it.log.until("drop.failed", reason="resolved")


async def test_a_late_answer_to_a_drop_given_up_is_only_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer between a person's word and the move goes into the report and changes no ending."""
    keys = 'status_timeout = "1s"'
    async with bench(tmp_path, monkeypatch, folders=folder(keys=keys)) as it:
        it.tenant.world.hold_staging()
        async with it.running():
            it.drop("a.csv", it.content(IDS))
            held = await it.log.until("drop.held", reason="status_timeout")
            with nothing_moves(monkeypatch):
                assert (await it.ask("reject", held["drop"]))[0]
                it.tenant.world.release_staging()
                it.tenant.touch()
                (part,) = it.instance.register.parts(held["drop"])
                while part.state != "staged":
                    await it.instance.register.changed.wait(0.05)
                    (part,) = it.instance.register.parts(held["drop"])
            await it.log.until("drop.failed", reason="resolved")
        assert not it.log.having("service.failed")
        assert it.report("a.csv")["records_by_state"]["staged"] == 3


# -- claims that were not recorded ---------------------------------------------------------------


async def test_a_claim_whose_name_is_taken_in_the_inbox_is_given_back_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of the same name came while the daemon was down: both are taken, one after the other."""
    async with bench(tmp_path, monkeypatch) as it:
        work = it.root / "orders/.work" / new_drop_id(0.0, bytes(10))
        work.mkdir()
        (work / "a.csv").write_bytes(it.content(IDS))
        it.drop("a.csv", it.content(["B1"]))
        async with it.running():
            await it.log.until("drop.done", times=2)
        assert it.stored() == [["B1"], IDS]
        assert list((it.root / "orders/.work").iterdir()) == []


# -- another tenant ------------------------------------------------------------------------------


def point_elsewhere(it: Bench) -> None:
    """Another base_url, at which nobody answers."""
    text = it.config.path.read_text()
    it.config.path.write_text(text.replace("//127.0.0.1:", "//127.0.0.2:"))
    it.config = load(it.config.path)


async def test_what_another_tenant_has_in_part_is_not_followed_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start under another base_url is refused while drops are on their way at the former one."""
    async with bench(tmp_path, monkeypatch) as it:
        it.tenant.world.hold_staging()
        async with it.running():
            it.drop("a.csv", it.content(IDS))
            await it.log.until("upload.accepted")
        point_elsewhere(it)
        with pytest.raises(RefusedToStart, match=r"a\.csv") as refused:
            async with it.running():
                pass
        assert "base_url" in refused.value.hint


async def test_what_was_not_sent_goes_where_the_configuration_says_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drop of which nothing was released is recorded for the tenant that it will be sent to."""
    details: dict[str, Any] = {"status": 500, "body": "", "times": 100}
    async with bench(tmp_path, monkeypatch) as it:
        it.tenant.trouble.add("answer", on="/v1/upload/mapping", **details)
        async with it.running():
            it.drop("a.csv", it.content(IDS))
            claimed = await it.log.until("drop.claimed")
        point_elsewhere(it)
        seen = len(it.log.having("tenant.unreachable"))
        async with it.running():
            await it.log.until("tenant.unreachable", times=seen + 1)
            drop = await it.ledger_drop(claimed["drop"])
            assert drop.tenant == it.config.tenant.base_url
