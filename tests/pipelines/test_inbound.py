"""A fault of the inbound service itself: what it had begun is given back, and the work goes on."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, bench

from revsyncd.pipelines.inbound import Inbound

Taken = Callable[[Inbound], Collection[Any]]
TAKEN = {
    "a drop to be checked": lambda inbound: inbound._busy,
    "a drop to be filed": lambda inbound: inbound._filing_in,
    "a slot for an upload": lambda inbound: inbound._sending.inflight,
}


def break_down_once(monkeypatch: pytest.MonkeyPatch, taken: Taken) -> None:
    """The service fails at once when it has taken something: its step never comes to its first line."""
    send = Inbound._send
    broken: list[bool] = []

    def send_and_break(self: Inbound, tasks: Any) -> None:
        send(self, tasks)
        if taken(self) and not broken:
            broken.append(True)
            raise RuntimeError("a fault of ours")

    monkeypatch.setattr(Inbound, "_send", send_and_break)


async def settled_once(it: Bench) -> None:
    """The one file that was dropped."""
    await it.log.until("drop.done", file="a.csv")
    assert it.staged() == ["A1"]


@pytest.mark.parametrize("taken", TAKEN.values(), ids=TAKEN)
async def test_what_never_began_is_given_back(
    taken: Taken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one slot for uploads in all, a slot that is not given back would stop everything for good."""
    async with bench(tmp_path, monkeypatch, tenant="max_parallel_uploads = 1") as it:
        break_down_once(monkeypatch, taken)
        async with it.running():
            it.drop("a.csv", it.content(["A1"]))
            await it.log.until("service.failed", times=1)
            await settled_once(it)
            assert not it.daemon._sending.inflight
            assert not it.daemon._inbound.filing
