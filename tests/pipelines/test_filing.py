"""Filing that fails midway: no evidence is overwritten, and whatever is lost is told."""

import hashlib
import json
from pathlib import Path

import pytest
from bench import bench, folder, together

from revsyncd.core.errors import NoSpace
from revsyncd.pipelines.files import Files

IDS = ["A1", "A2", "A3"]
REFUSAL = '{"status": "Error", "message": "Upload file is not right"}'


async def test_a_name_that_another_drop_took_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drop whose filing failed takes another name where a later one of its name was filed since."""
    publish, refused = Files.publish, list[Path]()

    async def refuse_the_first(files: Files, path: Path, data: bytes) -> None:
        if path.name.endswith(".report.json") and not refused:
            refused.append(path)
            raise NoSpace("no space")
        await publish(files, path, data)

    monkeypatch.setattr(Files, "publish", refuse_the_first)
    async with bench(tmp_path, monkeypatch) as it:
        it.tenant.world.hold_staging()
        async with it.running():
            for times, ids in enumerate((IDS, ["B1"]), start=1):
                it.drop("a.csv", it.content(ids))
                await it.log.until("upload.accepted", times=times)
            it.tenant.world.release_staging()
            it.tenant.touch()
            await it.log.until("drop.done", times=2)
        reports = list((it.root / "orders/done").rglob("*.report.json"))
        assert len(reports) == 2
        for path in reports:
            dropped = path.with_name(path.name.removesuffix(".report.json")).read_bytes()
            assert json.loads(path.read_text())["sha256"] == hashlib.sha256(dropped).hexdigest()


async def test_a_lost_file_does_not_keep_its_report_from_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file that is gone no records can be cut; the drop is settled, and its loss is told."""
    together(monkeypatch, 2)
    keys = "max_records_per_upload = 1"
    async with bench(tmp_path, monkeypatch, folders=folder(keys=keys)) as it:
        it.tenant.world.hold_staging()
        it.tenant.trouble.add("answer", on="/v1/upload/file", status=400, body=REFUSAL, skip=1)
        async with it.running():
            it.drop("a.csv", it.content(["A1", "A2"]))
            await it.log.until("upload.refused")
            await it.log.until("upload.accepted")
            (path,) = (it.root / "orders/.work").rglob("a.csv")
            path.unlink()
            it.tenant.world.release_staging()
            it.tenant.touch()
            await it.log.until("drop.failed", reason="partly_refused")
        assert it.log.having("drop.lost")
        assert it.report("a.csv")["records_by_state"]["refused"] == 1


async def test_a_lost_file_that_comes_back_is_not_sent_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent in part stays held when its file is put back, and its folder goes on."""
    keys = 'max_records_per_upload = 1\nparts = "sequence"'
    async with bench(tmp_path, monkeypatch, folders=folder(keys=keys)) as it:
        it.tenant.world.hold_staging()
        content = it.content(["A1", "A2"])
        async with it.running():
            it.drop("a.csv", content)
            await it.log.until("upload.accepted")
            (path,) = (it.root / "orders/.work").rglob("a.csv")
            path.unlink()
            it.tenant.world.release_staging()
            it.tenant.touch()
            held = await it.log.until("drop.held", reason="unreadable")
            (it.root / held["place"] / "a.csv").write_bytes(content)
            it.drop("b.csv", it.content(["B1"]))
            await it.log.until("drop.done", file="b.csv")
            assert (await it.ledger_drop(held["drop"])).state == "held"
        assert not it.log.having("service.failed")
        assert it.stored() == [["A1"], ["B1"]]
