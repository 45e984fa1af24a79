"""What our user may not read: held with the words that mend it, taken up again when it is mended.

A file may turn unreadable at any time before its checks: clients set a mode at the end of a transfer.
"""

import os
from contextlib import suppress
from pathlib import Path

from revsyncd.adapters import inbox
from revsyncd.adapters.who import group_name, user_name
from revsyncd.config import Folder
from revsyncd.core import endings
from revsyncd.core.drop import Drop, Ending, Reason, State
from revsyncd.core.part import released
from revsyncd.core.settle import Entry
from revsyncd.pipelines.concluding import Concluding
from revsyncd.pipelines.files import off_loop
from revsyncd.pipelines.instance import Instance


async def why_unreadable(instance: Instance, drop: Drop, folder: Folder | None) -> Ending | None:
    """The ending of a drop of which something can't be read; None when all that is needed can be.

    Raises FileNotFoundError when one of them is gone.
    """
    path = instance.path(drop)
    if entry := await off_loop(_denied, path):
        return ending(entry)
    needed = (
        folder is not None and folder.ready == "manifest" and "incomplete" not in drop.permitted
    )
    if needed and drop.companion is not None:
        entry = await off_loop(_denied, path.with_name(drop.companion))
        return ending(entry, of="its manifest") if entry else None
    return None


def ending(entry: Entry, of: str = "the file") -> Ending:
    """Held as unreadable, with the names of user and group instead of numbers."""
    return endings.unreadable(entry.mode, user_name(entry.uid), group_name(entry.gid), of)


def _denied(path: Path) -> Entry | None:
    """How a file looks that our user may not read; None when it may."""
    entry = inbox.entry_at(path)
    return None if os.access(path, os.R_OK) else entry


class Mending:
    """Takes a folder's unreadable drops back into work once their permissions allow."""

    def __init__(self, instance: Instance, folder: str, concluding: Concluding) -> None:
        """Work for a folder of an instance."""
        self._instance = instance
        self._name = folder
        self._concluding = concluding

    async def look(self) -> None:
        """Try every unreadable drop of the folder."""
        for drop in self._instance.register:
            unreadable = drop.reason is Reason.UNREADABLE and drop.state is State.HELD
            if drop.folder != self._name or not unreadable or not drop.filed:
                continue
            with suppress(FileNotFoundError):
                if not await why_unreadable(self._instance, drop, self._instance.folder(drop)):
                    await self._take_up(drop)

    async def _take_up(self, drop: Drop) -> None:
        """Check an unreadable drop again, unless a person's word, or an answer, came between."""
        register = self._instance.register
        async with register.locked(drop.drop):
            as_seen = drop.drop in register and register.drop(drop.drop) == drop
            # What was lost and put back may have been sent in part: that is a person's to decide.
            if not as_seen or released(register.parts(drop.drop)):
                return
            seen = await self._instance.files.identity(self._instance.path(drop))
            await self._concluding.start_over(drop, identity=seen, size=seen[0])
