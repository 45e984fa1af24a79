"""A tree in which a daemon lived for a while: one drop of each kind of ending, all filed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from bench import Bench, bench, folder

SPLIT = 'on_invalid = "split"\nmax_records_per_upload = 2'
BAD = {"Start_Date": "31-FEB-2026"}


@asynccontextmanager
async def lived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """A tree with a done drop, a held one, a failed one and one of which single records were rejected."""
    async with bench(tmp_path, monkeypatch, folders=folder(keys=SPLIT)) as it:
        async with it.running():
            it.drop("done.csv", it.content(["1", "2"]))
            await it.log.until("drop.done", file="done.csv")
            it.drop("held.csv", it.content(["1", "2"]))
            await it.log.until("drop.held", file="held.csv")
            lines = it.content(["3"]).splitlines(keepends=True)
            wrong = it.content(["4"], **BAD).splitlines(keepends=True)[1:]
            it.drop("split.csv", b"".join([*lines, *wrong]))
            await it.log.until("drop.done", file="split.csv")
            it.drop("failed.csv", b"nonsense\r\n1\r\n")
            await it.log.until("drop.failed", file="failed.csv")
        yield it
