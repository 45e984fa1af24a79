"""The drops that still matter, in memory, always as the ledger has them.

Every change goes to the ledger first and shows here after it is committed. Decisions about one drop
are taken under its lock, on its current value, never on one that a task kept from before.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio

from revsyncd.adapters.ledger import Ledger
from revsyncd.checks.contract import Problem
from revsyncd.core.drop import WAITING, Drop, Event, State
from revsyncd.core.part import Part, PartState
from revsyncd.core.turns import Line


class Wake:
    """A nudge that is never lost: `wait` returns at once when `nudge` came since the last wait."""

    def __init__(self) -> None:
        """Nothing to do yet."""
        self._event = anyio.Event()

    def nudge(self) -> None:
        """Something changed."""
        self._event.set()

    async def wait(self, at_most: float | None = None) -> bool:
        """Until the next nudge, or `at_most` seconds; whether it was a nudge."""
        event = self._event
        with anyio.move_on_after(at_most):
            await event.wait()
        nudged = event.is_set()
        if nudged and event is self._event:  # else others are waiting for it still
            self._event = anyio.Event()
        return nudged


def _arrival(_: str) -> str:
    return "arrival"


class Register:
    """Open and held drops with their parts."""

    def __init__(self, ledger: Ledger, order_of: Callable[[str], str] = _arrival) -> None:
        """Empty until `load`; `order_of` gives the order of a folder."""
        self.ledger = ledger
        self.changed = Wake()  # the inbound pipeline waits for it
        self.accepted = Wake()  # the follower waits for it
        self._drops: dict[str, Drop] = {}
        self._parts: dict[str, list[Part]] = {}
        self._locks: dict[str, anyio.Lock] = {}
        self._order_of = order_of
        # What the loops ask for at every step, kept as it changes instead of looked for.
        self._lines: dict[str, Line] = {}
        self._to_be_moved: dict[str, Drop] = {}
        self._accepted: dict[str, list[int]] = {}

    async def load(self) -> None:
        """Read what is open or held from the ledger."""
        run, drops = self.ledger.run, self.ledger.drops
        for drop in [*await run(drops.open), *await run(drops.held)]:
            self._drops[drop.drop] = drop
            self._parts[drop.drop] = await run(drops.parts, drop.drop)
            self._index(drop)
            self._index_parts(drop.drop)

    def __iter__(self) -> Iterator[Drop]:
        """Open and held drops in order of claiming."""
        return iter(sorted(self._drops.values(), key=lambda drop: drop.seq))

    def __contains__(self, drop: str) -> bool:
        """Whether the drop is open or held."""
        return drop in self._drops

    def drop(self, drop: str) -> Drop:
        """The drop as it stands now. Raises KeyError when it is settled for good, or unknown."""
        return self._drops[drop]

    def parts(self, drop: str) -> list[Part]:
        """Its parts in order; empty before it is checked."""
        return list(self._parts.get(drop, []))

    def waiting(self) -> Mapping[str, Line]:
        """The drops, by folder, that hold up the later ones: claimed, checked, sending."""
        return self._lines

    def to_be_moved(self) -> list[Drop]:
        """The drops whose files do not lie where they belong, in order of claiming."""
        return sorted(self._to_be_moved.values(), key=lambda drop: drop.seq)

    def followed(self) -> list[tuple[Drop, Part]]:
        """Every accepted part, with its drop, held ones too: late answers settle them."""
        drops = sorted((self._drops[drop] for drop in self._accepted), key=lambda drop: drop.seq)
        return [
            (drop, part)
            for drop in drops
            for part in self._parts[drop.drop]
            if part.part in self._accepted[drop.drop]
        ]

    def reorder(self, order_of: Callable[[str], str]) -> None:
        """Folders may have other orders now."""
        self._order_of = order_of
        self._lines = {name: Line(order_of(name), line) for name, line in self._lines.items()}

    def locked(self, drop: str) -> AbstractAsyncContextManager[None]:
        """The drop's lock: whoever decides about it holds it."""
        return self._locks.setdefault(drop, anyio.Lock())

    async def add(self, drop: Drop) -> Drop:
        """A newly claimed drop."""
        return self._keep(await self.ledger.run(self.ledger.drops.add, drop))

    async def move(self, drop: str, event: Event, **changes: Any) -> Drop:
        """Let an event happen to it."""
        current = self._drops[drop]
        return self._keep(await self.ledger.run(self.ledger.drops.move, current, event, **changes))

    async def note(self, drop: str, what: str = "", **changes: Any) -> Drop:
        """Change facts of it without moving it."""
        current = self._drops[drop]
        return self._keep(await self.ledger.run(self.ledger.drops.note, current, what, **changes))

    async def found(self, drop: str, problems: tuple[Problem, ...]) -> None:
        """Keep the problems that the checks listed."""
        await self.ledger.run(self.ledger.drops.found, drop, problems)

    async def plan(self, drop: str, parts: list[Part], **changes: Any) -> Drop:
        """Its checks passed with these parts. Raises AlreadyTaken."""
        current = self._drops[drop]
        moved = await self.ledger.run(self.ledger.drops.plan, current, parts, **changes)
        self._parts[drop] = list(parts)
        self._index_parts(drop)
        return self._keep(moved)

    async def release(self, drop: str, number: int) -> Part:
        """Record that the last chunk of a part goes now. Raises AlreadyTaken, NoSpace."""
        drops = self.ledger.drops
        part = await self.ledger.run(drops.release, self._drops[drop], self._part(drop, number))
        return self._keep_part(part)

    async def settle_part(self, drop: str, number: int, state: PartState, **changes: Any) -> Part:
        """Record what became of a part; the report of a held drop is to be written again."""
        current = self._drops[drop]
        part = await self.ledger.run(
            self.ledger.drops.settle_part, current, self._part(drop, number), state, **changes
        )
        self._keep(self._drops[drop].with_news())
        return self._keep_part(part)

    def refresh(self, drop: Drop) -> None:
        """Take over a value that was written to the ledger elsewhere."""
        self._keep(drop)

    def forget_plan(self, drop: str) -> None:
        """The parts are to be prepared anew; the ledger replaces them with the next plan."""
        self._parts.pop(drop, None)
        self._index_parts(drop)

    def _part(self, drop: str, number: int) -> Part:
        return next(p for p in self._parts[drop] if p.part == number)

    def _keep(self, drop: Drop) -> Drop:
        if drop.open or drop.state is State.HELD:
            self._drops[drop.drop] = drop
        else:
            for kept in (self._drops, self._parts, self._locks, self._accepted):
                kept.pop(drop.drop, None)
        self._index(drop)
        self.changed.nudge()
        return drop

    def _keep_part(self, part: Part) -> Part:
        parts = self._parts[part.drop]
        self._parts[part.drop] = [part if p.part == part.part else p for p in parts]
        self._index_parts(part.drop)
        if part.state is PartState.ACCEPTED:
            self.accepted.nudge()
        self.changed.nudge()
        return part

    def _index(self, drop: Drop) -> None:
        line = self._lines.setdefault(drop.folder, Line(self._order_of(drop.folder)))
        if drop.state in WAITING:
            line.put(drop)
        else:
            line.remove(drop)
        if drop.drop in self._drops and drop.to_be_moved:
            self._to_be_moved[drop.drop] = drop
        else:
            self._to_be_moved.pop(drop.drop, None)

    def _index_parts(self, drop: str) -> None:
        parts = self._parts.get(drop, [])
        accepted = [part.part for part in parts if part.state is PartState.ACCEPTED]
        if accepted:
            self._accepted[drop] = accepted
        else:
            self._accepted.pop(drop, None)
