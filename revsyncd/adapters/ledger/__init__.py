"""The ledger: what the program may know. SQLite, one writer, an append-only chained history."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, Self, TypeVar

import anyio
from anyio import to_thread

from revsyncd.adapters.ledger.batches import Batches
from revsyncd.adapters.ledger.book import Book
from revsyncd.adapters.ledger.drops import AlreadyTaken, Drops, HistoryRow
from revsyncd.adapters.ledger.identity import Head, only_instance, running
from revsyncd.adapters.ledger.registers import (
    Condition,
    Conditions,
    KnownStageError,
    Mappings,
    Remembered,
    Request,
    Requests,
    StageErrors,
)

__all__ = [
    "AlreadyTaken",
    "Condition",
    "HistoryRow",
    "KnownStageError",
    "Ledger",
    "Request",
    "running",
]

P = ParamSpec("P")
T = TypeVar("T")


class Ledger:
    """The registers of one book, and the one thread at a time that works on them.

    `await ledger.run(ledger.drops.move, drop, event)` runs a register's method off the event loop.
    A cancellation waits until it has finished: a commit that happened is never missed.
    """

    def __init__(self, book: Book, clock: Callable[[], float], head: Head | None = None) -> None:
        """Use `open` or `read`."""
        self.book = book

        def sync_head() -> None:
            if head is not None:
                head.write(book)

        self.drops = Drops(book, clock, sync_head)
        self.batches = Batches(book, clock, sync_head)
        self.mappings = Mappings(book, clock)
        self.conditions = Conditions(book, clock)
        self.remembered = Remembered(book)
        self.requests = Requests(book, clock)
        self.stage_errors = StageErrors(book)
        self._one_at_a_time = anyio.CapacityLimiter(1)

    @classmethod
    @contextmanager
    def open(cls, root: Path, state_dir: Path, clock: Callable[[], float]) -> Iterator[Self]:
        """As the only instance, proven to belong to the root. Raises RefusedToStart, NoSpace."""
        with only_instance(root, state_dir):
            head = Head(root)
            head.require(state_dir)
            book = Book.open(state_dir)
            try:
                head.prove(book)
                head.sweep()
                yield cls(book, clock, head)
            finally:
                book.close()

    @classmethod
    @contextmanager
    def read(cls, state_dir: Path, clock: Callable[[], float]) -> Iterator[Self]:
        """For commands, beside a running daemon. Raises RevsyncdError when there is none yet."""
        book = Book.read(state_dir)
        try:
            yield cls(book, clock)
        finally:
            book.close()

    @classmethod
    @contextmanager
    def ask(cls, state_dir: Path, clock: Callable[[], float]) -> Iterator[Self]:
        """For a command that puts a request in while the daemon runs."""
        book = Book.read(state_dir)
        try:
            book.connection.execute("PRAGMA query_only = OFF")
            yield cls(book, clock)
        finally:
            book.close()

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a register's method in a thread, one at a time, to its end."""
        with anyio.CancelScope(shield=True):
            result = await to_thread.run_sync(
                lambda: work(*args, **kwargs), limiter=self._one_at_a_time
            )
        return result  # noqa: RET504  (inside the scope a type checker sees a way past the return)
