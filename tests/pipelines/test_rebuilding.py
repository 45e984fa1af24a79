"""A ledger made anew from reports and folders, on real instances; then life goes on."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from audit import violations
from batches import Start, confirms, name_of, ready, section, status
from bench import PATIENCE, Bench, bench, folder
from drops import drop_id
from lived_tree import lived

from revsyncd.adapters.ledger import Ledger, upkeep
from revsyncd.adapters.ledger.book import FILE_NAME
from revsyncd.config import load
from revsyncd.core.drop import Drop
from revsyncd.core.errors import RevsyncdError
from revsyncd.core.part import PartState
from revsyncd.pipelines import batch_list
from revsyncd.pipelines.auditing import audit
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
            it.drop("a.csv", it.content(["1", "2"]))
            await it.log.until("upload.started")
        anew(it)
        it.tenant.world.uploads.clear()  # what the person found there was deleted
        async with it.running():
            held = await it.log.until("drop.held", file="a.csv")
            assert (await it.ask("not-arrived", held["drop"]))[0]
            await it.log.until("drop.done", file="a.csv")
        assert it.staged() == ["1", "2"]


def facts(drop: Drop) -> dict[str, Any]:
    """What a rebuild must bring back; an inode and the order in one process are not among it."""
    told = drop.to_json()
    for name in ("seq", "identity", "received_at", "settled_at", "next_step", "revision"):
        told.pop(name, None)
    return told | {
        "next_step": drop.next_step,
        "ending": (drop.reason, drop.ending and drop.ending.message),
    }


async def test_everything_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every settled drop, its parts and the problems listed are in the new ledger as they were."""
    async with lived(tmp_path, monkeypatch) as it:
        with Ledger.read(it.config.state_dir, lambda: 0.0) as ledger:
            before = all_of(ledger)
        anew(it)
        with Ledger.read(it.config.state_dir, lambda: 0.0) as ledger:
            after = all_of(ledger)
        assert after == before
        assert len(after) == 4
        lose(it)
        rebuild(it.config)
        with Ledger.read(it.config.state_dir, lambda: 0.0) as ledger:
            assert all_of(ledger) == before


def all_of(ledger: Ledger) -> dict[str, Any]:
    return {
        drop.drop: (
            facts(drop),
            [
                {**part.to_json(), "released_at": None, "accepted_at": None}
                for part in ledger.drops.parts(drop.drop)
            ],
            ledger.drops.problems(drop.drop),
        )
        for drop in ledger.drops.after(0)
    }


async def test_a_file_without_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it lies, it is held in doubt, and its content is known."""
    async with lived(tmp_path, monkeypatch) as it:
        [report] = (it.root / "orders" / "done").rglob("done.csv.report.json")
        report.unlink()
        made = anew(it)
        assert made.in_doubt == 1
        with Ledger.read(it.config.state_dir, lambda: 0.0) as ledger:
            [drop] = [d for d in ledger.drops.held() if d.file == "done.csv"]
            [part] = ledger.drops.parts(drop.drop)
            assert (part.state, part.records) == (PartState.IN_DOUBT, 2)
        async with it.running():
            held = await it.log.until("drop.held", times=2)  # the first was before
            assert held["reason"] == "in_doubt"
            assert (await it.ask("arrived", drop.drop))[0]
            await it.log.until("drop.done", file="done.csv", times=2)


async def test_filing_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report whose file is still in work is the verdict; the file follows it at the next start."""
    async with lived(tmp_path, monkeypatch) as it:
        [file] = (it.root / "orders" / "done").rglob("done.csv")
        work = it.root / "orders" / ".work" / it.report("done.csv")["drop"]
        work.mkdir()
        file.rename(work / "done.csv")
        made = anew(it)
        assert (made.states["staged"], made.in_doubt) == (1, 0)
        async with it.running():
            await it.log.until("drop.done", file="done.csv", times=2)
        assert file.exists()


async def test_a_held_file_in_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A held drop is taken into work to be sent: what its report calls not sent may have gone since."""
    async with lived(tmp_path, monkeypatch) as it:
        [file] = (it.root / "orders" / "held").rglob("held.csv")
        work = it.root / "orders" / ".work" / it.report("held.csv")["drop"]
        work.mkdir()
        file.rename(work / "held.csv")
        made = anew(it)
        assert made.in_doubt == 1
        async with it.running():
            held = await it.log.until("drop.held", file="held.csv", times=2)
            assert held["reason"] == "in_doubt"
            assert (await it.ask("reject", held["drop"]))[0]
            await it.log.until("drop.failed", file="held.csv")


async def test_partly_in_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a held drop some parts are staged and one is in doubt: that one alone is sent on a word."""
    keys = 'max_records_per_upload = 1\nparts = "sequence"'
    async with bench(tmp_path, monkeypatch, folders=folder(keys=keys)) as it:
        async with it.running():
            it.tenant.trouble.add("reset", on="/v1/upload/file", at="stored", skip=1)
            held = await settled(it, "a.csv", it.content(["1", "2"]), "drop.held")
        it.tenant.world.uploads.popitem()  # looked for and deleted
        anew(it)
        async with it.running():
            assert (await it.ask("not-arrived", held["drop"]))[0]
            await it.log.until("drop.done", file="a.csv")
        assert it.staged() == ["1", "2"]


