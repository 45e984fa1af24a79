"""The ERP and the accountant's eyes: drops files into inboxes and looks where they went."""

import hashlib
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread

from revsyncd.demo import sample
from revsyncd.demo.journal import Event, Journal, NotSeen
from revsyncd.demo.promises import Dropped, Sheet
from revsyncd.demo.telling import Teller, counted
from revsyncd.demo.tree import STYLES, TEMPLATES, Tree

_LOOK_EVERY = 0.05  # seconds


class Erp:
    """Drops sheets on one tree; `labels` are the tenant's, by template."""

    def __init__(
        self, tree: Tree, labels: dict[str, list[str]], journal: Journal, teller: Teller
    ) -> None:
        """Nothing was dropped yet."""
        self._tree = tree
        self._labels = labels
        self._journal = journal
        self._teller = teller
        self.dropped: list[Dropped] = []

    def header(self, sheet: Sheet) -> list[str]:
        """The labels that the file has, right or wrong."""
        labels = self._labels[TEMPLATES[sheet.folder]]
        return [sheet.relabelled.get(label, label) for label in labels][
            :: -1 if sheet.backwards else 1
        ]

    async def drop(
        self, sheet: Sheet, *, corrects: Dropped | None = None, repeats: Dropped | None = None
    ) -> Dropped:
        """Write the file under a temporary name and rename it, as SFTP clients do."""
        inbox = self._tree.inbox(sheet.folder)
        temporary = inbox / f".{sheet.file}.part"
        sha256 = await to_thread.run_sync(self._write, sheet, temporary)
        nth = 1 + sum(_name(each.sheet) == _name(sheet) for each in self.dropped)
        dropped = Dropped(sheet, nth, sha256, corrects, repeats)
        self.dropped.append(dropped)
        records = counted(sheet.records, "record")
        self._teller.happened(sheet.file, f"dropped: {records}; {sheet.about}", "bold")
        temporary.rename(inbox / sheet.file)
        return dropped

    def _write(self, sheet: Sheet, path: Path) -> str:
        """Returns the SHA-256 of what was written."""
        sample.write(path, self.header(sheet), sheet.rows(), STYLES[sheet.folder])
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    async def settled(self, dropped: Iterable[Dropped]) -> None:
        """Return when each was filed for the first time. Raises NotSeen."""
        for each in dropped:
            what = f"{each.sheet.folder}/{each.sheet.file} is settled"
            await self._journal.until(partial(self.ending, each), what)

    def drop_id(self, dropped: Dropped) -> str | None:
        """The id that the daemon gave it, once it is claimed."""
        return self._journal.drop_id(*_name(dropped.sheet), dropped.nth)

    def ending(self, dropped: Dropped) -> Event | None:
        """The last event that told where it was filed."""
        drop = self.drop_id(dropped)
        return self._journal.ending(drop) if drop else None

    async def beside(self, dropped: Dropped, suffix: str) -> Path:
        """The sidecar of a settled file, as soon as it is there. Raises NotSeen."""
        ending = self.ending(dropped) or {}
        place = self._tree.root / str(ending.get("place", ""))
        path = place / f"{dropped.sheet.file}{suffix}"
        with anyio.move_on_after(self._journal.patience):
            while not path.exists():  # noqa: ASYNC110  (nothing tells of a sidecar but its being there)
                await anyio.sleep(_LOOK_EVERY)
            return path
        raise NotSeen(f"{path.name} appears beside its file")


def _name(sheet: Sheet) -> tuple[str, str]:
    return sheet.folder, sheet.file
