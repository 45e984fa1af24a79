"""The open ledger: its connection, its transactions and its chained history.

Source for the settings: SQLite's documentation of WAL and `synchronous`; with WAL and FULL a
commit is durable when it returns. One instance writes; commands read beside it, and put their
requests in through short transactions of their own.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Self

from revsyncd.adapters.ledger.schema import migrate, require_current
from revsyncd.core.errors import LedgerBroken, NoSpace, RevsyncdError
from revsyncd.core.places import shown

FILE_NAME = "ledger.sqlite3"
BUSY_TIMEOUT = 15.0  # seconds; a command's request takes milliseconds
EMPTY_CHAIN = "0" * 64
_CACHE = 256  # KiB kept in memory: few rows are asked for, and it must not grow with the ledger


def text(value: Any) -> str:
    """JSON for a column: ASCII, so that names that are not UTF-8 survive; keys sorted."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def writable(words: str) -> str:
    r"""`words` as SQLite can hold them: what is not UTF-8 in a name from outside becomes `\xff`."""
    return "".join(shown(c) if "\ud800" <= c <= "\udfff" else c for c in words)


class Book:
    """One SQLite file. Every method blocks; see `revsyncd.adapters.ledger.Ledger` for the thread."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        """Wrap an open connection; use `open` or `read`."""
        self.connection = connection
        self.path = path

    @classmethod
    def open(cls, state_dir: Path) -> Self:
        """Open for writing, creating and migrating as needed. Raises RefusedToStart, NoSpace."""
        path = state_dir / FILE_NAME
        with _translated(), ExitStack() as undo:
            _make_private(path)
            connection = undo.enter_context(closing(_connected(path)))
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(f"PRAGMA cache_size = -{_CACHE}")
            migrate(connection)
            undo.pop_all()
        return cls(connection, path)

    @classmethod
    def read(cls, state_dir: Path) -> Self:
        """Open for reading beside a running daemon.

        Raises RevsyncdError when there is none yet, RefusedToStart when it has another schema.
        """
        path = state_dir / FILE_NAME
        if not path.exists():
            raise RevsyncdError(
                f"there is no ledger at {path} yet",
                hint="Start the daemon once (`revsyncd run`), or check `state_dir`.",
            )
        with _translated(), ExitStack() as undo:
            connection = undo.enter_context(closing(_connected(path)))
            require_current(connection)
            connection.execute("PRAGMA query_only = ON")
            undo.pop_all()
        return cls(connection, path)

    def close(self) -> None:
        """Close the connection; a checkpoint is SQLite's own business."""
        self.connection.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed durably when the block ends, undone when it raises."""
        with _translated():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with _translated():
            return self.connection.execute(query, values).fetchall()

    def each(self, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """The rows of a query one after another, for those that are too many to hold."""
        with _translated():
            yield from self.connection.execute(query, values)

    def remember(
        self, at: float, event: str, facts: Any, drop: str | None = None, part: int | None = None
    ) -> None:
        """Append to the history, inside the caller's transaction; each row seals the ones before."""
        written = text(facts)
        sealed = seal(self.head()[1], [repr(at), drop, part, event, written])
        self.connection.execute(
            "INSERT INTO history (at, drop_id, part, event, facts, chain) VALUES (?, ?, ?, ?, ?, ?)",
            (at, drop, part, event, written, sealed),
        )

    def head(self) -> tuple[int, str]:
        """The number and the seal of the history's last row; (0, zeros) when it is empty."""
        rows = self.rows("SELECT n, chain FROM history ORDER BY n DESC LIMIT 1")
        return (rows[0][0], rows[0][1]) if rows else (0, EMPTY_CHAIN)

    def meta(self, key: str) -> str | None:
        """A fact about the ledger itself."""
        rows = self.rows("SELECT value FROM meta WHERE key = ?", key)
        return rows[0][0] if rows else None

    def set_meta(self, key: str, value: str) -> None:
        """Write such a fact, in a transaction of its own."""
        with self.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def seal(before: str, row: list[Any]) -> str:
    """The SHA-256 that chains a history row (at, drop, part, event, facts) to the one before."""
    return hashlib.sha256(text([before, *row]).encode()).hexdigest()


def _connected(path: Path) -> sqlite3.Connection:
    """A connection to a file that exists; each statement commits by itself unless told otherwise."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
    )


def _make_private(path: Path) -> None:
    """SQLite gives its log the mode of the ledger, so that has to be right before there is a log."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise NoSpace(
            f"the ledger {path} can't be opened: {error.strerror}", hint=_DISK_HINT
        ) from error


# SQLite's primary result codes, https://www.sqlite.org/rescode.html
_FULL, _IOERR, _READONLY, _CANTOPEN, _CORRUPT, _NOTADB, _BUSY = 13, 10, 8, 14, 11, 26, 5
# An extended one: a quota or a limit of size. Unlike after a failed fsync, all is as it was before.
_IOERR_WRITE = 778


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        extended = getattr(error, "sqlite_errorcode", 0)
        code = extended & 0xFF
        if code in (_FULL, _READONLY, _CANTOPEN) or extended == _IOERR_WRITE:
            raise NoSpace(f"the ledger can't be written: {error}", hint=_DISK_HINT) from error
        if code == _BUSY:
            raise NoSpace(f"the ledger can't be written: {error}", hint=_BUSY_HINT) from error
        if code in (_IOERR, _CORRUPT, _NOTADB):
            raise LedgerBroken(f"the ledger is broken: {error}", hint=_BROKEN_HINT) from error
        raise


_DISK_HINT = "Free space in `state_dir`, or mend its permissions; nothing is lost meanwhile."
_BUSY_HINT = "Another process keeps the ledger locked: end it (`fuser` on the file names it)."
_BROKEN_HINT = (
    "Check the disk under `state_dir`, then start again; do not delete the ledger. If it stays broken,"
    " restore a backup that the root accepts, or, where there is none, `revsyncd ledger rebuild`."
)