async def test_an_unreadable_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is torn speaks for nothing, and that is told."""
    async with lived(tmp_path, monkeypatch) as it:
        [report] = (it.root / "orders" / "done").rglob("done.csv.report.json")
        report.write_bytes(report.read_bytes()[:100])
        made = anew(it)
        assert made.in_doubt == 1
        assert "done.csv.report.json: taken for no report" in made.notes[0]


# -- batches ---------------------------------------------------------------------------------------


async def test_a_confirmed_batch_is_not_confirmed_again(start: Start) -> None:
    """The list says that it is done; until then it is held, and nothing is written or told twice."""
    async with start(section()) as it:
        ready(it)
        async with it.outbound() as outbound:
            await outbound.look()
        before, told = it.delivered(), confirms(it)
        made = anew(it)
        assert made.batches == 1
        async with it.outbound() as outbound:
            await outbound.look()
            await anyio.sleep(batch_list.SURE_AFTER)
            await outbound.look()
            assert (await it.batch(5001)).state == "closed"
        assert (it.delivered(), confirms(it)) == (before, told)


async def test_a_written_batch_waits_for_a_person(start: Start) -> None:
    """Written and not told: it is not confirmed on its own, but on a person's word."""
    async with start(section("never")) as it:
        batch = ready(it)
        async with it.outbound() as outbound:
            await outbound.look()
        anew(it)
        path = it.config.path
        path.write_text(path.read_text().replace('confirm = "never"', 'confirm = "written"'))
        it.config = load(path)
        async with it.outbound() as outbound:
            await outbound.look()
            held = await it.batch(batch.id)
            assert (held.state, held.reason) == ("held", "rebuilt")
            assert confirms(it) == 0
        assert len(it.delivered()) == 1
        assert await it.while_stopped("gl-confirm", str(batch.id))
        assert status(it, batch) == "TRANSFERRED"


async def test_a_batch_of_which_nothing_is_left(start: Start) -> None:
    """The ERP may have taken its file away: it is not delivered again but on a person's word."""
    async with start(section("never")) as it:
        batch = ready(it)
        async with it.outbound() as outbound:
            await outbound.look()
        for path in it.outbox.glob("GL_*"):
            path.unlink()
        anew(it)
        later = ready(it)
        async with it.outbound() as outbound:
            await outbound.look()
            held = await it.batch(batch.id)
            assert (held.state, held.reason) == ("held", "rebuilt")
        assert it.delivered() == {}
        after = ready(it)
        async with it.outbound() as outbound:
            await outbound.look()
        assert list(it.delivered()) == [name_of(after)]
        assert later.id != after.id
        assert await it.while_stopped("gl-fetch", str(batch.id))
        assert name_of(batch) in it.delivered()


async def test_a_batch_half_out(start: Start) -> None:
    """A file that is out while its manifest is still hidden gets the manifest, and is held."""
    async with start(section("never")) as it:
        batch = ready(it)
        async with it.outbound() as outbound:
            await outbound.look()
        name = name_of(batch)
        hidden = it.outbox / f".revsyncd-gl-{batch.id}.1.manifest"
        (it.outbox / f"{name}.manifest.json").rename(hidden)
        made = anew(it)
        assert (made.batches, hidden.exists()) == (1, False)
        assert it.manifest(name)["file"] == name


# -- what the ledger before still knew ---------------------------------------------------------------


async def test_what_only_the_older_copy_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Date folders that were taken away stay known by an older copy, and a person's pause holds."""
    async with bench(tmp_path, monkeypatch) as it:
        async with it.running():
            await settled(it, "old.csv", it.content(["1"]))
            assert (await it.ask("pause", "orders"))[0]
        copy = tmp_path / "copy"
        upkeep.backup(it.config.state_dir, copy)
        [day] = (it.root / "orders" / "done").iterdir()
        day.rename(tmp_path / "archive")
        async with it.running():
            assert (await it.ask("resume", "orders"))[0]
            await settled(it, "new.csv", it.content(["2"]))
        lose(it)
        copy.rename(it.config.state_dir / FILE_NAME)
        made = rebuild(it.config)
        assert (dict(made.states), made.from_old, made.pauses) == ({"done": 2}, 1, 1)
        async with it.running():
            it.drop("again.csv", it.content(["1"]))
            assert (await it.ask("resume", "orders"))[0]
            held = await it.log.until("drop.held", file="again.csv")
            assert held["reason"] == "duplicate"
        for path in (
            tmp_path / "archive"
        ).iterdir():  # for the audit: it is not old enough to be away
            path.rename(day / path.name)


