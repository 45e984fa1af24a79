"""Drops and parts for the tests: whole values of which a test names only what it is about."""

from typing import Any

from revsyncd.core.drop import Drop, State
from revsyncd.core.part import Part, PartState

RECORDS = 10  # in each part

_ID = "01J{:023d}"


def drop_id(number: int) -> str:
    """An id like those of real drops; later numbers sort later."""
    return _ID.format(number)


def a_drop(number: int = 1, **changes: Any) -> Drop:
    """A claimed drop of the folder `orders`."""
    drop = Drop(
        drop=drop_id(number),
        folder="orders",
        file=f"orders-{number}.csv",
        state=State.CLAIMED,
        tenant="https://acme.example",
        template_name="Transaction Upload",
        kind="transaction",
        received_at=1_795_409_252.12,
        place=f"orders/.work/{drop_id(number)}",
        name=f"orders-{number}.csv",
        seq=number,
        identity=(100, 1, 1),
    )
    return drop.evolve(**changes)


def a_part(
    part: int = 1, of: int = 1, state: PartState = PartState.PLANNED, **changes: Any
) -> Part:
    """A part with ten records; its place in the file and its content follow from its number."""
    facts: dict[str, Any] = {
        "drop": drop_id(1),
        "part": part,
        "of": of,
        "state": state,
        "records": RECORDS,
        "ranges": (((part - 1) * RECORDS + 1, part * RECORDS),),
        "file_name": f"orders.p{part:03d}of{of:03d}.csv",
        "path": f"orders/.work/parts/{part}.csv",
        "size": 1000,
        "cut": 900,
        "sha256": f"{part:064x}",
        "route": "file",
    }
    return Part(**{**facts, **changes})


def parts_in(*states: PartState) -> list[Part]:
    """One part for each state, in this order."""
    return [a_part(n, len(states), state) for n, state in enumerate(states, start=1)]
