"""Which ledger belongs to which root, and who may write to both.

Under `<root>/.revsyncd/` lie `lock` (one instance) and `ledger.json`: the ledger's id and the head
of its history at the last release or settling. A ledger that is missing, foreign, or older than
that head was lost or rolled back: going on with it could post twice, so the start is refused.
"""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from revsyncd.adapters.disk import make_directory, sync_directory
from revsyncd.adapters.ledger.book import FILE_NAME, Book
from revsyncd.core.errors import NoSpace, RefusedToStart

OURS = ".revsyncd"  # under the root
_PATIENCE = (0.02, 0.05, 0.1)  # seconds between tries at a lock
REBUILD = (
    "Restore the newest ledger to `state_dir`. Where there is none, `revsyncd ledger rebuild` makes"
    " one from the reports; never start with an empty one, it would not know what was posted."
)


@contextmanager
def only_instance(root: Path, state_dir: Path) -> Iterator[None]:
    """Hold the locks of both trees. Raises RefusedToStart naming the process that has them."""
    with ExitStack() as stack:
        for directory in (state_dir, root / OURS):
            stack.enter_context(_locked(directory / "lock"))
        yield


def running(root: Path, state_dir: Path) -> bool:
    """Whether another process holds the locks now. Looks only: it makes and writes nothing."""
    return any(_is_locked(directory / "lock") for directory in (state_dir, root / OURS))


def owner(root: Path) -> tuple[str, float] | None:
    """The process that holds, or held last, the root's lock, and since when by the disk's clock."""
    path = root / OURS / "lock"
    try:
        return path.read_text(errors="replace").strip(), path.stat().st_mtime
    except OSError:
        return None


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # not ours to look at, so not ours to go on without
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        make_directory(path.parent, 0o750)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise RefusedToStart(
            f"the lock {path} can't be opened: {error.strerror}",
            hint="The folder must exist and be writable for the user that runs revsyncd.",
        ) from error
    try:
        _lock(descriptor, path)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    # A command that asks whether we run holds the lock for an instant: that must not stop a start.
    for pause in _PATIENCE:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(pause)
    owner = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
    raise RefusedToStart(
        f"another revsyncd (process {owner}) holds {path}",
        hint="Stop it first, or give this instance a root and a state_dir of its own.",
    )


class Head:
    """The head file under the root."""

    def __init__(self, root: Path) -> None:
        """`root` must exist."""
        self.path = root / OURS / "ledger.json"

    def require(self, state_dir: Path) -> None:
        """Raises RefusedToStart where the root has a ledger and there is none, before one is made."""
        if self.path.exists() and not (state_dir / FILE_NAME).exists():
            raise RefusedToStart(
                f"the root belongs to a ledger ({self.path}), but there is none in {state_dir}",
                hint=f"Is `state_dir` the right one? {REBUILD}",
            )

    def names(self, book: Book) -> bool:
        """Whether this is the root's ledger, be it an older copy; where nothing tells, it is."""
        try:
            written = self._read()
        except RefusedToStart:
            return False
        return written is None or written["ledger"] == book.meta("ledger")

    def prove(self, book: Book) -> None:
        """Check that the ledger is the root's own and not older than the root proves.

        A new ledger on a root without a head file is adopted. Raises RefusedToStart otherwise.
        """
        written = self._read()
        ours = book.meta("ledger")
        if written is None:
            self._adopt(book, ours)
            return
        if ours is None or ours != written["ledger"]:
            what = "is new" if ours is None else f"is {ours}"
            raise RefusedToStart(
                f"the root belongs to ledger {written['ledger']} ({self.path}), but the one at"
                f" {book.path} {what}",
                hint=REBUILD,
            )
        rows = book.rows("SELECT chain FROM history WHERE n = ?", written["head"])
        if written["head"] and (not rows or rows[0][0] != written["chain"]):
            raise RefusedToStart(
                f"the ledger at {book.path} is older than what {self.path} proves: step"
                f" {written['head']} of its history is missing or another",
                hint=REBUILD,
            )

    def sweep(self) -> None:
        """Remove what a process left that was killed while it wrote the head file."""
        self.path.with_suffix(".tmp").unlink(missing_ok=True)

    def _adopt(self, book: Book, ours: str | None) -> None:
        if ours is not None and book.head()[0]:
            raise RefusedToStart(
                f"the ledger at {book.path} knows drops, but {self.path} is missing",
                hint="Is the root mounted, and is it the right one? If its files were removed on"
                " purpose, give the emptied root a new `state_dir`.",
            )
        if ours is None:
            book.set_meta("ledger", secrets.token_hex(16))
        self.write(book)

    def _read(self) -> dict[str, object] | None:
        try:
            found = json.loads(self.path.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise RefusedToStart(f"{self.path} can't be read: {error}", hint=REBUILD) from error
        if (
            isinstance(found, dict)
            and {"ledger", "chain"} <= found.keys()
            and isinstance(found.get("head"), int)
        ):
            return found
        raise RefusedToStart(f"{self.path} is not a head file of ours", hint=REBUILD)

    def write(self, book: Book) -> None:
        """Record the ledger's head, synced. Raises NoSpace; an older head left behind is harmless."""
        number, chain = book.head()
        content = {"ledger": book.meta("ledger"), "head": number, "chain": chain}
        temporary = self.path.with_suffix(".tmp")
        try:
            with temporary.open("w") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
            sync_directory(self.path.parent)
        except OSError as error:
            hint = f"Free space or mend the disk that holds {self.path.parent}; work goes on by itself."
            raise NoSpace(f"{self.path} can't be written: {error.strerror}", hint=hint) from error
