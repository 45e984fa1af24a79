"""Killed between any two steps, with a full or read-only outbox: each time the promise holds."""

import errno
import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from batches import Start, confirms, name_of, ready, section, status
from bench import Bench

from revsyncd.adapters import outbox
from revsyncd.adapters.ledger.batches import Batches
from revsyncd.adapters.revenue_api.journal import JournalApi
from revsyncd.core.errors import RefusedToStart
from revsyncd.pipelines.conditions import GL_OUTBOX
from revsyncd.simulator.journal import Batch

STEPS: tuple[tuple[Any, str], ...] = (
    (Batches, "add"),
    (Batches, "move"),
    (Batches, "note"),
    (JournalApi, "listed"),
    (JournalApi, "download"),
    (JournalApi, "confirm"),
    (outbox, "prepare"),
    (outbox, "rename_without_overwriting"),
    (outbox, "sync_file"),
    (outbox, "sync_directory"),
    (outbox, "discard"),
)


class Killed(BaseException):
    """What nothing catches: the process is gone."""


class Killer:
    """Counts steps, their beginnings and their ends, and kills at one of them; afterwards all are dead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1  # -1: nobody is killed
        self.dead = False
        self.on_confirm: Callable[[str], None] = lambda _: None
        for owner, name in STEPS:
            monkeypatch.setattr(owner, name, self._counted(name, getattr(owner, name)))

    def _counted(self, name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        if name in ("listed", "download", "confirm"):

            @wraps(step)
            async def awaited(*args: Any) -> Any:
                self._at()
                if name == "confirm":
                    self.on_confirm(args[1])
                result = await step(*args)
                self._at()
                return result

            return awaited

        @wraps(step)
        def called(*args: Any, **kwargs: Any) -> Any:
            self._at()
            result = step(*args, **kwargs)
            self._at()
            return result

        return called

    def _at(self) -> None:
        if self.dead or self.left == 0:
            self.dead = True
            raise Killed
        self.left -= 1

    @contextmanager
    def at(self, step: int) -> Iterator[None]:
        """Kill at the step of this number, from 0; the next process lives."""
        self.left, self.dead = step, False
        try:
            yield
        except BaseException as error:
            if not killed(error):
                raise
        finally:
            self.left = -1

    def revive(self) -> bool:
        """Whether anybody was killed since the last time."""
        was, self.dead = self.dead, False
        return was


def killed(error: BaseException) -> bool:
    """Whether it is a kill, in whatever group."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(killed, error.exceptions))
    return isinstance(error, Killed)


async def look(it: Bench, times: int = 1) -> None:
    """A process that looks so often; it may be killed."""
    async with it.outbound() as outbound:
        for _ in range(times):
            await outbound.look()


def is_out(it: Bench, batch: Batch) -> bool:
    """Whether file and manifest are there."""
    path = it.outbox / name_of(batch)
    return path.exists() and path.with_name(f"{path.name}.manifest.json").exists()


