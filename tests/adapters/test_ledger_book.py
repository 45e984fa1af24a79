import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from revsyncd.adapters.ledger import book as book_module
from revsyncd.adapters.ledger.book import EMPTY_CHAIN, FILE_NAME, Book, seal
from revsyncd.adapters.ledger.schema import MIGRATIONS
from revsyncd.core.errors import LedgerBroken, NoSpace, RefusedToStart, RevsyncdError

# Runs in a process of its own: the limit is one of the whole process.
LIMITED = """
import resource, sys
from pathlib import Path
from revsyncd.adapters.ledger.book import Book
from revsyncd.core.errors import NoSpace

state = Path(sys.argv[1])
book = Book.open(state)
book.set_meta("before", "1")
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
wal = (state / "ledger.sqlite3-wal").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (wal + 100, hard))
try:
    book.set_meta("large", "x" * 100_000)
except NoSpace as error:
    print("NoSpace", bool(error.hint))
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print(book.meta("before"), book.meta("large"))
book.set_meta("large", "now")
print(book.meta("large"))
book.close()
"""


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with closing(Book.open(tmp_path)) as opened:
        yield opened


def setting(book: Book, name: str) -> object:
    return book.rows(f"PRAGMA {name}")[0][0]


def remember(book: Book, event: str, drop: str | None = None) -> None:
    with book.writing():
        book.remember(1.5, event, {"file": "a\udcff"}, drop)


# -- settings ------------------------------------------------------------------------------------


def test_a_commit_is_durable_when_it_returns(book: Book) -> None:
    """The settings on which the promise rests: a write-ahead log that is synced at each commit."""
    assert setting(book, "journal_mode") == "wal"
    assert setting(book, "synchronous") == 2  # FULL
    assert setting(book, "foreign_keys") == 1


def test_the_ledger_is_private(tmp_path: Path) -> None:
    """Nobody else reads the ledger or its log, whatever the umask is."""
    before = os.umask(0o000)
    try:
        with closing(Book.open(tmp_path)) as book:
            remember(book, "x")
            modes = {p.name: p.stat().st_mode & 0o777 for p in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert set(modes) == {FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"}
    assert set(modes.values()) == {0o600}


def test_what_was_committed_is_there_after_a_power_loss(book: Book, tmp_path: Path) -> None:
    """A copy of the files, taken at any moment, holds what was committed and nothing half done."""
    remember(book, "whole")
    with book.writing():
        book.remember(2.5, "half", {})
        shutil.copytree(tmp_path, tmp_path / "copy", ignore=shutil.ignore_patterns("copy"))
    with closing(Book.open(tmp_path / "copy")) as copy:
        assert [row[0] for row in copy.rows("SELECT event FROM history")] == ["whole"]
    assert book.head()[0] == 2


def test_a_block_that_raises_leaves_nothing(book: Book) -> None:
    """Everything written in a block that fails is undone, and the next block works."""

    def fail() -> None:
        with book.writing():
            book.remember(1.0, "lost", {})
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    remember(book, "kept")
    assert [row[0] for row in book.rows("SELECT event FROM history")] == ["kept"]


# -- the history ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE history SET event = 'other'",
        "DELETE FROM history",
        "INSERT OR REPLACE INTO history VALUES (1, 1, NULL, NULL, 'other', '{}', '')",
        "REPLACE INTO history SELECT n, at, drop_id, part, 'other', facts, chain FROM history",
    ],
)
def test_the_history_is_only_appended_to(book: Book, statement: str) -> None:
    """The ledger itself refuses to change, delete or replace what was recorded."""
    remember(book, "first")
    with pytest.raises(sqlite3.IntegrityError, match="only ever appended"), book.writing() as c:
        c.execute(statement)
    assert book.rows("SELECT n, event FROM history") == [(1, "first")]


