"""Parts sent from the dropped file, and parts that had to be written: what happens to them is the same."""

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest
from bench import Bench, bench, folder

IDS = ["A1", "A2", "A3", "A4", "A5"]
PARTS = [["A1", "A2"], ["A3", "A4"], ["A5"]]
IN_PARTS = folder(keys='max_records_per_upload = 2\nparts = "sequence"')
UPLOAD = "/v1/upload/file"

both_kinds = pytest.mark.parametrize("written", [False, True], ids=["in place", "written"])


def content(it: Bench, ids: list[str], *, written: bool) -> bytes:
    """A file as it is sent, or one with the line ends of another system."""
    return it.content(ids).replace(b"\r\n", b"\n") if written else it.content(ids)


def prepared(it: Bench, drop: str) -> list[str]:
    """The files that were written for the parts of a drop."""
    return sorted(path.name for path in (it.root / f"orders/.work/{drop}.parts").iterdir())


@both_kinds
async def test_the_tenant_gets_the_same_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, written: bool
) -> None:
    """Each body is the one whose hash the report has; a start in between changes nothing."""
    async with bench(tmp_path, monkeypatch, folders=IN_PARTS) as it:
        it.tenant.world.hold_staging()
        async with it.running():
            it.drop("a.csv", content(it, IDS, written=written))
            drop = (await it.log.until("upload.accepted"))["drop"]
            parts = it.instance.register.parts(drop)
            assert [part.in_place for part in parts] == [not written] * 3
            assert prepared(it, drop) == (["p001.csv", "p002.csv", "p003.csv"] if written else [])
        it.tenant.world.release_staging()
        it.tenant.touch()
        async with it.running():
            await it.log.until("drop.done")
        bodies = [upload.content.read_bytes() for upload in it.tenant.world.uploads.values()]
        assert bodies == [it.content(ids) for ids in PARTS]
        assert [part["sha256"] for part in it.report("a.csv")["parts"]] == [
            hashlib.sha256(body).hexdigest() for body in bodies
        ]


@both_kinds
async def test_a_part_in_doubt_is_sent_again_from_where_its_file_lies_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, written: bool
) -> None:
    """The dropped file went to held and came back meanwhile."""
    async with bench(tmp_path, monkeypatch, folders=IN_PARTS) as it, it.running():
        it.tenant.trouble.add("answer", on=UPLOAD, status=500, at="body", skip=1)
        it.drop("a.csv", content(it, IDS, written=written))
        drop = (await it.log.until("drop.held", reason="in_doubt"))["drop"]
        assert it.stored() == PARTS[:1]
        assert (await it.ask("not-arrived", drop))[0]
        await it.log.until("drop.done", drop=drop)
        assert it.stored() == PARTS


@both_kinds
async def test_a_file_that_changes_before_anything_was_sent_is_checked_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, written: bool
) -> None:
    """Nothing of its former content reaches the tenant."""
    async with bench(tmp_path, monkeypatch, folders=IN_PARTS) as it, it.running():
        it.tenant.trouble.add("answer", on=UPLOAD, status=503, at="head", times=1000)
        it.drop("a.csv", content(it, ["Z1", *IDS], written=written))
        drop = (await it.log.until("upload.started", part=1))["drop"]
        path = it.root / "orders/.work" / drop / "a.csv"
        path.write_bytes(content(it, IDS, written=written))
        it.tenant.trouble.clear()
        await it.log.until("drop.done", drop=drop)
        assert it.stored() == PARTS


@both_kinds
async def test_a_file_that_changes_between_its_parts_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, written: bool
) -> None:
    """The rest is not sent, whatever it is now."""
    async with bench(tmp_path, monkeypatch, folders=IN_PARTS) as it, it.running():
        it.tenant.world.hold_staging()
        it.drop("a.csv", content(it, IDS, written=written))
        drop = (await it.log.until("upload.accepted"))["drop"]
        path = it.root / "orders/.work" / drop / "a.csv"
        path.write_bytes(content(it, [*IDS[:-1], "Z5"], written=written))
        it.tenant.world.release_staging()
        it.tenant.touch()
        await it.log.until("drop.held", reason="incomplete")
        assert it.stored() == PARTS[:1]


async def test_parts_planned_by_an_earlier_release_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ledger knows of written parts alone."""
    async with bench(tmp_path, monkeypatch, folders=IN_PARTS) as it:
        it.tenant.world.hold_staging()
        async with it.running():
            it.drop("a.csv", content(it, IDS, written=True))
            await it.log.until("upload.accepted")
        with sqlite3.connect(it.config.state_dir / "ledger.sqlite3") as ledger:
            for part, data in ledger.execute("SELECT part, data FROM parts").fetchall():
                known = {k: v for k, v in json.loads(data).items() if k not in ("head", "offset")}
                ledger.execute(
                    "UPDATE parts SET data = ? WHERE part = ?", (json.dumps(known), part)
                )
        ledger.close()
        it.tenant.world.release_staging()
        it.tenant.touch()
        async with it.running():
            await it.log.until("drop.done")
        assert it.stored() == PARTS
