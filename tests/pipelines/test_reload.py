"""A configuration that changes while drops are on their way."""

import threading
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from bench import TEMPLATE, Bench, bench, folder

from revsyncd.adapters import inbox
from revsyncd.config import load
from revsyncd.core.pace import Pace
from revsyncd.core.places import FolderPlaces
from revsyncd.core.settle import Entry

QUICK = Pace(first=0.05, factor=1.0, most=0.05)
IDS = ["A1", "A2", "A3"]


async def reload(it: Bench, old: str, new: str) -> None:
    """The same, to be started as a task."""
    await it.reload(old, new)


async def test_a_ca_file_without_certificates_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only the client can find wrong with a configuration keeps the old one in force, too."""
    (tmp_path / "ca.pem").write_text("no certificate")
    async with bench(tmp_path, monkeypatch) as it, it.running():
        await reload(it, "[tenant]", f'[tenant]\nca_file = "{tmp_path}/ca.pem"')
        (rejected,) = it.log.having("config.rejected")
        assert "ca_file" in str(rejected["error"])
        it.drop("a.csv", it.content(IDS))
        await it.log.until("drop.done")


@pytest.mark.parametrize("mapping", ["tenant", "file"])
async def test_a_waiting_drop_goes_to_the_corrected_template(
    mapping: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong template_name that is corrected lets the drops go on that were claimed under it."""
    monkeypatch.setattr("revsyncd.pipelines.tenant_gate.FOLDER_TRIES", QUICK)
    keys = ""
    if mapping == "file":  # prepared without the tenant's word, and so for the wrong template
        keys = f'mapping = "{tmp_path}/mapping.toml"'
    async with bench(tmp_path, monkeypatch) as it:
        columns = "".join(
            f'[[columns]]\nlabel = "{label}"\nname = "C{n}"\ntype = "character"\n'
            for n, label in enumerate(it.labels)
        )
        (tmp_path / "mapping.toml").write_text(f'date_format = "DD-MON-YYYY"\n{columns}')
        right = it.config.path.read_text()
        it.config.path.write_text(
            right.replace(folder(), folder(keys=keys, template="No Such Template"))
        )
        it.config = load(it.config.path)
        async with it.running():
            it.drop("a.csv", it.content(IDS))
            await it.log.until("folder.paused")
        it.config.path.write_text(right.replace(folder(), folder(keys=keys)))
        it.config = load(it.config.path)
        async with it.running():
            done = await it.log.until("drop.done")
            assert (await it.ledger_drop(done["drop"])).template_name == TEMPLATE
            it.drop("b.csv", it.content(IDS))
            again = await it.log.until("drop.held", reason="duplicate")
            assert it.report("b.csv")["duplicate_of"] == done["drop"]
            assert again["file"] == "b.csv"


async def test_a_folder_that_is_removed_during_a_claim_keeps_the_drop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim under way is recorded before the new configuration is in force, and waits for its folder."""
    claim, begun, go_on = inbox.claim, threading.Event(), threading.Event()

    def slow(
        places: FolderPlaces, drop: str, entry: Entry, companion: Entry | None
    ) -> inbox.Claimed:
        begun.set()
        go_on.wait(60)
        return claim(places, drop, entry, companion)

    monkeypatch.setattr(inbox, "claim", slow)
    monkeypatch.setattr("revsyncd.assemble.configure", lambda *_: None)  # the log stays the bench's
    async with bench(tmp_path, monkeypatch, folders=folder() + folder("others")) as it:
        async with it.running():
            it.drop("a.csv", it.content(IDS))
            await anyio.to_thread.run_sync(begun.wait, 60)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(reload, it, folder(), "")
                await anyio.lowlevel.checkpoint()  # the reload asks the folder's service to end
                go_on.set()
            await it.log.until("config.reloaded")
            assert it.log.having("drop.claimed", file="a.csv")
            await reload(it, folder("others"), folder() + folder("others"))
            await it.log.until("drop.done", file="a.csv")
        assert not it.log.having("service.traceback")
