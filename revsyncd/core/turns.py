"""Whose turn it is: which waiting drops are checked and which are sent next. Pure."""

import bisect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from revsyncd.core.drop import Drop, State

# Drops of one folder that are prepared ahead of their turn: prepared parts take disk space.
PREPARED_AHEAD = 2


@dataclass(frozen=True, slots=True)
class FolderTurns:
    """How one folder's drops take turns, and what stops it now."""

    name: str
    order: str = "arrival"  # arrival | name | none
    after: tuple[str, ...] = ()
    paused: bool = False  # by a person, or by the tenant's refusal
    # on_failure = "stop" after a failed or held drop: only corrections, and what a person took back
    stopped: bool = False


Rank = tuple[bool, bool, str, int]


class Line:
    """The waiting drops of a folder in the order in which they are sent.

    What has begun goes on; corrections, and what a person's word took back into work, come before
    the rest; then the folder's own order. Kept sorted as drops come, change and go: with 20,000 of
    them nothing may look at all for each step.
    """

    def __init__(self, order: str, drops: Iterable[Drop] = ()) -> None:
        """`order` is the folder's: arrival, name or none."""
        self._by_name = order == "name"
        self._ranks: list[Rank] = []
        self._drops: dict[int, Drop] = {}  # by seq
        for drop in drops:
            self.put(drop)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._ranks)

    def __iter__(self) -> Iterator[Drop]:
        """From the first to the last."""
        return (self._drops[rank[-1]] for rank in self._ranks)

    def put(self, drop: Drop) -> None:
        """A drop that waits, or one that changed."""
        self.remove(drop)
        bisect.insort(self._ranks, self._rank(drop))
        self._drops[drop.seq] = drop

    def remove(self, drop: Drop) -> None:
        """A drop that waits no more; one that never did is none of its business."""
        before = self._drops.pop(drop.seq, None)
        if before is not None:
            del self._ranks[bisect.bisect_left(self._ranks, self._rank(before))]

    def _rank(self, drop: Drop) -> Rank:
        begun = drop.state is State.SENDING
        name = drop.file if self._by_name else ""
        return (not begun, not _goes_first(drop), name, drop.seq)


def _goes_first(drop: Drop) -> bool:
    return drop.correction_of is not None or drop.resolved is not None


EMPTY = Line("arrival")
# How far into a line without an order it is looked for drops to send: slots are two at most.
LOOKED_AT = 100


def to_check(
    folders: Mapping[str, FolderTurns],
    waiting: Mapping[str, Line],
    busy: Callable[[Drop], bool],
    slots: int,
) -> list[Drop]:
    """The drops whose checks may begin: in each folder's order, one at a time, a few ahead."""
    chosen: list[Drop] = []
    for name in folders:
        # Only what goes before it counts: those behind wait for it, and would wait for ever.
        prepared = 0
        for drop in waiting.get(name, EMPTY):
            prepared += drop.state is State.CHECKED
            if drop.state is State.CLAIMED or prepared == PREPARED_AHEAD:
                if drop.state is State.CLAIMED and not busy(drop):
                    chosen.append(drop)
                break
    chosen.sort(key=lambda drop: drop.seq)
    return chosen[: max(slots, 0)]


def to_send(folders: Mapping[str, FolderTurns], waiting: Mapping[str, Line]) -> list[Drop]:
    """The drops whose parts may be sent now, in the order in which they get the tenant's slots."""
    chosen: list[Drop] = []
    for name, turns in folders.items():
        if turns.paused or any(waiting.get(earlier) for earlier in turns.after):
            continue
        line = list(islice(waiting.get(name, EMPTY), LOOKED_AT if turns.order == "none" else 1))
        if turns.stopped:
            line = [d for d in line if _goes_first(d) or d.state is State.SENDING]
        chosen += [drop for drop in line if drop.state in (State.CHECKED, State.SENDING)]
    chosen.sort(key=lambda drop: (drop.state is not State.SENDING, drop.seq))
    return chosen
