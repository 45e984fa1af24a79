from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, bench

from revsyncd import simulator
from revsyncd.core.batch import State

Start = Callable[..., AbstractAsyncContextManager[Bench]]


def section(confirm: str = "written", **keys: str) -> str:
    """A [gl] that looks four times a second."""
    lines = {"confirm": f'"{confirm}"', "every": '"250ms"', **keys}
    return "[gl]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    def started(gl: str = "", **settings: Any) -> AbstractAsyncContextManager[Bench]:
        chosen = simulator.Settings(**settings)
        return bench(tmp_path, monkeypatch, gl=gl or section(), settings=chosen)

    return started


@pytest.mark.parametrize("source", ["report", "pages", "file"])
async def test_a_batch_is_written_then_confirmed(start: Start, source: str) -> None:
    """File and manifest are out, byte for byte, before the tenant has it as transferred."""
    async with start(section(sources=f'["{source}"]')) as it:
        batch = it.tenant.world.journal.add(25)
        async with it.running():
            said = await it.log.until("gl.confirmed", batch=str(batch.id))
        name = f"GL_{batch.id}_GL-{batch.id}.csv"
        assert it.delivered() == {name: batch.file()}
        assert said["file"] == name
        manifest = it.manifest(name)
        assert manifest["batch_id"] == batch.id
        assert manifest["records"] == 25
        assert manifest["source"] == source
        assert manifest["totals"]["USD"]["debit"] == manifest["totals"]["USD"]["credit"]
        assert it.tenant.world.journal.batches[batch.id].status == "TRANSFERRED"
        assert it.tenant.world.violations == []
        assert not it.log.having("gl.step_failed")
