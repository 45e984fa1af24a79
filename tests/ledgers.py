"""Real ledgers for the tests, with drops brought to where a test begins by the ledger's own moves."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from revsyncd.adapters.ledger import Ledger
from revsyncd.core.drop import Drop, Event, State
from revsyncd.core.part import Part, PartState

MORNING = 1_795_409_252.12

# How a drop comes from checked to where its parts have brought it.
_WAYS: dict[State, tuple[Event, ...]] = {
    State.CLAIMED: (),
    State.CHECKED: (),
    State.SENDING: (Event.STARTED,),
    State.ACCEPTED: (Event.STARTED, Event.ALL_RECEIVED),
    State.STAGED: (Event.STARTED, Event.ALL_STAGED),
    State.DONE: (Event.STARTED, Event.ALL_STAGED, Event.FILED),
    State.FAILED: (Event.STARTED, Event.REFUSED),
    State.HELD: (Event.STARTED, Event.SET_ASIDE),
}


class Clock:
    """A clock that goes on by a second whenever it is read, unless told otherwise."""

    def __init__(self) -> None:
        self.seconds = MORNING

    def now(self) -> float:
        """Seconds since the epoch."""
        self.seconds += 1
        return self.seconds

    def monotonic(self) -> float:
        """The same second for ever: nothing here waits for a time."""
        return 1000.0


@contextmanager
def open_ledger(home: Path) -> Iterator[Ledger]:
    """The ledger in `home`/state for `home`/root, made where there is none."""
    for name in ("root", "state"):
        (home / name).mkdir(exist_ok=True)
    with Ledger.open(home / "root", home / "state", Clock().now) as ledger:
        yield ledger


def bring(ledger: Ledger, drop: Drop, parts: list[Part], to: State) -> Drop:
    """Add a drop, with parts in the states that they have, and lead it to the state `to`."""
    drops = ledger.drops
    added = drops.add(drop.evolve(state=State.CLAIMED))
    if to is State.CLAIMED:
        return added
    current = drops.plan(added, [_planned(part, drop) for part in parts])
    for part in parts:
        _lead(ledger, current, _planned(part, drop), part)
    for event in _WAYS[to]:
        current = drops.move(current, event)
    return current


def _planned(part: Part, drop: Drop) -> Part:
    return Part.from_json({**part.to_json(), "drop": drop.drop, "state": PartState.PLANNED})


def _lead(ledger: Ledger, drop: Drop, planned: Part, goal: Part) -> None:
    if goal.state is PartState.PLANNED:
        return
    released = ledger.drops.release(drop, planned)
    if goal.state is not PartState.RELEASED:
        ledger.drops.settle_part(drop, released, goal.state, doubt=goal.doubt)
