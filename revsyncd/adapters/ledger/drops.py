"""Drops and their parts in the ledger: every step recorded with its place in the history."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from revsyncd.adapters.ledger.book import Book, text
from revsyncd.checks.contract import Problem
from revsyncd.core.drop import Drop, Event, State, UnknownMove, advance
from revsyncd.core.errors import NoSpace
from revsyncd.core.part import Part, PartState

_UNSENT = (PartState.PLANNED, PartState.REFUSED)
# A plan in one of these states is about to be sent: its content counts as in progress.
_PLANNED_COUNTS = (State.CHECKED, State.SENDING, State.ACCEPTED)


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One step as it was recorded; `at` in seconds since the epoch."""

    n: int
    at: float
    part: int | None
    event: str
    facts: dict[str, Any]


class AlreadyTaken(Exception):
    """The same content was already released for this template; `drop` names where."""

    def __init__(self, drop: str, part: int) -> None:
        """Name the drop, and the part of it, that has the content."""
        super().__init__(f"the same content is part {part} of drop {drop}")
        self.drop = drop
        self.part = part


class Drops:
    """All about drops. `clock` gives wall time; `sync_head` is called after what must be proven."""

    def __init__(
        self, book: Book, clock: Callable[[], float], sync_head: Callable[[], None]
    ) -> None:
        """Work on an open book."""
        self._book = book
        self._now = clock
        self._sync_head = sync_head

    # -- reading ---------------------------------------------------------------------------------

    def get(self, drop: str) -> Drop | None:
        """One drop by its id."""
        found = self._select("WHERE id = ?", drop)
        return found[0] if found else None

    def find(self, beginning: str) -> list[Drop]:
        """The drops whose id begins so, or whose dropped file has exactly this name."""
        if beginning.isascii() and beginning.isalnum():  # as ids are
            like = f"{beginning.upper()}%"
            by_id = self._select("WHERE id LIKE ? ORDER BY seq LIMIT 10", like)
            if by_id:
                return by_id
        return self._select("WHERE file = ? ORDER BY seq DESC LIMIT 10", json.dumps(beginning))

    def open(self) -> list[Drop]:
        """Every drop with which the program still has something to do, in order of claiming."""
        return self._select("WHERE open = 1 ORDER BY seq")

    def held(self) -> list[Drop]:
        """Every held drop."""
        return self._select("WHERE state = 'held' ORDER BY seq")

    def after(self, seq: int, limit: int = 200) -> list[Drop]:
        """The next drops in order of claiming, whatever their state."""
        return self._select("WHERE seq > ? ORDER BY seq LIMIT ?", seq, limit)

    def settled(self, limit: int = 50) -> list[Drop]:
        """The last ones that are done or failed, newest first."""
        query = "WHERE state IN ('done', 'failed') ORDER BY settled_at DESC LIMIT ?"
        return self._select(query, limit)

    def done_since(self, at: float, kind: str) -> list[Drop]:
        """Drops of a kind of which something is at the tenant, settled or claimed since `at`."""
        query = (
            "WHERE json_extract(data, '$.kind') = ?"
            " AND max(json_extract(data, '$.received_at'), coalesce(settled_at, 0)) >= ?"
            " AND id IN (SELECT drop_id FROM parts WHERE state = 'staged') ORDER BY seq DESC"
        )
        return self._select(query, kind, at)

    def same_file(self, tenant: str, template_name: str, sha256: str, but: str) -> Drop | None:
        """The drop whose file has these bytes and that was, or may be, taken or is in progress."""
        # Without the drops themselves: of a file that fails time and again there are very many.
        query = (
            "SELECT drops.id, drops.state, parts.state FROM drops"
            " JOIN parts ON parts.drop_id = drops.id"
            " WHERE drops.sha256 = ? AND drops.template_name = ? AND drops.tenant = ?"
            " AND drops.id <> ? ORDER BY drops.seq"
        )
        for id_, state, part in self._book.rows(query, sha256, template_name, tenant, but):
            if self._counts(State(state), PartState(part)):
                return self.get(id_)
        return None

    def earlier_named(self, folder: str) -> list[tuple[str, str]]:
        """Id and file name of the folder's settled drops that may have been corrected, newest first."""
        query = (
            "SELECT id, file FROM drops WHERE folder = ? AND state IN ('done', 'failed', 'held')"
            " ORDER BY seq DESC LIMIT 5000"
        )
        return [(row[0], json.loads(row[1])) for row in self._book.rows(query, folder)]

    def corrections(self, drop: str) -> list[str]:
        """The ids of the drops that correct this one."""
        query = "SELECT id FROM drops WHERE correction_of = ? ORDER BY seq"
        return [row[0] for row in self._book.rows(query, drop)]

    def parts(self, drop: str) -> list[Part]:
        """The parts of a drop in order; empty before it is checked."""
        rows = self._book.rows("SELECT data FROM parts WHERE drop_id = ? ORDER BY part", drop)
        return [Part.from_json(json.loads(row[0])) for row in rows]

    def parts_in(self, state: PartState) -> list[Part]:
        """Every part in a state, oldest drop first."""
        rows = self._book.rows(
            "SELECT data FROM parts WHERE state = ? ORDER BY drop_id, part", state
        )
        return [Part.from_json(json.loads(row[0])) for row in rows]

    def problems(self, drop: str) -> list[Problem]:
        """The listed problems that the checks found."""
        rows = self._book.rows("SELECT problems FROM findings WHERE drop_id = ?", drop)
        return [Problem(*fields) for fields in json.loads(rows[0][0])] if rows else []

    def history(self, drop: str) -> list[HistoryRow]:
        """Everything that was recorded about a drop, oldest first."""
        query = "SELECT n, at, part, event, facts FROM history WHERE drop_id = ? ORDER BY n"
        rows = self._book.rows(query, drop)
        return [HistoryRow(n, at, part, event, json.loads(f)) for n, at, part, event, f in rows]

    # -- writing ---------------------------------------------------------------------------------

    def add(self, drop: Drop) -> Drop:
        """A new drop, claimed; returns it with its place in the order of claiming."""
        with self._book.writing() as connection:
            cursor = connection.execute(
                "INSERT INTO drops (id, folder, file, state, open, tenant, template_name, data)"
                " VALUES (?, ?, ?, ?, 1, ?, ?, '{}')",
                (
                    drop.drop,
                    drop.folder,
                    json.dumps(drop.file),
                    drop.state,
                    drop.tenant,
                    drop.template_name,
                ),
            )
            numbered = drop.evolve(seq=cursor.lastrowid)
            self._store(numbered)
            facts = {"folder": drop.folder, "file": drop.file, "size": drop.size}
            self._book.remember(self._now(), "claimed", facts, drop.drop)
        return numbered

    def restore(self, drop: Drop, parts: Iterable[Part], problems: Iterable[Problem]) -> Drop:
        """A drop as a report, or the lack of one, proves it: into a ledger that is being rebuilt."""
        numbered = self.add(drop)
        facts = {"to": drop.state, "place": drop.place, "sha256": drop.sha256}
        with self._book.writing():
            self._book.remember(self._now(), "rebuilt", facts, drop.drop)
            for part in parts:
                self._store_part(numbered, part)
                told = {"to": part.state, "file_name": part.file_name, "sha256": part.sha256}
                if part.state is not PartState.PLANNED:
                    self._book.remember(self._now(), part.state, told, drop.drop, part.part)
        if listed := list(problems):
            self.found(drop.drop, listed)
        return numbered

    def move(self, drop: Drop, event: Event, **changes: Any) -> Drop:
        """Let an event happen. Raises UnknownMove; the ledger is then unchanged."""
        moved = drop.evolve(state=advance(drop.state, event), **changes)
        facts: dict[str, Any] = {"from": drop.state, "to": moved.state}
        if moved.ending and moved.ending != drop.ending:
            facts |= {"reason": moved.ending.reason, "message": moved.ending.message}
        facts |= {name: changes[name] for name in ("resolved", "permitted") if name in changes}
        with self._book.writing():
            if event is Event.START_OVER:
                self._forget_plan(drop)
            self._store(moved)
            self._book.remember(self._now(), event, facts, drop.drop)
        if event is Event.FILED:
            self._sync_head()
        return moved

    def note(self, drop: Drop, what: str = "", **changes: Any) -> Drop:
        """Change facts of a drop without moving it; `what` goes to the history unless empty."""
        changed = drop.evolve(**changes)
        with self._book.writing():
            self._store(changed)
            if what:
                self._book.remember(self._now(), what, changes, drop.drop)
        if changes.get("filed"):
            self._sync_head()
        return changed

    def found(self, drop: str, problems: Iterable[Problem]) -> None:
        """Keep the listed problems of a drop: its sidecars are written again when more is learnt."""
        rows = [[getattr(p, name) for name in Problem.__slots__] for p in problems]
        with self._book.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO findings VALUES (?, ?)", (drop, json.dumps(rows))
            )

    def plan(self, drop: Drop, parts: list[Part], **changes: Any) -> Drop:
        """The checks passed: reserve the content of every part and move on, in one transaction.

        Raises AlreadyTaken when the file's or a part's content was, or may be, taken or is in
        progress elsewhere, or a part's stands twice in this drop itself, unless a person permitted
        the duplicate.
        """
        moved = drop.evolve(state=advance(drop.state, Event.PASSED), **changes)
        with self._book.writing():
            if "duplicate" not in drop.permitted:
                self._refuse_same_file(moved)
                self._refuse_taken(moved, parts)
            self._forget_plan(drop)
            for part in parts:
                self._store_part(moved, part)
            self._store(moved)
            facts = {"from": drop.state, "to": moved.state, "parts": len(parts)}
            self._book.remember(self._now(), Event.PASSED, facts, drop.drop)
        return moved

    def release(self, drop: Drop, part: Part) -> Part:
        """Record, durably, that the last chunk of a part goes now. Raises AlreadyTaken, NoSpace."""
        at = self._now()
        released = part.become(PartState.RELEASED, released_at=at)
        with self._book.writing():
            if "duplicate" not in drop.permitted:
                self._refuse_taken(drop, [part], released_only=True)
            self._store_part(drop, released)
            facts = {"file_name": part.file_name, "sha256": part.sha256, "records": part.records}
            self._book.remember(at, "released", facts, drop.drop, part.part)
        try:
            self._sync_head()
        except NoSpace:
            # It does not go, so after a restart it must not look as if it had gone.
            self.settle_part(drop, released, PartState.PLANNED, released_at=None)
            raise
        return released

    def settle_part(self, drop: Drop, part: Part, state: PartState, **changes: Any) -> Part:
        """Record what became of a part, and of the drop what `with_news` says."""
        settled = part.become(state, **changes)
        facts = {"from": part.state, "to": state, **changes}
        with self._book.writing():
            if (told := drop.with_news()) != drop:
                self._store(told)
            self._store_part(drop, settled)
            self._book.remember(self._now(), state, facts, drop.drop, part.part)
        return settled

    # -- inside ----------------------------------------------------------------------------------

    def _select(self, where: str, *values: Any) -> list[Drop]:
        rows = self._book.rows(f"SELECT data FROM drops {where}", *values)  # noqa: S608  (our own text)
        return [Drop.from_json(json.loads(row[0])) for row in rows]

    def _store(self, drop: Drop) -> None:
        self._book.connection.execute(
            "UPDATE drops SET folder = ?, state = ?, open = ?, tenant = ?, template_name = ?,"
            " sha256 = ?, settled_at = ?, correction_of = ?, data = ? WHERE id = ?",
            (
                drop.folder,
                drop.state,
                int(drop.open),
                drop.tenant,
                drop.template_name,
                drop.sha256,
                drop.settled_at,
                drop.correction_of,
                text(drop.to_json()),
                drop.drop,
            ),
        )

    def _store_part(self, drop: Drop, part: Part) -> None:
        self._book.connection.execute(
            "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                part.drop,
                part.part,
                part.state,
                drop.tenant,
                drop.template_name,
                part.sha256,
                text(part.to_json()),
            ),
        )

    def _forget_plan(self, drop: Drop) -> None:
        """Remove the parts of an earlier plan. Raises UnknownMove where one may be at the tenant."""
        if any(part.state not in _UNSENT for part in self.parts(drop.drop)):
            raise UnknownMove(f"parts of drop {drop.drop} were released: it can't be planned anew")
        self._book.connection.execute("DELETE FROM parts WHERE drop_id = ?", (drop.drop,))

    def _refuse_same_file(self, drop: Drop) -> None:
        """Looked at again within the plan's transaction: another drop may have been planned since."""
        if drop.sha256 is not None:
            same = self.same_file(drop.tenant, drop.template_name, drop.sha256, drop.drop)
            if same is not None:
                raise AlreadyTaken(same.drop, 1)

    def _refuse_taken(self, drop: Drop, parts: list[Part], *, released_only: bool = False) -> None:
        seen: dict[str, int] = {}
        for part in parts:
            if part.sha256 in seen:
                raise AlreadyTaken(drop.drop, seen[part.sha256])
            seen[part.sha256] = part.part
            query = (
                "SELECT p.drop_id, p.part, p.state, d.state FROM parts p JOIN drops d"
                " ON d.id = p.drop_id WHERE p.sha256 = ? AND p.template_name = ? AND p.tenant = ?"
                " AND NOT (p.drop_id = ? AND (? OR p.part = ?))"
            )
            values = (part.sha256, drop.template_name, drop.tenant, drop.drop)
            for other, number, part_state, drop_state in self._book.rows(
                query, *values, not released_only, part.part
            ):
                counts = (
                    part_state not in _UNSENT
                    if released_only
                    else self._counts(State(drop_state), PartState(part_state))
                )
                if counts:
                    raise AlreadyTaken(other, number)

    @staticmethod
    def _counts(drop: State, part: PartState) -> bool:
        return part not in _UNSENT or (part is PartState.PLANNED and drop in _PLANNED_COUNTS)
