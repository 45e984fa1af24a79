"""What folders remember of the records that they have staged: the unique keys, as hashes in the ledger.

Only where `checks.remember` is set. Work on the ledger is cut into short pieces, so that nothing else
has to wait for it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from anyio import to_thread

from revsyncd.adapters.log import get_logger
from revsyncd.checks.remembered import KEY
from revsyncd.config import Folder
from revsyncd.core.drop import Drop
from revsyncd.core.errors import RevsyncdError
from revsyncd.core.part import PartState
from revsyncd.pipelines.instance import Instance, named

log = get_logger()

AT_ONCE = 5_000  # keys


class Memory:
    """Brings keys from the ledger to the checks, and from what was staged into the ledger."""

    def __init__(self, instance: Instance) -> None:
        """Work for an instance."""
        self._instance = instance

    @asynccontextmanager
    async def known(self, drop: Drop, folder: Folder) -> AsyncIterator[Path | None]:
        """A file with the keys that the folder remembers; None where it remembers nothing."""
        if not folder.checks.remember or not folder.checks.unique:
            yield None
            return
        path = self._instance.files.known_keys(drop.drop)
        try:
            await self._write(
                path, drop.folder, self._instance.clock.now() - folder.checks.remember
            )
            yield path
        finally:
            path.unlink(missing_ok=True)

    async def _write(self, path: Path, folder: str, since: float) -> None:
        ledger, last = self._instance.ledger, b""
        await to_thread.run_sync(path.write_bytes, b"")
        while keys := await ledger.run(ledger.remembered.after, folder, last, since, AT_ONCE):
            await to_thread.run_sync(_append, path, b"".join(keys))
            last = keys[-1]

    async def remember(self, drop: Drop, path: Path) -> None:
        """Remember the keys of what the tenant has staged of a drop whose file lies at `path`.

        The drop is not held up by it: its file may be gone already, and a warning that is missing
        later is the worst that follows.
        """
        folder = self._instance.folder(drop)
        staged = self._staged(drop)
        if folder is None or not folder.checks.remember or not folder.checks.unique or not staged:
            return
        keys = self._instance.files.known_keys(drop.drop)
        try:
            dialect, labels = folder.dialect(), folder.checks.unique
            await self._instance.files.keys_of(path, dialect, labels, staged, keys)
            await self._put(keys, drop, self._instance.clock.now(), folder.checks.remember)
        except (OSError, RevsyncdError) as error:
            hint = "Its keys are not remembered; nothing else depends on it."
            log.warning("drop.step_failed", **named(drop), error=str(error), hint=hint)
        finally:
            keys.unlink(missing_ok=True)

    def _staged(self, drop: Drop) -> tuple[tuple[int, int], ...]:
        parts = self._instance.register.parts(drop.drop)
        return tuple(r for part in parts if part.state is PartState.STAGED for r in part.ranges)

    async def _put(self, path: Path, drop: Drop, now: float, remember: float) -> None:
        ledger = self._instance.ledger
        data = await to_thread.run_sync(path.read_bytes)
        for at in range(0, len(data), KEY * AT_ONCE):
            piece = data[at : at + KEY * AT_ONCE]
            keys = [piece[i : i + KEY] for i in range(0, len(piece), KEY)]
            await ledger.run(ledger.remembered.put, drop.folder, keys, now)
        forget = partial(ledger.remembered.forget, drop.folder, now - remember, AT_ONCE)
        while await ledger.run(forget):
            pass


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
