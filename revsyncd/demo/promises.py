"""What is promised of a file that is dropped, and what a comparison found."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Self

from revsyncd.demo import sample
from revsyncd.demo.sample import LINE_ID, Row

Rows = Callable[[], Iterable[Row]]  # made anew at each call
Faults = dict[int, Row]  # by record number: the wrong cells
Deleted = set[tuple[int, str]]  # request and line id of what somebody deleted at the tenant


@dataclass(frozen=True, slots=True)
class Promise:
    """Something promised in words, whether it holds, and what was found."""

    words: str
    kept: bool
    found: str = ""


@dataclass(frozen=True, slots=True)
class Fate:
    """What is to become of a file: where it goes, why, and how many records the tenant then has."""

    outcome: str  # done | failed | held
    reason: str
    at_tenant: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file to drop: what is in it, what is promised of it, and `about`, a few words for people."""

    folder: str
    file: str
    records: int
    rows: Rows
    fate: Fate
    about: str
    faults: Faults = field(default_factory=dict)  # what is wrong in `rows`
    right: Rows = tuple  # the same rows without faults
    left_out: frozenset[int] = frozenset()  # records, from 1, that are not to be sent
    in_error: frozenset[int] = frozenset()  # records that the tenant puts in error once staged
    most_per_upload: int = 50_000
    relabelled: dict[str, str] = field(default_factory=dict)  # labels that the header gets wrong
    backwards: bool = False  # the columns in reversed order

    def right_cells(self) -> dict[str, Row]:
        """By line id, what the faulty cells ought to be."""
        rows = zip(sorted(self.faults.items()), sample.only(self.right(), self.faults), strict=True)
        return {
            row[LINE_ID]: {label: row.get(label, "") for label in cells} for (_, cells), row in rows
        }


@dataclass(frozen=True, slots=True)
class Dropped:
    """A sheet that was dropped: `nth` of its name in its folder, 1 being the first."""

    sheet: Sheet
    nth: int
    sha256: str
    corrects: Self | None = None
    repeats: Self | None = None  # the same bytes as
