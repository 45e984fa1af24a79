"""A ledger made anew from reports and folders, on real instances; then life goes on."""

from pathlib import Path
from typing import Any

import pytest
from audit import violations
from bench import Bench, bench, folder

from revsyncd.adapters.ledger.book import FILE_NAME
from revsyncd.pipelines.rebuilding import Rebuilt, rebuild


def lose(it: Bench) -> None:
    """Let the ledger be gone, logs and all."""
    for path in it.config.state_dir.glob(f"{FILE_NAME}*"):
        path.unlink()


def anew(it: Bench) -> Rebuilt:
    """The ledger is lost and rebuilt."""
    lose(it)
    return rebuild(it.config)


async def settled(it: Bench, name: str, content: bytes, event: str = "drop.done") -> dict[str, Any]:
    """Drop a file and await its ending."""
    it.drop(name, content)
    return await it.log.until(event, file=name)


async def test_done_is_known_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was staged is recognised by its bytes and by its parts; new content goes through."""
    async with bench(tmp_path, monkeypatch) as it:
        async with it.running():
            await settled(it, "a.csv", it.content(["1", "2"]))
            before = it.report("a.csv")
        made = anew(it)
        assert (dict(made.states), made.in_doubt) == ({"done": 1}, 0)
        assert violations(it.config, []) == [
            f"{before['parts'][0]['file_name']} counts as staged, and the tenant does not have it"
        ]  # for nothing was handed over as held there
        async with it.running():
            same = await settled(it, "b.csv", it.content(["1", "2"]), "drop.held")
            other = b"\xef\xbb\xbf" + it.content(["1", "2"])
            bom = await settled(it, "c.csv", other, "drop.held")
            await settled(it, "d.csv", it.content(["3"]))
        assert (same["reason"], bom["reason"]) == ("duplicate", "duplicate")
        assert it.report("b.csv")["duplicate_of"] == before["drop"]
        assert it.staged() == ["1", "2", "3"]


async def test_in_work_is_in_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was on its way is held whatever had become of it, and a person's word takes it on."""
    async with bench(tmp_path, monkeypatch) as it:
        it.tenant.world.hold_staging()
        async with it.running():
            it.drop("a.csv", it.content(["1", "2"]))
            await it.log.until("upload.accepted")
        made = anew(it)
        assert (dict(made.states), made.in_doubt) == ({"held": 1}, 1)
        it.tenant.world.release_staging()
        async with it.running():
            held = await it.log.until("drop.held", file="a.csv")
            report = it.report("a.csv")
            assert (report["reason"], report["records_by_state"]["in_doubt"]) == ("in_doubt", 2)
            assert report["drop"] in report["next_step"]
            twin = await settled(it, "again.csv", it.content(["1", "2"]), "drop.held")
            assert twin["reason"] == "duplicate"
            assert (await it.ask("arrived", held["drop"]))[0]
            await it.log.until("drop.done", file="a.csv")
            assert (await it.ask("reject", twin["drop"]))[0]
            await it.log.until("drop.failed", file="again.csv")
        assert it.staged() == ["1", "2"]


async def test_not_arrived_is_sent_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drop in doubt that never left is checked, cut and sent as if it had just come."""
    keys = "max_records_per_upload = 1"
    async with bench(tmp_path, monkeypatch, folders=folder(keys=keys)) as it:
        async with it.running():
            await it.ask("pause", "orders")
            it.drop("a.csv", it.content(["1", "2"]))
            await it.ask("resume", "orders")
            await it.log.until("upload.started")
        uploads = len(it.tenant.world.uploads)
        anew(it)
        it.tenant.world.uploads.clear()  # what the person found there was deleted
        async with it.running():
            held = await it.log.until("drop.held", file="a.csv")
            assert (await it.ask("not-arrived", held["drop"]))[0]
            await it.log.until("drop.done", file="a.csv")
        assert it.staged() == ["1", "2"]
        assert uploads <= 2
