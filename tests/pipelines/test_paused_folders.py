"""What keeps a whole folder from going on is told with its remedy, and ends when it is mended."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench import TEMPLATE, Bench, bench, folder

from revsyncd import simulator
from revsyncd.adapters.check_process import ProcessChecker
from revsyncd.core.pace import Pace
from revsyncd.pipelines.overview import overview

QUICK = Pace(first=0.02, factor=1.0, most=0.02)
IDS = ["A1", "A2", "A3"]


@pytest.fixture(autouse=True)
def keep_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload leaves the bench's log in place."""
    monkeypatch.setattr("revsyncd.assemble.configure", lambda *_: None)


def with_mask(mask: str) -> simulator.Settings:
    """A tenant whose template has this date mask."""
    settings = simulator.Settings()
    templates = (
        replace(each, date_format=mask) if each.name == TEMPLATE else each
        for each in settings.templates
    )
    return replace(settings, templates=tuple(templates))


def state(it: Bench, name: str = "orders") -> dict[str, Any]:
    """What `revsyncd status` says of a folder."""
    conditions = it.instance.conditions.all()
    data = overview(it.config, it.instance.ledger, running=True, now=0.0, conditions=conditions)
    found: dict[str, Any]
    [found] = [each for each in data["folders"] if each["folder"] == name]
    return found


async def test_an_unknown_date_mask_pauses_the_folder_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not go away by itself; named once with its remedy, and a reload that has it goes on."""
    async with bench(tmp_path, monkeypatch, settings=with_mask("Q-YYYY")) as it, it.running():
        it.drop("a.csv", it.content(IDS))
        paused = await it.log.until("folder.paused", reason="folder.checks")
        assert "a.csv can't be checked" in paused["error"]
        assert "csv.date_format" in paused["hint"]
        assert state(it)["state"] == "checks_failed"
        assert not it.log.having("drop.step_failed")
        assert not it.log.having("drop.failed")
        assert not it.log.having("drop.held")
        mask = 'settle_time = "50ms"\ncsv.date_format = "DD-MON-YYYY"'
        await it.reload('settle_time = "50ms"', mask)
        await it.log.until("folder.resumed", reason="folder.checks")
        assert it.log.having("drop.checked", file="a.csv")
        assert len(it.log.having("folder.paused", reason="folder.checks")) == 1


def broken() -> ProcessChecker:
    """Checks whose process dies each time."""
    return ProcessChecker(small=0, command=("false",))


async def test_checks_that_break_down_again_and_again_pause_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first time may pass by itself; the third is told, and it is tried on until it goes well."""
    monkeypatch.setattr("revsyncd.pipelines.inbound.STEP_RETRIES", QUICK)
    async with bench(tmp_path, monkeypatch) as it, it.running():
        it.instance.files.checker = broken()
        it.drop("a.csv", it.content(IDS))
        await it.log.until("drop.step_failed", file=None)
        paused = await it.log.until("folder.paused", reason="folder.checks")
        assert "ended with exit code 1" in paused["error"]
        it.instance.files.checker = ProcessChecker()
        await it.log.until("folder.resumed", reason="folder.checks")
        await it.log.until("drop.done", file="a.csv")


async def test_the_pause_ends_with_a_drop_that_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes after it is checked then."""
    monkeypatch.setattr("revsyncd.pipelines.inbound.STEP_RETRIES", QUICK)
    async with bench(tmp_path, monkeypatch) as it, it.running():
        it.instance.files.checker = broken()
        it.drop("a.csv", it.content(IDS))
        await it.log.until("folder.paused", reason="folder.checks")
        assert (await it.ask("cancel", it.log.having("drop.claimed")[0]["drop"]))[0]
        await it.log.until("folder.resumed", reason="folder.checks")
        it.instance.files.checker = ProcessChecker()
        it.drop("b.csv", it.content(["B1"]))
        await it.log.until("drop.done", file="b.csv")


async def test_a_folder_that_is_taken_out_is_told_until_it_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the log, in the status and in its own status.txt, each with the next step."""
    monkeypatch.setattr("revsyncd.pipelines.status_files.EVERY", 0.02)
    folders = folder() + folder("others")
    async with bench(tmp_path, monkeypatch, folders=folders) as it, it.running():
        it.instance.files.checker = broken()
        it.drop("b.csv", it.content(["B1"]))
        await it.log.until("drop.claimed", file="b.csv")
        await it.reload(folder(), "")
        told = await it.log.until("folder.paused", reason="folder.not_configured")
        assert (told["folder"], told["hint"][:33]) == (
            "orders",
            "Put the section [templates.orders",
        )
        assert any("templates.orders" in line for line in it.instance.conditions.red())
        await it.daemon._status_files.refresh()
        text = (it.root / "orders" / "status.txt").read_text()
        assert "nothing that is dropped here is taken" in text
        assert "b.csv: taken; to be checked" in text
        it.instance.files.checker = ProcessChecker()
        await it.reload(folder("others"), folder() + folder("others"))
        await it.log.until("folder.resumed", reason="folder.not_configured")
        await it.log.until("drop.done", file="b.csv")
        await it.daemon._status_files.refresh()
        text = (it.root / "orders" / "status.txt").read_text()
        assert "not in the configuration" not in text


async def test_a_folder_that_was_taken_out_is_told_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one without drops says in its status.txt that nothing is taken there any more."""
    async with bench(tmp_path, monkeypatch, folders=folder() + folder("others")) as it:
        async with it.running():
            await it.daemon._status_files.refresh()
        it.config = replace(it.config, templates={"others": it.config.templates["others"]})
        async with it.running():
            await it.daemon._status_files.refresh()
            text = (it.root / "orders" / "status.txt").read_text()
            assert "have the section [templates.orders] put back" in text
            assert not it.log.having("folder.paused")
