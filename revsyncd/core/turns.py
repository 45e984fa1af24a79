"""Whose turn it is: which waiting drops are checked and which are sent next. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

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
    stopped: bool = False  # on_failure = "stop" after a failed or held drop: corrections only


def queue(turns: FolderTurns, waiting: Iterable[Drop]) -> list[Drop]:
    """The waiting drops of a folder in the order in which they are sent.

    What has begun goes on; corrections come before the rest; then the folder's own order.
    """

    def rank(drop: Drop) -> tuple[bool, bool, str, int]:
        begun = drop.state is State.SENDING
        name = drop.file if turns.order == "name" else ""
        return (not begun, drop.correction_of is None, name, drop.seq)

    return sorted(waiting, key=rank)


def to_check(
    folders: Mapping[str, FolderTurns],
    waiting: Mapping[str, list[Drop]],
    busy: Callable[[Drop], bool],
    slots: int,
) -> list[Drop]:
    """The drops whose checks may begin: in each folder's order, one at a time, a few ahead."""
    chosen: list[Drop] = []
    for name, turns in folders.items():
        line = queue(turns, waiting.get(name, []))
        claimed = [drop for drop in line if drop.state is State.CLAIMED]
        if any(busy(drop) for drop in claimed) or not claimed:
            continue
        # Only what goes before it counts: those behind wait for it, and would wait for ever.
        before = line[: line.index(claimed[0])]
        if sum(drop.state is State.CHECKED for drop in before) < PREPARED_AHEAD:
            chosen.append(claimed[0])
    chosen.sort(key=lambda drop: drop.seq)
    return chosen[: max(slots, 0)]


def to_send(folders: Mapping[str, FolderTurns], waiting: Mapping[str, list[Drop]]) -> list[Drop]:
    """The drops whose parts may be sent now, in the order in which they get the tenant's slots."""
    chosen: list[Drop] = []
    for name, turns in folders.items():
        if turns.paused or any(waiting.get(earlier) for earlier in turns.after):
            continue
        line = queue(turns, waiting.get(name, []))
        if turns.stopped:
            line = [d for d in line if d.correction_of is not None or d.state is State.SENDING]
        if turns.order != "none":
            line = line[:1]
        chosen += [drop for drop in line if drop.state in (State.CHECKED, State.SENDING)]
    chosen.sort(key=lambda drop: (drop.state is not State.SENDING, drop.seq))
    return chosen
