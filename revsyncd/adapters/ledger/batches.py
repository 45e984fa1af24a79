"""General-ledger batches in the ledger: every step recorded with its place in the history."""

import json
from collections.abc import Callable
from typing import Any

from revsyncd.adapters.ledger.book import Book, text
from revsyncd.core.batch import Batch, Event, State, advance

# What must survive a rollback of the ledger alone: without it a batch might be written or told twice.
_PROVEN = (Event.FETCHED, Event.PUBLISHED, Event.CONFIRM_ASKED, Event.CONFIRMED)
_OPEN = (State.LISTED, State.FETCHED, State.WRITTEN, State.CONFIRMING, State.HELD, State.WITHDRAWN)
_TOLD = ("source", "file", "place", "reason", "message", "reissue_of", "word", "acknowledged")


class Batches:
    """All about batches. `clock` gives wall time; `sync_head` is called after what must be proven."""

    def __init__(
        self, book: Book, clock: Callable[[], float], sync_head: Callable[[], None]
    ) -> None:
        """Work on an open book."""
        self._book = book
        self._now = clock
        self._sync_head = sync_head

    # -- reading ---------------------------------------------------------------------------------

    def latest(self, tenant: str, batch: str) -> Batch | None:
        """The last issue of a batch."""
        found = self._select(
            "WHERE tenant = ? AND batch = ? ORDER BY issue DESC LIMIT 1", tenant, batch
        )
        return found[0] if found else None

    def open(self, tenant: str) -> list[Batch]:
        """Every issue with which something is still to be done, or to be looked at by a person."""
        marks = ", ".join("?" for _ in _OPEN)
        return self._select(f"WHERE tenant = ? AND state IN ({marks})", tenant, *_OPEN)

    def every(self) -> list[Batch]:
        """Every issue of every batch, of whatever tenant."""
        return self._select("ORDER BY tenant, batch, issue")

    def events(self, batch: Batch) -> set[str]:
        """What the history tells of an issue."""
        query = (
            "SELECT event FROM history WHERE event LIKE 'gl %'"
            " AND json_extract(facts, '$.batch') = ? AND json_extract(facts, '$.issue') = ?"
        )
        return {row[0] for row in self._book.rows(query, batch.batch, batch.issue)}

    def last(self, tenant: str, limit: int = 20) -> list[Batch]:
        """The last ones that are confirmed or closed, newest first."""
        query = (
            "WHERE tenant = ? AND state IN ('confirmed', 'closed') ORDER BY changed_at DESC LIMIT ?"
        )
        return self._select(query, tenant, limit)

    def names_in(self, place: str) -> set[str]:
        """The names that files of ours ever had in a directory below the root."""
        query = "SELECT target FROM gl_batches WHERE substr(target, 1, ?) = ?"
        rows = self._book.rows(query, len(place) + 1, f"{place}/")
        return {row[0].rpartition("/")[2] for row in rows if "/" not in row[0][len(place) + 1 :]}

    def prepared_names(self) -> set[str]:
        """The hidden names under which files wait to be published, of whatever tenant."""
        waiting = self._select("WHERE state = ?", State.FETCHED)
        return {name for batch in waiting for name in batch.prepared or ()}

    # -- writing ---------------------------------------------------------------------------------

    def add(self, batch: Batch) -> Batch:
        """A new issue; the one before it, if it is still in the way, is superseded in one step."""
        with self._book.writing():
            before = self.latest(batch.tenant, batch.batch)
            if before is not None:
                moved = advance(before.state, Event.REISSUED)
                self._store(before.evolve(state=moved, changed_at=self._now()))
            self._store(batch)
            facts = {**_named(batch), "to": batch.state, "updated": batch.updated}
            self._remember("gl listed", facts | {"reissue_of": batch.reissue_of})
        return batch

    def restore(self, batch: Batch) -> None:
        """An issue as its manifest proves it: into a ledger that is being rebuilt."""
        with self._book.writing():
            self._store(batch)
            self._remember("gl rebuilt", {**_named(batch), "to": batch.state, "file": batch.file})

    def move(self, batch: Batch, event: Event, **changes: Any) -> Batch:
        """Let an event happen. Raises UnknownMove; the ledger is then unchanged."""
        at = self._now()
        moved = batch.evolve(state=advance(batch.state, event), **{"changed_at": at, **changes})
        facts = {**_named(batch), "from": batch.state, "to": moved.state}
        facts |= {name: changes[name] for name in _TOLD if name in changes}
        with self._book.writing():
            self._store(moved)
            self._remember(f"gl {event}", facts)
        if event in _PROVEN:
            self._sync_head()
        return moved

    def note(self, batch: Batch, what: str = "", **changes: Any) -> Batch:
        """Change facts of a batch without moving it; `what` goes to the history unless empty."""
        changed = batch.evolve(**changes)
        with self._book.writing():
            self._store(changed)
            if what:
                told = {name: changes[name] for name in _TOLD if name in changes}
                self._remember(f"gl {what}", _named(batch) | told)
        return changed

    # -- inside ----------------------------------------------------------------------------------

    def _select(self, where: str, *values: Any) -> list[Batch]:
        rows = self._book.rows(f"SELECT data FROM gl_batches {where}", *values)  # noqa: S608  (our own text)
        return [Batch.from_json(json.loads(row[0])) for row in rows]

    def _store(self, batch: Batch) -> None:
        target = f"{batch.place}/{batch.file}" if batch.file else None
        self._book.connection.execute(
            "INSERT OR REPLACE INTO gl_batches VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                batch.tenant,
                batch.batch,
                batch.issue,
                batch.state,
                batch.changed_at,
                target,
                text(batch.to_json()),
            ),
        )

    def _remember(self, event: str, facts: dict[str, Any]) -> None:
        self._book.remember(self._now(), event, facts)


def _named(batch: Batch) -> dict[str, Any]:
    return {"batch": batch.batch, "issue": batch.issue}