def broken_links(book: Book) -> list[int]:
    """The steps of the history whose seal is not that of the one before and their own content."""
    found, before = [], EMPTY_CHAIN
    for number, *row, chain in book.rows(
        "SELECT n, at, drop_id, part, event, facts, chain FROM history ORDER BY n"
    ):
        if seal(before, [repr(row[0]), *row[1:]]) != chain:
            found.append(number)
        before = chain
    return found


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ("UPDATE history SET event = 'e9' WHERE n = 2", 2),
        ("UPDATE history SET at = 9.5 WHERE n = 2", 2),
        ("UPDATE history SET drop_id = 'X' WHERE n = 3", 3),
        ("UPDATE history SET facts = '{}' WHERE n = 1", 1),
        ("DELETE FROM history WHERE n = 2", 3),
    ],
)
def test_a_history_that_was_tampered_with_is_known(book: Book, change: str, first: int) -> None:
    """Whoever takes the guards away and changes a step breaks the chain at that step."""
    for n in range(1, 5):
        remember(book, f"e{n}", "D")
    assert broken_links(book) == []
    with book.writing() as connection:
        connection.execute("DROP TRIGGER history_is_never_changed")
        connection.execute("DROP TRIGGER history_is_never_deleted")
        connection.execute(change)
    assert broken_links(book)[0] == first


def test_the_head_is_the_last_step(book: Book) -> None:
    """An empty history has a head, too."""
    assert book.head() == (0, EMPTY_CHAIN)
    remember(book, "first")
    remember(book, "second")
    number, chain = book.head()
    assert number == 2
    assert book.rows("SELECT chain FROM history WHERE n = 2") == [(chain,)]


def test_facts_about_the_ledger_are_kept(book: Book) -> None:
    """A fact can be written again."""
    assert book.meta("k") is None
    book.set_meta("k", "1")
    book.set_meta("k", "2")
    assert book.meta("k") == "2"


# -- opening -------------------------------------------------------------------------------------


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    """A ledger is migrated once."""
    with closing(Book.open(tmp_path)) as book:
        remember(book, "first")
        tables = book.rows("SELECT name, sql FROM sqlite_master ORDER BY name")
    with closing(Book.open(tmp_path)) as book:
        assert book.rows("SELECT name, sql FROM sqlite_master ORDER BY name") == tables
        assert setting(book, "user_version") == len(MIGRATIONS)
        assert book.head()[0] == 1


def with_schema(state_dir: Path, version: int) -> None:
    with closing(Book.open(state_dir)) as book:
        book.connection.execute(f"PRAGMA user_version = {version}")


def test_a_newer_ledger_is_refused(tmp_path: Path) -> None:
    """A release never writes to, or reads from, a ledger whose form it can't know."""
    with_schema(tmp_path, len(MIGRATIONS) + 1)
    for opening in (Book.open, Book.read):
        with pytest.raises(RefusedToStart, match="schema") as raised:
            opening(tmp_path)
        assert "Install the release that wrote it" in raised.value.hint


