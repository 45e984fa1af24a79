"""What the daemon's log said so far, and waiting for what it is to say next."""

from collections.abc import Callable
from typing import Any, TypeVar

import anyio

Event = dict[str, Any]
T = TypeVar("T")

_ENDINGS = ("drop.done", "drop.failed", "drop.held")


class NotSeen(Exception):
    """Something that was to happen did not; the text says what."""


class Journal:
    """The daemon's log events in order. `patience` is in seconds, for each thing waited for."""

    def __init__(self, patience: float, on_event: Callable[[Event], None] = lambda _: None) -> None:
        """Nothing was said yet; `on_event` is called with each event."""
        self.events: list[Event] = []
        self.ended = False  # the daemon says no more
        self.patience = patience
        self._on_event = on_event
        self._more = anyio.Event()

    def add(self, event: Event) -> None:
        """Take the next event."""
        self.events.append(event)
        self._on_event(event)
        self._wake()

    def end(self) -> None:
        """There will be no more."""
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        more, self._more = self._more, anyio.Event()
        more.set()

    async def until(self, look: Callable[[], T | None], what: str) -> T:
        """What `look` finds, as soon as it finds something. Raises NotSeen, naming `what`."""
        with anyio.move_on_after(self.patience):
            while (found := look()) is None and not self.ended:
                await self._more.wait()
            if found is not None:
                return found
        why = "the daemon ended" if self.ended else f"waited {self.patience:g} s"
        raise NotSeen(f"{what} ({why})")

    def said(self, event: str, drop: str | None = None) -> Event | None:
        """The last event of this name, of one drop or of anything."""
        for said in reversed(self.events):
            if said["event"] == event and drop in (None, said.get("drop")):
                return said
        return None

    def drop_id(self, folder: str, file: str, nth: int) -> str | None:
        """The id of the n-th drop (1: the first) of this name in a folder, once it is claimed."""
        claimed = [
            said["drop"]
            for said in self.events
            if said["event"] == "drop.claimed" and (said["folder"], said["file"]) == (folder, file)
        ]
        return claimed[nth - 1] if len(claimed) >= nth else None

    def ending(self, drop: str | None) -> Event | None:
        """The last event that told where a drop was filed."""
        told = [said for said in self.events if drop and said.get("drop") == drop]
        return next((said for said in reversed(told) if said["event"] in _ENDINGS), None)
