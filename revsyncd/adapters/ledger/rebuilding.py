"""A new ledger in place of one that is lost: made aside, put in place whole, the old one kept.

A kill at any moment leaves the old ledger, or none, or the new one without its head file under the
root; a start refuses all three, and the next rebuild begins anew.
"""

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from revsyncd.adapters.disk import sync_directory, sync_file
from revsyncd.adapters.ledger.batches import Batches
from revsyncd.adapters.ledger.book import FILE_NAME, Book
from revsyncd.adapters.ledger.drops import Drops
from revsyncd.adapters.ledger.identity import Head, only_instance
from revsyncd.adapters.ledger.registers import Conditions, StageErrors
from revsyncd.core.errors import RevsyncdError

ASIDE = "replaced-ledgers"  # below the state directory: what was there before, never deleted
_IN_WORK = ".rebuilding"
_LOGS = (
    "-wal",
    "-shm",
    "-journal",
)  # of SQLite, beside the file; a log must never meet another file


class NewLedger:
    """The ledger that is being made; its registers write without waiting for the disk."""

    def __init__(self, book: Book, clock: Callable[[], float]) -> None:
        """Work on the open book of the new ledger."""
        self.book = book
        self.drops = Drops(book, clock, _nothing)
        self.batches = Batches(book, clock, _nothing)
        self.stage_errors = StageErrors(book)
        self.conditions = Conditions(book, clock)

    def remember(self, at: float, facts: dict[str, object]) -> None:
        """The step with which its history begins."""
        with self.book.writing():
            self.book.remember(at, "ledger rebuilt", facts)


def _nothing() -> None:
    """The head file is written at the end."""


@contextmanager
def replacing(
    root: Path, state_dir: Path, clock: Callable[[], float]
) -> Iterator[tuple[NewLedger, Path]]:
    """Fill the new ledger in the block; then it takes the old one's place, which goes to the path given.

    Raises RefusedToStart while a daemon runs, RevsyncdError where the disk is in the way.
    """
    with only_instance(root, state_dir):
        aside = _free(state_dir / ASIDE)
        making = state_dir / _IN_WORK
        shutil.rmtree(making, ignore_errors=True)  # of a rebuild that was cut short
        try:
            making.mkdir(mode=0o700)
            with closing(Book.open(making)) as book:
                # Lost in a power cut, it is made again: durability comes with the last step.
                book.connection.execute("PRAGMA synchronous = OFF")
                book.set_meta("ledger", secrets.token_hex(16))
                yield NewLedger(book, clock), aside
                book.connection.execute("PRAGMA journal_mode = DELETE")
            _put_in_place(root, state_dir, making, aside)
        except OSError as error:
            place = os.fsdecode(error.filename) if error.filename else str(state_dir)
            raise RevsyncdError(
                f"{place}: {error.strerror}",
                hint="Mend that, and say `revsyncd ledger rebuild` again: nothing was removed.",
            ) from error


def _free(directory: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    names = (stamp, *(f"{stamp}-{number}" for number in range(2, 1000)))
    return next(directory / name for name in names if not os.path.lexists(directory / name))


def _put_in_place(root: Path, state_dir: Path, making: Path, aside: Path) -> None:
    sync_file(making / FILE_NAME)
    _set_aside(root, state_dir, aside)
    (making / FILE_NAME).rename(state_dir / FILE_NAME)
    sync_directory(state_dir)
    with suppress(OSError):  # SQLite may have left an empty log
        shutil.rmtree(making)
    with closing(Book.open(state_dir)) as book:
        Head(root).write(book)


def _set_aside(root: Path, state_dir: Path, aside: Path) -> None:
    """The old ledger with its logs, and a copy of the head file that it belonged to."""
    names = [*(FILE_NAME + log for log in _LOGS), FILE_NAME]
    there = [name for name in names if os.path.lexists(state_dir / name)]
    head = Head(root).path
    if not there and not head.exists():
        return
    aside.parent.mkdir(mode=0o700, exist_ok=True)
    aside.mkdir(mode=0o700)
    for name in there:
        (state_dir / name).rename(aside / name)
    with suppress(FileNotFoundError):
        shutil.copyfile(head, aside / head.name)
    for directory in (aside, aside.parent, state_dir):
        sync_directory(directory)
