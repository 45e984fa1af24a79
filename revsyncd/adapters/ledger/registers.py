"""The ledger's smaller registers: mappings, conditions, requests and stage errors."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from revsyncd.adapters.ledger.book import Book, text, writable
from revsyncd.core.template import Mapping


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that holds now, from `since` (seconds since the epoch) until it ends.

    `kind` and `scope` name it ("folder.paused", "transactions"); a `lasting` one survives restarts.
    """

    kind: str
    scope: str
    since: float
    message: str
    hint: str = ""
    lasting: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """A person's word, put in by a command and carried out by the daemon (or by the command)."""

    id: int
    at: float
    who: str
    verb: str
    target: str
    reason: str
    done: bool | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class KnownStageError:
    """A stage error as last seen; `state` is "open" or "gone", `drop` None where it is nobody's."""

    kind: str
    id: str
    state: str
    drop: str | None
    data: dict[str, Any]


class Remembered:
    """The keys that folders have staged, as hashes of 8 bytes; each call is short."""

    def __init__(self, book: Book) -> None:
        """Work on an open book."""
        self._book = book

    def put(self, folder: str, keys: Iterable[bytes], at: float) -> None:
        """Remember keys as staged at `at` (seconds since the epoch)."""
        with self._book.writing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO remembered VALUES (?, ?, ?)",
                ((folder, key, at) for key in keys),
            )

    def after(self, folder: str, key: bytes, since: float, limit: int) -> list[bytes]:
        """The next keys in their order, of those remembered at `since` or later."""
        query = (
            "SELECT key FROM remembered WHERE folder = ? AND key > ? AND at >= ?"
            " ORDER BY key LIMIT ?"
        )
        return [row[0] for row in self._book.rows(query, folder, key, since, limit)]

    def forget(self, folder: str, before: float, limit: int) -> int:
        """Forget keys remembered before that time, some at once; gives how many."""
        with self._book.writing() as connection:
            return connection.execute(
                "DELETE FROM remembered WHERE folder = ? AND key IN"
                " (SELECT key FROM remembered WHERE folder = ? AND at < ? LIMIT ?)",
                (folder, folder, before, limit),
            ).rowcount


class Mappings:
    """The tenant's mappings as last fetched."""

    def __init__(self, book: Book, clock: Callable[[], float]) -> None:
        """Work on an open book."""
        self._book = book
        self._now = clock

    def get(self, tenant: str, template_name: str) -> tuple[Mapping, float] | None:
        """The mapping and when it was fetched (seconds since the epoch)."""
        query = "SELECT data, fetched_at FROM mappings WHERE tenant = ? AND template_name = ?"
        rows = self._book.rows(query, tenant, template_name)
        return (Mapping.from_json(json.loads(rows[0][0])), rows[0][1]) if rows else None

    def put(self, tenant: str, template_name: str, mapping: Mapping) -> Mapping | None:
        """Keep a mapping; returns the one before when it differed."""
        before = self.get(tenant, template_name)
        with self._book.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO mappings VALUES (?, ?, ?, ?)",
                (tenant, template_name, self._now(), text(mapping.to_json())),
            )
            if before is None or before[0] != mapping:
                facts = {"template_name": template_name, "mapping": mapping.digest}
                self._book.remember(self._now(), "mapping", facts)
        return before[0] if before and before[0] != mapping else None


class Conditions:
    """What holds now: pauses, a tenant that can't be reached, a missing folder."""

    def __init__(self, book: Book, clock: Callable[[], float]) -> None:
        """Work on an open book."""
        self._book = book
        self._now = clock

    def all(self) -> list[Condition]:
        """Every condition, oldest first."""
        query = "SELECT kind, scope, since, message, hint, lasting, facts FROM conditions ORDER BY since"
        return [
            Condition(kind, scope, since, message, hint, bool(lasting), json.loads(facts))
            for kind, scope, since, message, hint, lasting, facts in self._book.rows(query)
        ]

    def begin(self, condition: Condition) -> None:
        """Record that it holds; one that holds already gets the new message."""
        with self._book.writing() as connection:
            connection.execute(
                "INSERT INTO conditions VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, scope) DO"
                " UPDATE SET message = excluded.message, hint = excluded.hint, facts = excluded.facts",
                (
                    condition.kind,
                    condition.scope,
                    int(condition.lasting),
                    condition.since,
                    writable(condition.message),
                    writable(condition.hint),
                    text(condition.facts),
                ),
            )
            if condition.lasting:
                facts = {"scope": condition.scope, "message": condition.message}
                self._book.remember(self._now(), condition.kind, facts)

    def end(self, kind: str, scope: str) -> None:
        """Record that it holds no more."""
        with self._book.writing() as connection:
            connection.execute("DELETE FROM conditions WHERE kind = ? AND scope = ?", (kind, scope))

    def forget_passing(self) -> None:
        """At start: only a person's pauses and stopped folders are still true."""
        with self._book.writing() as connection:
            connection.execute("DELETE FROM conditions WHERE lasting = 0")


