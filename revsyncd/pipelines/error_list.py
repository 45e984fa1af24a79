"""One list of lines in error against what the ledger knew: what is new, what is gone, whose it is."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from revsyncd.adapters.ledger import KnownStageError
from revsyncd.core.stage_errors import Owner, choose, line_ids
from revsyncd.core.template import Kind
from revsyncd.pipelines.line_search import Found
from revsyncd.ports import StageErrorRow

OPEN, GONE = "open", "gone"
MOST_NAMED = 5  # records, in a message

Rows = dict[str, StageErrorRow]  # by identity


@dataclass(slots=True)
class ErrorList:
    """A kind's list as it came `at` (seconds since the epoch), and the ledger's rows before it.

    `changes` are what the ledger is to keep. `left` are the drops from which a row was taken away,
    where the tenant uses an error's id for another line.
    """

    kind: Kind
    at: float
    listed: Rows
    known: dict[str, KnownStageError]
    changes: dict[str, KnownStageError] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)

    def compare(self) -> tuple[Rows, Rows]:
        """Note what needs no search; returns the new rows, and the known ones that are nobody's."""
        new, nobodys = Rows(), Rows()
        for number, row in self.listed.items():
            before = self.known.get(number)
            if before is None or not _same_line(before, row):
                new[number] = row
                self.left |= {before.drop} if before and before.drop else set()
            elif before.drop is None:
                nobodys[number] = row
            else:
                self._note(_told_anew(before, row))
        for number, before in self.known.items():
            if number not in self.listed:
                self._note(replace(before, state=GONE))
        return new, nobodys

    def decide(self, new: Rows, nobodys: Rows, found: Found) -> None:
        """Give rows to the drops in which their ids were found.

        `new` ones were looked for everywhere, `nobodys` only where they had not been before.
        """
        taken: dict[str, set[int]] = {}
        for error in self.after():
            if error.drop and error.state == OPEN and error.id not in new:
                taken.setdefault(error.drop, set()).add(error.data["record"])
        rows = {**new, **nobodys}
        for number in sorted(rows, key=_in_order):
            row = rows[number]
            holdings = [h for line_id in line_ids(row) for h in found.get(line_id, ())]
            owner = choose(row, holdings, taken)
            if owner is None and number in nobodys:
                self._note(_told_anew(self.known[number], row))
                continue
            if owner and owner.holding:
                taken.setdefault(owner.holding.drop, set()).add(owner.holding.record)
            self._note(self._error(number, row, owner))

    def after(self) -> list[KnownStageError]:
        """The ledger's rows as they will be."""
        return list({**self.known, **self.changes}.values())

    def appeared(self) -> list[KnownStageError]:
        """What is open now and was not, or not in this drop."""
        return [e for e in self.changes.values() if e.state == OPEN and not self._was_open(e)]

    def disappeared(self) -> list[KnownStageError]:
        """What was open and is listed no more."""
        return [e for e in self.changes.values() if e.state == GONE]

    def _was_open(self, error: KnownStageError) -> bool:
        before = self.known.get(error.id)
        return before is not None and (before.state, before.drop) == (OPEN, error.drop)

    def _note(self, error: KnownStageError) -> None:
        if error != self.known.get(error.id):
            self.changes[error.id] = error

    def _error(self, number: str, row: StageErrorRow, owner: Owner | None) -> KnownStageError:
        before, holding = self.known.get(number), owner.holding if owner else None
        again = before is not None and _same_line(before, row)
        data = {
            "record": holding.record if holding else 0,
            "line": holding.line if holding else 0,
            "so_line_id": row.so_line_id,
            "inv_line_id": row.inv_line_id,
            "message": "",
            "code": row.code,
            "column": holding.label if holding else "",
            "value": getattr(row, holding.column).strip() if holding else "",
            "type": row.type,
            "upload_id": row.upload_id,
            "created": row.created,
            "first_seen": before.data["first_seen"] if before and again else self.at,
            "also_in": list(owner.also_in) if owner else [],
            "waits_for": owner.waits_for if owner else "",
        }
        error = KnownStageError(self.kind, number, OPEN, holding.drop if holding else None, data)
        return _told_anew(error, row)


def identity(row: StageErrorRow) -> str:
    """The tenant's id of the error; where it gives none, what tells the line from others."""
    line = (row.type, row.so_line_id, row.inv_line_id, row.created)
    return row.id.strip() or json.dumps(line, ensure_ascii=False)


def printable(row: StageErrorRow) -> StageErrorRow:
    """The row without halves of characters, which JSON may hold and UTF-8 may not."""
    values = (getattr(row, name) for name in StageErrorRow.__slots__)
    return StageErrorRow(*(value.encode("utf-8", "replace").decode() for value in values))


def waiting_for(error: KnownStageError) -> str:
    """The drop whose upload must be known to be staged before the error can be given to it."""
    found: str = error.data.get("waits_for", "")
    return found


def drops_in_error(errors: Iterable[KnownStageError]) -> set[str]:
    """The drops with open errors."""
    return {error.drop for error in errors if error.drop and error.state == OPEN}


def _same_line(error: KnownStageError, row: StageErrorRow) -> bool:
    names = ("type", "so_line_id", "inv_line_id", "created")
    return all(error.data.get(name) == getattr(row, name) for name in names)


def _told_anew(error: KnownStageError, row: StageErrorRow) -> KnownStageError:
    """The error as open, in the words that the row has now."""
    others = error.data.get("also_in", ())
    doubt = ""
    if others:
        named = ", ".join(map(str, others[:MOST_NAMED])) + (", …" if others[MOST_NAMED:] else "")
        doubt = f" (or one of the records with the same id: {named})"
    data = {**error.data, "message": row.message + doubt, "code": row.code}
    return replace(error, state=OPEN, data=data)


def _in_order(number: str) -> tuple[int, str]:
    """Ids are numbers as a rule: shorter ones first."""
    return len(number), number