async def test_killed_at_any_step_each_batch_is_delivered_once(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at the first step, the second, and so on until there are no more; then started again."""
    killer, steps = Killer(monkeypatch), 0
    async with start() as it:
        while True:
            batch = ready(it, 4)
            killer.on_confirm = lambda id_: _must_be_out(it, id_)
            told = confirms(it)
            with killer.at(steps):
                await look(it)
            if not killer.revive():
                break
            assert status(it, batch) == "READY TO TRANSFER" or is_out(it, batch)
            await look(it, 2)
            assert it.delivered()[name_of(batch)] == batch.file()
            assert it.manifest(name_of(batch))["records"] == 4
            assert status(it, batch) == "TRANSFERRED"
            assert confirms(it) == told + 1
            assert (await it_state(it, batch)) == "confirmed"
            assert len([n for n in it.delivered() if n.startswith(f"GL_{batch.id}_")]) == 1
            assert list(it.outbox.glob(".revsyncd-*")) == []
            steps += 1
        assert steps > 30
        assert not it.log.having("gl.reissued")
        assert not it.log.having("gl.held")


async def it_state(it: Bench, batch: Batch) -> str:
    """The batch's state, by a process of its own."""
    async with it.outbound():
        return str((await it.batch(batch.id)).state)


def _must_be_out(it: Bench, batch: str) -> None:
    found = it.tenant.world.journal.batches[int(batch)]
    assert is_out(it, found), "confirmed before file and manifest were on disk"


async def test_killed_at_any_step_the_erp_may_take_the_file_away(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the ERP took, with its manifest, is not written again."""
    killer, steps = Killer(monkeypatch), 0
    async with start() as it:
        while True:
            batch = ready(it, 4)
            with killer.at(steps):
                await look(it)
            if not killer.revive():
                break
            taken = is_out(it, batch)
            if taken:
                for path in it.outbox.glob(f"GL_{batch.id}_*"):
                    path.unlink()
            await look(it, 2)
            assert status(it, batch) == "TRANSFERRED"
            assert is_out(it, batch) is not taken
            steps += 1


async def test_killed_while_a_batch_is_set_aside(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is held once, with its file and manifest, and never confirmed."""
    killer, steps = Killer(monkeypatch), 0
    async with start() as it:
        while True:
            batch = ready(it, 4, balanced=False)
            with killer.at(steps):
                await look(it)
            if not killer.revive():
                break
            await look(it, 2)
            names = sorted(p.name for p in (it.outbox / ".held").glob(f"GL_{batch.id}_*"))
            assert names == [name_of(batch), f"{name_of(batch)}.manifest.json"]
            assert (await it_state(it, batch)) == "held"
            steps += 1
        assert it.delivered() == {}
        assert confirms(it) == 0


async def test_what_cant_be_published_stops_nobody_else(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told once while it lasts; the others go out, and it does when it can."""
    async with start() as it, it.outbound() as outbound:
        first, second = ready(it), ready(it)
        real = outbox.publish

        def refused(data: Path, manifest: Path, target: Path) -> None:
            if str(first.id) in target.name:
                raise OSError(errno.ENAMETOOLONG, "File name too long")
            real(data, manifest, target)

        with monkeypatch.context() as patch:
            patch.setattr(outbox, "publish", refused)
            for _ in range(3):
                assert not await outbound.look()
        assert list(it.delivered()) == [name_of(second)]
        assert len(it.log.having("gl.step_failed")) == 1
        assert await outbound.look()
        assert status(it, first) == status(it, second) == "TRANSFERRED"


# -- the disk ------------------------------------------------------------------------------------


@contextmanager
def longest_file(size: int) -> Iterator[None]:
    """Files of this process can't grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


async def test_a_file_that_cant_be_written_whole_leaves_nothing(start: Start) -> None:
    """Nothing is confirmed; with room again it goes on by itself."""
    async with start() as it, it.outbound() as outbound:
        batch = ready(it, 20_000)
        with longest_file(1 << 20):
            assert not await outbound.look()
        assert list(it.outbox.glob("GL_*")) == []
        assert confirms(it) == 0
        assert await outbound.look()
        assert it.delivered() == {name_of(batch): batch.file()}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("call", ["os.pwrite", "os.fsync", "os.open"])
async def test_a_full_or_read_only_outbox_is_told_and_survived(
    start: Start, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    """A condition while it lasts, nothing visible in the outbox, and all of it afterwards."""
    async with start() as it, it.outbound() as outbound:
        batch = ready(it)
        assert await outbound.look()
        again = it.tenant.world.journal.reissue(batch.id, 30)
        with monkeypatch.context() as patch:
            _fail_in_outbox(patch, call, code, it.outbox)
            assert not await outbound.look()
            assert it.instance.conditions.holds(GL_OUTBOX)
            assert list(it.delivered()) == [name_of(batch)]
            assert confirms(it) == 1
        assert await outbound.look()
        assert not it.instance.conditions.holds(GL_OUTBOX)
        assert again.file() in it.delivered().values()
        assert confirms(it) == 2
        assert len(it.log.having("disk.trouble")) == len(it.log.having("disk.mended")) == 1


def _fail_in_outbox(patch: pytest.MonkeyPatch, call: str, code: int, where: Path) -> None:
    """Let a system call fail on what lies in the outbox, as a full or read-only disk does."""
    name = call.removeprefix("os.")
    real = getattr(os, name)

    def failing(what: Any, *args: Any, **kwargs: Any) -> Any:
        path = what if isinstance(what, str | Path) else f"/proc/self/fd/{what}"
        place = str(path) if isinstance(what, str | Path) else str(Path(path).readlink())
        writing = name != "open" or args[0] & os.O_ACCMODE
        if place.startswith(f"{where}/") and writing:
            raise OSError(code, os.strerror(code))
        return real(what, *args, **kwargs)

    patch.setattr(os, name, failing)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A directory on another file system."""
    found = Path("/dev/shm")  # noqa: S108  (a file system that every Linux has)
    if not found.is_dir() or found.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    return found


async def test_an_outbox_on_another_file_system_is_refused_with_the_remedy(
    start: Start, other: Path
) -> None:
    """A link to another disk counts as one: no rename leads there."""
    async with start(section(outbox='"far/gl"')) as it:
        target = other / f"revsyncd-test-{os.getpid()}"
        target.mkdir()
        shutil.rmtree(it.root / "far")
        try:
            (it.root / "far").symlink_to(target)
            with pytest.raises(RefusedToStart, match="another file system") as refused:
                outbox.lay_out(it.root, it.outbox)
            assert "gl.outbox" in refused.value.hint
        finally:
            for path in sorted(target.rglob("*"), reverse=True):
                path.rmdir()
            target.rmdir()


async def test_another_file_system_that_comes_later_is_told_and_survived(
    start: Start, other: Path
) -> None:
    """Something mounted over the outbox while the daemon runs: nothing is written there."""
    async with start(section(outbox='"far/gl"')) as it, it.outbound() as outbound:
        ready(it)
        target = other / f"revsyncd-test-late-{os.getpid()}"
        target.mkdir()
        aside = it.root / "aside"
        (it.root / "far").rename(aside)
        (it.root / "far").symlink_to(target)
        try:
            assert not await outbound.look()
            assert it.instance.conditions.holds(GL_OUTBOX)
            assert [path for path in target.rglob("*") if path.is_file()] == []
            assert confirms(it) == 0
        finally:
            (it.root / "far").unlink()
            shutil.rmtree(target)
        aside.rename(it.root / "far")
        assert await outbound.look()
        assert confirms(it) == 1


async def test_files_have_the_outbox_s_group_and_the_configured_mode(start: Start) -> None:
    """So that the ERP's account can read them, and remove them."""
    async with start(section(mode='"0660"')) as it, it.outbound() as outbound:
        it.outbox.chmod(0o2770)
        if os.geteuid() == 0:
            os.chown(it.outbox, -1, 12345)
        batch = ready(it)
        before = os.umask(0o077)
        try:
            assert await outbound.look()
        finally:
            os.umask(before)
        for name in (name_of(batch), f"{name_of(batch)}.manifest.json"):
            found = (it.outbox / name).stat()
            assert found.st_mode & 0o7777 == 0o660
            assert found.st_gid == it.outbox.stat().st_gid