def test_an_older_ledger_is_not_read_before_it_is_migrated(tmp_path: Path) -> None:
    """A command of a new release says what to do first."""
    (tmp_path / FILE_NAME).touch()
    with pytest.raises(RefusedToStart, match="schema 0") as raised:
        Book.read(tmp_path)
    assert "Start the daemon" in raised.value.hint


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each migration is one transaction: half a migration is none."""
    with closing(Book.open(tmp_path)) as book:
        remember(book, "first")
    broken = (*MIGRATIONS, "CREATE TABLE more (x); CREATE TABLE history (x)")
    monkeypatch.setattr("revsyncd.adapters.ledger.schema.MIGRATIONS", broken)
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        Book.open(tmp_path)
    monkeypatch.undo()
    with closing(Book.open(tmp_path)) as book:
        assert setting(book, "user_version") == len(MIGRATIONS)
        assert book.rows("SELECT name FROM sqlite_master WHERE name = 'more'") == []
        assert book.head()[0] == 1


def test_reading_where_there_is_none_says_what_to_do(tmp_path: Path) -> None:
    """A command never makes a ledger by looking for one."""
    with pytest.raises(RevsyncdError, match="there is no ledger") as raised:
        Book.read(tmp_path)
    assert "revsyncd run" in raised.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_state_dir_with_odd_letters_works(tmp_path: Path) -> None:
    """A path is taken as it is, not as part of an address."""
    odd = tmp_path / "a?b #c%20ü"
    odd.mkdir()
    with closing(Book.open(odd)) as book:
        remember(book, "first")
    with closing(Book.read(odd)) as book:
        assert book.head()[0] == 1
    assert (odd / FILE_NAME).is_file()


# -- trouble -------------------------------------------------------------------------------------


def test_a_reader_can_not_write(book: Book, tmp_path: Path) -> None:
    """A command that only looks can't change the ledger by mistake."""
    with (
        closing(Book.read(tmp_path)) as reader,
        pytest.raises(NoSpace, match="readonly"),
        reader.writing(),
    ):
        reader.remember(1.0, "x", {})
    assert book.head()[0] == 0


def test_a_full_disk_is_waited_for(book: Book) -> None:
    """SQLite's own "full": nothing of the block is kept, and with space again it works."""
    pages = setting(book, "page_count")
    book.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(NoSpace, match="full") as raised:
        book.set_meta("large", "x" * 100_000)
    assert "Free space" in raised.value.hint
    book.connection.execute("PRAGMA max_page_count = 1000000")
    assert book.meta("large") is None
    book.set_meta("large", "x" * 100_000)


def test_a_limit_of_size_is_waited_for(tmp_path: Path) -> None:
    """A quota or limit that cuts a write off undoes it; the ledger goes on when it is lifted."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["NoSpace True", "1 None", "now"]


def test_no_directory_is_told_as_such(tmp_path: Path) -> None:
    """A state directory that is not there can't hold a ledger yet."""
    with pytest.raises(NoSpace, match="can't be opened") as raised:
        Book.open(tmp_path / "none")
    assert "state_dir" in raised.value.hint


def test_another_writer_is_waited_for_and_then_named(book: Book, tmp_path: Path) -> None:
    """A lock that nobody gives back is no fault of the ledger: nothing was written."""
    book.connection.execute("PRAGMA busy_timeout = 0")
    with closing(Book.open(tmp_path)) as other:
        other.connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(NoSpace, match="locked") as raised:
            remember(book, "x")
        other.connection.execute("ROLLBACK")
    assert "Another process" in raised.value.hint
    remember(book, "x")


@pytest.mark.parametrize("keep", [0, 4096])
def test_a_broken_file_is_never_gone_on_with(tmp_path: Path, keep: int) -> None:
    """Neither a file that is no ledger nor one whose pages were overwritten is taken for empty."""
    with closing(Book.open(tmp_path)) as book:
        remember(book, "first")
    path = tmp_path / FILE_NAME
    content = path.read_bytes()
    path.write_bytes(content[:keep] + b"\xff" * (len(content) - keep))
    with pytest.raises(LedgerBroken) as raised, closing(Book.open(tmp_path)) as book:
        book.rows("SELECT * FROM history")
    assert "do not delete the ledger" in raised.value.hint


@pytest.mark.parametrize("name", ["SQLITE_IOERR_FSYNC", "SQLITE_IOERR_READ", "SQLITE_CORRUPT"])
def test_a_failed_fsync_ends_the_process(name: str) -> None:
    """After an error that leaves the state on disk unknown, only a new start may tell."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = getattr(sqlite3, name)
    with pytest.raises(LedgerBroken), book_module._translated():
        raise error


def test_a_fault_of_ours_is_not_called_a_broken_ledger(book: Book) -> None:
    """An error in a statement stays what it is."""
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        book.rows("SELECT * FROM no_such")