class Requests:
    """What commands ask of the daemon."""

    def __init__(self, book: Book, clock: Callable[[], float]) -> None:
        """Work on an open book."""
        self._book = book
        self._now = clock

    def put(self, who: str, verb: str, target: str, reason: str) -> int:
        """Ask for something; returns the request's number."""
        with self._book.writing() as connection:
            cursor = connection.execute(
                "INSERT INTO requests (at, who, verb, target, reason) VALUES (?, ?, ?, ?, ?)",
                (self._now(), who, verb, writable(target), writable(reason)),
            )
        return cursor.lastrowid or 0

    def get(self, number: int) -> Request | None:
        """One request, with its answer when there is one."""
        found = self._select("WHERE id = ?", number)
        return found[0] if found else None

    def waiting(self) -> list[Request]:
        """Those not answered yet, in order."""
        return self._select("WHERE answered_at IS NULL ORDER BY id")

    def answer(self, number: int, *, done: bool, answer: str) -> None:
        """Record what became of a request; it is carried out only once."""
        with self._book.writing() as connection:
            connection.execute(
                "UPDATE requests SET answered_at = ?, done = ?, answer = ? WHERE id = ?",
                (self._now(), int(done), writable(answer), number),
            )

    def changes(self) -> int:
        """A number that changes when another process has written (SQLite's data_version)."""
        return int(self._book.rows("PRAGMA data_version")[0][0])

    def _select(self, where: str, *values: Any) -> list[Request]:
        query = f"SELECT id, at, who, verb, target, reason, done, answer FROM requests {where}"  # noqa: S608  (our own text)
        return [
            Request(
                id_, at, who, verb, target, reason, None if done is None else bool(done), answer
            )
            for id_, at, who, verb, target, reason, done, answer in self._book.rows(query, *values)
        ]


class StageErrors:
    """Every line of the tenant that was ever seen in error."""

    def __init__(self, book: Book) -> None:
        """Work on an open book."""
        self._book = book

    def known(self, tenant: str, kind: str) -> dict[str, KnownStageError]:
        """All of one kind by the tenant's id of the error, those gone too."""
        query = (
            "SELECT kind, id, state, drop_id, data FROM stage_errors WHERE tenant = ? AND kind = ?"
        )
        return {row[1]: _known(row) for row in self._book.rows(query, tenant, kind)}

    def of_drop(self, drop: str) -> list[KnownStageError]:
        """Those that belong to a drop."""
        query = "SELECT kind, id, state, drop_id, data FROM stage_errors WHERE drop_id = ?"
        return [_known(row) for row in self._book.rows(query, drop)]

    def open_by_folder(self, tenant: str) -> dict[str, int]:
        """How many are open by the folder of their drop; those of no drop under an empty name."""
        query = (
            "SELECT coalesce(d.folder, ''), count(*) FROM stage_errors s LEFT JOIN drops d"
            " ON d.id = s.drop_id WHERE s.tenant = ? AND s.state = 'open' GROUP BY 1"
        )
        return dict(self._book.rows(query, tenant))

    def put(self, tenant: str, errors: list[KnownStageError]) -> None:
        """Record what was seen, all or nothing."""
        with self._book.writing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO stage_errors VALUES (?, ?, ?, ?, ?, ?)",
                [(tenant, e.kind, e.id, e.state, e.drop, text(e.data)) for e in errors],
            )


def _known(row: tuple[Any, ...]) -> KnownStageError:
    kind, number, state, drop, data = row
    return KnownStageError(kind, number, state, drop, json.loads(data))