async def test_a_batch_that_a_whole_ledger_knows_as_confirmed(start: Start) -> None:
    """A rebuild of a ledger that was not lost forgets nothing: what comes next is delivered as usual."""
    async with start(section()) as it:
        batch = ready(it)
        async with it.outbound() as outbound:
            await outbound.look()
        for path in it.outbox.glob("GL_*"):
            path.unlink()
        rebuild(it.config)
        later = ready(it)
        async with it.outbound() as outbound:
            await outbound.look()
            assert (await it.batch(batch.id)).state == "confirmed"
        assert list(it.delivered()) == [name_of(later)]


async def test_stage_errors_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line in error is known again, and told as gone when it is."""
    async with bench(tmp_path, monkeypatch) as it:
        async with it.running():
            await settled(it, "a.csv", it.content(["1", "2"], End_Date="01-JAN-2025"))
            await it.log.until("stage_errors.found")
            with anyio.fail_after(PATIENCE):
                while it.report("a.csv")["stage_errors"]["open"] != 2:  # noqa: ASYNC110  (a file tells nobody)
                    await anyio.sleep(0.02)
        anew(it)
        with Ledger.read(it.config.state_dir, lambda: 0.0) as ledger:
            [drop] = ledger.drops.after(0)
            assert len(ledger.stage_errors.of_drop(drop.drop)) == 2
        it.tenant.world.delete_lines()
        async with it.running():
            await it.log.until("stage_errors.gone", count=2)


async def test_an_id_in_a_name_belongs_to_one_drop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name may hold the drop's own id, or that of what it corrects; no two drops share one."""
    async with bench(tmp_path, monkeypatch) as it:
        day = it.root / "orders" / "done" / "2026-11-24"
        day.mkdir()
        own = drop_id(7)
        names = (f"a.{own}.csv", f"b.{own}.csv", f"a.{drop_id(8)}.csv.rejects.1.csv")
        for number, name in enumerate(names):
            (day / name).write_bytes(it.content([str(number)]))
        made = rebuild(it.config)
        assert made.in_doubt == 3
        with Ledger.read(it.config.state_dir, lambda: 0.0) as ledger:
            ids = {drop.file: drop.drop for drop in ledger.drops.after(0)}
        assert ids[names[0]] == own
        assert drop_id(8) not in ids.values()


TEARS: dict[str, Callable[[Path], object]] = {
    "cut": lambda ledger: os.truncate(ledger, ledger.stat().st_size // 2),
    "emptied": lambda ledger: os.truncate(ledger, 0),
    "a page of zeros": lambda ledger: overwrite(ledger, 4096 * 4, bytes(4096)),
    "other bytes": lambda ledger: ledger.write_bytes(bytes(range(256)) * 40),
}


def overwrite(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


async def test_a_torn_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is torn, the check and the audit see it, and a rebuild knows all that was."""
    async with lived(tmp_path, monkeypatch) as it:
        with Ledger.read(it.config.state_dir, lambda: 0.0) as ledger:
            before = all_of(ledger)
        for tear in TEARS.values():
            tear(it.config.state_dir / FILE_NAME)
            assert faults(it) != []
            assert [v for v in audit(it.config).violations if v.rule.startswith("ledger.")] != []
            rebuild(it.config)
            assert faults(it) == []
            with Ledger.read(it.config.state_dir, lambda: 0.0) as ledger:
                assert all_of(ledger) == before


def faults(it: Bench) -> list[str]:
    """What the check of the ledger tells, which may be that it can't be read."""
    try:
        return upkeep.check(it.config.root, it.config.state_dir)
    except RevsyncdError as error:
        return [error.message]


async def test_a_root_that_is_not_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below an empty directory in place of the root nothing is rebuilt, and the ledger stays."""
    async with bench(tmp_path, monkeypatch) as it:
        async with it.running():
            await settled(it, "a.csv", it.content(["1"]))
        ledger = it.config.state_dir / FILE_NAME
        before = ledger.read_bytes()
        it.root.rename(tmp_path / "unmounted")
        it.root.mkdir()
        with pytest.raises(RevsyncdError) as refused:
            rebuild(it.config)
        assert "Is the root mounted" in refused.value.hint
        assert ledger.read_bytes() == before
        shutil.rmtree(it.root)
        (tmp_path / "unmounted").rename(it.root)
