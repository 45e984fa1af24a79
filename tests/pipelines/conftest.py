"""A bench with a [gl], not running yet."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from batches import Start, section
from bench import Bench, bench

from revsyncd import simulator


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """`start(section(…), **settings of the simulator)`."""

    def started(gl: str = "", **settings: Any) -> AbstractAsyncContextManager[Bench]:
        chosen = simulator.Settings(**settings)
        return bench(tmp_path, monkeypatch, gl=gl or section(), settings=chosen)

    return started
