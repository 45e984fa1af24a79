"""A folder that remembers what it has staged."""

from pathlib import Path

import pytest
from bench import bench, folder

CHECKS = """
[templates.orders.checks]
unique = ["Doc Line Id"]
remember = "400d"
"""


async def test_what_was_staged_before_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Across restarts; the drop goes all the same, and no file of keys is left behind."""
    async with bench(tmp_path, monkeypatch, folders=folder() + CHECKS) as it:
        async with it.running():
            it.drop("a.csv", it.content(["A1", "A2"]))
            await it.log.until("drop.done", file="a.csv")
        async with it.running():
            it.drop("b.csv", it.content(["B1", "A2"]))
            await it.log.until("drop.done", file="b.csv")
        assert it.report("a.csv")["checks"]["by_code"] == {}
        assert it.report("b.csv")["checks"]["by_code"] == {"record.seen_before": 1}
        assert b"3,2,Doc Line Id,A2,record.seen_before,warn" in it.sidecar("b.csv", ".errors.csv")
        assert list(it.config.state_dir.glob("keys-*")) == []


async def test_what_was_not_staged_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused file may come again."""
    async with bench(tmp_path, monkeypatch, folders=folder() + CHECKS) as it, it.running():
        it.drop("a.csv", it.content(["A1"], Start_Date="31-FEB-2026"))
        await it.log.until("drop.failed", file="a.csv")
        it.drop("b.csv", it.content(["A1"]))
        await it.log.until("drop.done", file="b.csv")
        assert it.report("b.csv")["checks"]["by_code"] == {}
