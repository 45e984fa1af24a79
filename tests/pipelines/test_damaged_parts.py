"""A part that was prepared, and is not on disk as it was recorded when its turn comes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from bench import Bench, bench, folder

IDS = ["A1", "A2", "A3", "A4", "A5"]
PARTS = [["A1", "A2"], ["A3", "A4"], ["A5"]]
IN_PARTS = folder(keys='max_records_per_upload = 2\nparts = "sequence"')
UPLOAD = "/v1/upload/file"


def other_bytes(part: Path) -> None:
    """Of the same size."""
    part.write_bytes(part.read_bytes().replace(b"A", b"B"))


def cut_short(part: Path) -> None:
    """By one byte."""
    part.write_bytes(part.read_bytes()[:-1])


damages = pytest.mark.parametrize("damage", [other_bytes, cut_short, Path.unlink])


def written(it: Bench) -> bytes:
    """A file whose line ends are not the tenant's, so that parts are written for it."""
    return it.content(IDS).replace(b"\r\n", b"\n")


def prepared(it: Bench, drop: str, number: int) -> Path:
    """The file that was written for a part."""
    return it.root / f"orders/.work/{drop}.parts/p{number:03}.csv"


@damages
async def test_a_damaged_part_is_made_anew_while_nothing_was_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    """The dropped file is checked and cut again; the tenant is not said to be out of reach."""
    async with bench(tmp_path, monkeypatch, folders=IN_PARTS) as it, it.running():
        it.tenant.trouble.add("answer", on=UPLOAD, status=503, at="head", times=1000)
        it.drop("a.csv", written(it))
        drop = (await it.log.until("upload.started", part=1))["drop"]
        damage(prepared(it, drop, 1))
        told = len(it.log.having("tenant.unreachable"))
        it.tenant.trouble.clear()
        await it.log.until("drop.done")
        assert it.stored() == PARTS
        assert len(it.log.having("drop.checked")) == 2
        assert len(it.log.having("tenant.unreachable")) <= max(told, 1)


@damages
async def test_a_part_damaged_after_another_was_sent_is_told_and_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    """The report says what is damaged; once a person gives it up, what is missing stands beside it."""
    async with bench(tmp_path, monkeypatch, folders=IN_PARTS) as it, it.running():
        it.tenant.world.hold_staging()
        it.drop("a.csv", written(it))
        drop = (await it.log.until("upload.accepted"))["drop"]
        damage(prepared(it, drop, 2))
        it.tenant.world.release_staging()
        it.tenant.touch()
        await it.log.until("drop.held", reason="cannot_send")
        assert it.stored() == PARTS[:1]
        report = it.report("a.csv")
        assert "damaged" in report["message"]
        assert "p002" in report["message"]
        assert "a.csv.remaining.csv" in report["next_step"]
        assert (await it.ask("reject", drop))[0]
        await it.log.until("drop.failed")
        assert it.sidecar("a.csv", ".remaining.csv").count(b"\n") == 4
        assert not it.log.having("tenant.unreachable")


async def test_a_drop_whose_parts_are_damaged_each_time_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that goes on damaging what is written is told, and a person's word tries again."""
    async with bench(tmp_path, monkeypatch, folders=IN_PARTS) as it, it.running():
        planned, register = it.instance.register.plan, it.instance.register

        async def damaging(drop: str, parts: list[object], **facts: object) -> object:
            found = await planned(drop, parts, **facts)  # type: ignore[arg-type]
            cut_short(prepared(it, drop, 1))
            return found

        monkeypatch.setattr(register, "plan", damaging)
        it.drop("a.csv", written(it))
        line = await it.log.until("drop.held", reason="cannot_send")
        assert "damaged on disk 11 times" in it.report("a.csv")["message"]
        monkeypatch.setattr(register, "plan", planned)
        assert (await it.ask("send", line["drop"]))[0]
        await it.log.until("drop.done")
        assert it.stored() == PARTS
