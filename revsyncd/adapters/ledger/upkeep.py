"""Looking after a ledger beside a running daemon: is it whole, does it fit its root, a copy of it."""

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from revsyncd.adapters.disk import rename_without_overwriting, sync_directory, sync_file
from revsyncd.adapters.ledger.book import FILE_NAME, Book
from revsyncd.adapters.ledger.evidence import sealed_steps
from revsyncd.adapters.ledger.identity import Head
from revsyncd.core.errors import RefusedToStart, RevsyncdError

Progress = Callable[[int, int], None]  # steps done, steps in all

_MOST_FAULTS = 100
_STEPS = 1000  # rows of the history, or pages of the file, between two signs of progress


def check(root: Path, state_dir: Path, progress: Progress | None = None) -> list[str]:
    """Everything that is wrong with the ledger, one line each: its file, its history, its root.

    Raises RevsyncdError when there is no ledger, LedgerBroken when it can't be read at all.
    """
    with _reading(state_dir) as book:
        faults = [f"the file: {fault}" for fault in of_the_file(book)]
        faults += [f"the history: {fault}" for fault in _of_the_history(book, progress)]
    try:
        prove(root, state_dir)
    except RefusedToStart as error:
        faults.append(error.message)
    return faults[:_MOST_FAULTS]


def prove(root: Path, state_dir: Path) -> str:
    """Whether a start would take this ledger for this root, changing nothing; returns what was found.

    Raises RefusedToStart as a start would.
    """
    head = Head(root)
    head.require(state_dir)
    if not (state_dir / FILE_NAME).exists():
        return "there is none yet; the first start makes it"
    with _reading(state_dir) as book:
        if head.path.exists():
            head.prove(
                book
            )  # reads only: it adopts a root without a head file, and this one has it
        elif book.head()[0]:
            raise RefusedToStart(
                f"the ledger at {book.path} knows drops, but {head.path} is missing",
                hint="Is the root mounted, and is it the right one?",
            )
        return f"{book.head()[0]:,} steps recorded"


def backup(state_dir: Path, target: Path, progress: Progress | None = None) -> int:
    """Copy the ledger as it is at one moment to `target`, durably; returns the copy's size in bytes.

    Raises RevsyncdError when `target` is there or can't be written.
    """
    if os.path.lexists(target):
        raise RevsyncdError(f"{target} is there already", hint="Choose a name that is free.")
    temporary = target.with_name(f".revsyncd-{secrets.token_hex(4)}.tmp")
    try:
        with _reading(state_dir) as book:
            _copy(book, temporary, progress)
        sync_file(temporary)
        rename_without_overwriting(temporary, target)
        sync_directory(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise RevsyncdError(
            f"{target} can't be written: {error}",
            hint="Check the directory, its owner and the free space there.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return target.stat().st_size


def _copy(book: Book, target: Path, progress: Progress | None) -> None:
    """A snapshot by SQLite's own means; the copy is one file, without a write-ahead log."""

    def told(_: int, remaining: int, total: int) -> None:
        if progress is not None:
            progress(total - remaining, total)

    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(target)) as copy:
        # Within one read transaction, else every commit of the daemon makes the copy begin anew.
        book.connection.execute("BEGIN")
        book.head()
        book.connection.backup(copy, pages=_STEPS, progress=told)
        book.connection.execute("COMMIT")
        copy.execute("PRAGMA journal_mode = DELETE")


@contextmanager
def _reading(state_dir: Path) -> Iterator[Book]:
    with closing(Book.read(state_dir)) as book:
        yield book


def of_the_file(book: Book) -> list[str]:
    """What SQLite finds wrong with the file, one line each."""
    found = [str(row[0]) for row in book.rows("PRAGMA integrity_check")]
    foreign = book.rows("PRAGMA foreign_key_check")
    return [fault for fault in found if fault != "ok"] + [
        f"a row of {row[0]} refers to a row of {row[2]} that is missing" for row in foreign
    ]


def _of_the_history(book: Book, progress: Progress | None) -> Iterator[str]:
    """Each row seals the one before: the first that does not says where somebody changed something."""
    last = book.head()[0]
    for done, step in enumerate(sealed_steps(book), start=1):
        if not step.whole:
            yield unsealed(step.n)
        if progress is not None and done % _STEPS == 0:
            progress(done, max(done, last))


def unsealed(number: int) -> str:
    """What is wrong where a step of the history has not the seal that it should have."""
    return f"step {number} is not the one that was recorded there, or one before it is gone"
