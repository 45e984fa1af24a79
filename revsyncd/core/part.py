"""The life of a part: what the program may know about one upload.

All risk lies in `RELEASED`: the ledger has committed that the last chunk goes and no answer is
known yet. A part leaves it only by a definite answer; a start that finds one there puts it in doubt.
"""

from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any, Self

from revsyncd.core.drop import Reason, count


class PartState(StrEnum):
    """Where a part stands."""

    PLANNED = "planned"  # surely not at the tenant
    RELEASED = "released"  # its last chunk goes, or went
    ACCEPTED = "accepted"  # received under a request id
    STAGED = "staged"
    REFUSED = "refused"
    IN_DOUBT = "in_doubt"


PART_MOVES: dict[PartState, frozenset[PartState]] = {
    PartState.PLANNED: frozenset(
        {
            PartState.RELEASED,
            PartState.REFUSED,  # before its last chunk, definitely
            PartState.IN_DOUBT,  # called received before it was complete: such a tenant is not trusted
        }
    ),
    PartState.RELEASED: frozenset(
        {
            PartState.PLANNED,  # definitely not taken: 401, 403, 404, 405, 429, a redirect
            PartState.ACCEPTED,
            PartState.STAGED,
            PartState.REFUSED,
            PartState.IN_DOUBT,
        }
    ),
    PartState.ACCEPTED: frozenset({PartState.STAGED, PartState.REFUSED, PartState.IN_DOUBT}),
    PartState.IN_DOUBT: frozenset(
        {PartState.PLANNED, PartState.STAGED, PartState.REFUSED}  # a person's word or a late answer
    ),
    PartState.STAGED: frozenset(),
    PartState.REFUSED: frozenset(),
}


class UnknownPartMove(Exception):
    """A part was to go where its state does not lead."""


@dataclass(frozen=True, slots=True)
class Part:
    """One upload of a drop. `ranges` are its records in the dropped file, both ends inclusive.

    Its bytes, `size` in all, are those of a file that was written for it, or `head` and then those of
    the dropped file, wherever that lies, from `offset` on.
    """

    drop: str
    part: int
    of: int
    state: PartState
    records: int
    ranges: tuple[tuple[int, int], ...]
    file_name: str
    path: (
        str  # of the file written for it, relative to the root; empty: a range of the dropped file
    )
    size: int
    cut: int
    sha256: str
    route: str
    request_id: int | str | None = None
    message: str = ""
    doubt: Reason | None = None  # why it is in doubt: in_doubt, count_mismatch, unconfirmed
    tracking: str = ""
    released_at: float | None = None
    accepted_at: float | None = None
    head: str = ""
    offset: int = 0

    @property
    def in_place(self) -> bool:
        """Whether it is sent from the dropped file."""
        return not self.path

    @property
    def first_record(self) -> int:
        """The number, in the dropped file, of its first record."""
        return self.ranges[0][0]

    def become(self, state: PartState, **changes: Any) -> Self:
        """The part in its next state. Raises UnknownPartMove where `PART_MOVES` has no such way."""
        if state not in PART_MOVES[self.state]:
            raise UnknownPartMove(
                f"part {self.part} of {self.drop} is {self.state}, not to be {state}"
            )
        return replace(self, state=state, **changes)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        values = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        values["state"] = PartState(values["state"])
        values["ranges"] = tuple((first, last) for first, last in values["ranges"])
        values["doubt"] = Reason(values["doubt"]) if values.get("doubt") else None
        return cls(**values)


def records_in(parts: list[Part], *states: PartState) -> int:
    """How many records stand in parts of these states."""
    return sum(count(p.ranges) for p in parts if p.state in states)


def released(parts: list[Part]) -> bool:
    """Whether anything of the drop may have reached the tenant."""
    return any(p.state not in (PartState.PLANNED, PartState.REFUSED) for p in parts)
