import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from revsyncd.adapters import watcher
from revsyncd.adapters.watcher import WatcherBroken, watch

PATIENCE = 30.0  # seconds after which a test gives up; every nudge comes far earlier


class Nudges:
    """What `watch` said, to be awaited."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Path] = asyncio.Queue()

    def __call__(self, inbox: Path) -> None:
        """Take a nudge, as the folder's service would."""
        self._queue.put_nowait(inbox)

    async def of(self, *inboxes: Path) -> None:
        """Wait until each of `inboxes` was nudged, in any order."""
        missing = set(inboxes)
        async with asyncio.timeout(PATIENCE):
            while missing:
                missing.discard(await self._queue.get())

    async def next(self) -> Path:
        """The next nudge, whosever it is."""
        async with asyncio.timeout(PATIENCE):
            return await self._queue.get()


@asynccontextmanager
async def watching(*inboxes: Path) -> AsyncIterator[Nudges]:
    """Watch until the block ends; the nudges with which a watch begins were taken already."""
    nudges = Nudges()
    task = asyncio.create_task(watch(inboxes, nudges))
    try:
        await nudges.of(*inboxes)
        yield nudges
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()


@pytest.fixture
def inboxes(tmp_path: Path) -> tuple[Path, Path]:
    """Two empty inboxes."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    return tmp_path / "a", tmp_path / "b"


def write(inbox: Path) -> None:
    (inbox / "orders.csv").write_bytes(b"1")


def rename_in(inbox: Path) -> None:
    (inbox.parent / "outside").write_bytes(b"1")
    (inbox.parent / "outside").rename(inbox / "two\nlines.csv")


def not_utf8(inbox: Path) -> None:
    (inbox / "caf\udce9.csv").write_bytes(b"1")


def make_fifo(inbox: Path) -> None:
    os.mkfifo(inbox / "fifo.csv")


@pytest.mark.parametrize("change", [write, rename_in, not_utf8, make_fifo])
async def test_a_change_nudges_its_inbox(
    inboxes: tuple[Path, Path], change: Callable[[Path], None]
) -> None:
    """Once and again: a name that is not UTF-8 ends watchfiles' watch, but not ours."""
    async with watching(*inboxes) as nudges:
        change(inboxes[1])
        await nudges.of(inboxes[1])
        write(inboxes[1])
        await nudges.of(inboxes[1])


async def test_other_inboxes_are_left_alone(inboxes: tuple[Path, Path]) -> None:
    """The first nudge after a change is the changed inbox's."""
    async with watching(*inboxes) as nudges:
        write(inboxes[1])
        assert await nudges.next() == inboxes[1]


async def test_removing_and_touching_are_changes_too(inboxes: tuple[Path, Path]) -> None:
    """Settling begins anew with them."""
    write(inboxes[0])
    async with watching(*inboxes) as nudges:
        os.utime(inboxes[0] / "orders.csv")
        assert await nudges.next() == inboxes[0]
        (inboxes[0] / "orders.csv").unlink()
        await nudges.of(inboxes[0])


async def test_what_happens_below_an_inbox_is_not_watched(inboxes: tuple[Path, Path]) -> None:
    """Directories are never drops: the next nudge is that of the other inbox."""
    (inboxes[0] / "below").mkdir()
    async with watching(*inboxes) as nudges:
        write(inboxes[0] / "below")
        write(inboxes[1])
        assert await nudges.next() == inboxes[1]


async def test_an_inbox_that_was_missing_is_watched_when_it_appears(
    inboxes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are nudged then, and its own changes from then on."""
    monkeypatch.setattr(watcher, "RECHECK", 50)
    absent = inboxes[0].parent / "absent"
    async with watching(*inboxes, absent) as nudges:
        absent.mkdir()
        await nudges.of(*inboxes, absent)
        write(absent)
        await nudges.of(absent)


async def test_an_inbox_that_is_replaced_is_watched_anew(
    inboxes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watch holds on to the directory that it began with, which nobody writes to any more."""
    monkeypatch.setattr(watcher, "RECHECK", 50)
    async with watching(*inboxes) as nudges:
        inboxes[0].rename(inboxes[0].with_name("old"))
        inboxes[0].mkdir()
        await nudges.of(*inboxes)
        write(inboxes[1])
        await nudges.of(inboxes[1])
        write(inboxes[0])
        await nudges.of(inboxes[0])


async def test_without_any_inbox_it_waits_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the disk is mounted after the start."""
    monkeypatch.setattr(watcher, "RECHECK", 50)
    async with watching(tmp_path / "absent") as nudges:
        (tmp_path / "absent").mkdir()
        await nudges.of(tmp_path / "absent")
        write(tmp_path / "absent")
        await nudges.of(tmp_path / "absent")


async def test_very_many_changes_at_once_nudge_everybody(
    inboxes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's queue may have overflowed, which watchfiles does not tell."""
    monkeypatch.setattr(watcher, "MANY", 2)
    async with watching(*inboxes) as nudges:
        for number in range(50):
            (inboxes[0] / f"{number}.csv").touch()
        await nudges.of(*inboxes)


async def raised_by(watched: Awaitable[None]) -> WatcherBroken:
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(WatcherBroken) as caught:
            await watched
    return caught.value


async def test_a_watch_that_can_not_begin_says_why(tmp_path: Path) -> None:
    """The supervisor shows it and tries again; looking goes on by the timer."""
    inbox = tmp_path / "caf\udce9"
    inbox.mkdir()
    error = await raised_by(watch([inbox], Nudges()))
    assert "can't be watched" in error.message
    assert "max_user_watches" in error.hint


async def test_an_inbox_that_goes_away_while_the_watch_begins_breaks_nothing(
    inboxes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at what is there and the watch on it: it is begun again on what is left."""
    gone, stays = inboxes
    begin = watcher._begin

    def too_late(present: Iterable[Path]) -> object:
        if gone.exists():
            gone.rmdir()
        return begin(present)

    monkeypatch.setattr(watcher, "_begin", too_late)
    async with watching(gone, stays) as nudges:
        write(stays)
        await nudges.of(stays)
