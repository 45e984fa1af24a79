"""A new release on an old ledger: the first one's form is brought up to date, and the work goes on.

`ledger-schema-1.tar.gz` is what the first release left behind when it was killed: root and state of one
folder, with drops done, failed, held as duplicate and in doubt, one upload released and not answered,
and one drop checked that waits for its turn.
"""

import sqlite3
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from bench import Bench, bench, folder

from revsyncd.adapters.clock import SystemClock
from revsyncd.adapters.ledger import Ledger, upkeep
from revsyncd.adapters.ledger.schema import MIGRATIONS
from revsyncd.core.errors import RefusedToStart
from revsyncd.pipelines.auditing import audit

LEFT = Path(__file__).parents[1] / "data" / "ledger-schema-1.tar.gz"
KEYS = "max_records_per_upload = 2"


@asynccontextmanager
async def upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """A bench on what was left; its tenant is the one of the drops, and knows nothing of them."""
    async with bench(tmp_path, monkeypatch, folders=folder(keys=KEYS)) as it:
        with tarfile.open(LEFT) as archive:
            archive.extractall(tmp_path, filter="data")
        at_this_tenant(it)
        yield it


def at_this_tenant(it: Bench) -> None:
    """The address is another in each run; neither the history nor its seals know it."""
    with closing(sqlite3.connect(it.config.state_dir / "ledger.sqlite3")) as ledger, ledger:
        ((old,),) = ledger.execute("SELECT DISTINCT tenant FROM drops").fetchall()
        for table in ("drops", "parts", "mappings"):
            ledger.execute(
                f"UPDATE {table} SET tenant = ?, data = replace(data, ?, ?)",  # noqa: S608  (our names)
                (it.config.tenant.base_url, old, it.config.tenant.base_url),
            )


def schema(it: Bench) -> int:
    with closing(sqlite3.connect(it.config.state_dir / "ledger.sqlite3")) as ledger:
        ((version,),) = ledger.execute("PRAGMA user_version").fetchall()
    return int(version)


async def test_a_ledger_of_the_first_release_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waited is sent, what had left is in doubt and not sent, what was settled stays as it is."""
    async with upgraded(tmp_path, monkeypatch) as it:
        assert schema(it) == 1
        before = {p: p.read_bytes() for p in it.root.rglob("*/2026-11-23/*") if p.is_file()}
        async with it.running():
            await it.log.until("drop.done", file="waits.csv")
            await it.log.until("drop.held", file="released too.csv", reason="in_doubt")
        assert schema(it) == len(MIGRATIONS)
        assert sorted(it.stored()) == [["F1", "F2"], ["F3"]]
        assert {p: p.read_bytes() for p in before} == before
        assert upkeep.check(it.root, it.config.state_dir) == []
        assert audit(it.config).violations == []


async def test_what_the_first_release_posted_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same content is held as a duplicate, and a person's word settles a drop held by the old release."""
    async with upgraded(tmp_path, monkeypatch) as it:
        content = (it.root / "orders/done/2026-11-23/done.csv").read_bytes()
        async with it.running():
            it.drop("once more.csv", content)
            await it.log.until("drop.held", file="once more.csv", reason="duplicate")
            assert it.report("once more.csv")["duplicate_of"] == it.report("done.csv")["drop"]
            done, answer = await it.ask("not-arrived", it.report("doubt.csv")["drop"])
            assert done, answer
            await it.log.until("drop.done", file="doubt.csv")
        assert it.stored().count(["C1"]) == 1
        assert upkeep.check(it.root, it.config.state_dir) == []
        assert audit(it.config).violations == []


async def test_commands_wait_for_the_upgrade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever only reads changes nothing and says what brings the ledger up to date."""
    async with upgraded(tmp_path, monkeypatch) as it:
        with (
            pytest.raises(RefusedToStart, match="has schema 1") as refused,
            Ledger.read(it.config.state_dir, SystemClock().now),
        ):
            pass
        assert "Start the daemon" in refused.value.hint
        assert schema(it) == 1
