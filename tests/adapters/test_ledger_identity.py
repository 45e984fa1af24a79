import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from drops import a_drop
from ledgers import Clock, open_ledger

from revsyncd.adapters.ledger import Ledger, running
from revsyncd.adapters.ledger.book import FILE_NAME, Book
from revsyncd.adapters.ledger.identity import OURS, Head
from revsyncd.core.errors import NoSpace, RefusedToStart

# Holds both locks until its standard input ends.
HOLDER = """
import sys
from pathlib import Path
from revsyncd.adapters.ledger.identity import only_instance
with only_instance(Path(sys.argv[1]), Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


def head_file(home: Path) -> Path:
    return home / "root" / OURS / "ledger.json"


def used(home: Path, steps: int = 3) -> None:
    """A ledger with some history, the last of it proven by the root."""
    with open_ledger(home) as ledger:
        for number in range(1, steps + 1):
            drop = ledger.drops.add(a_drop(number))
        ledger.drops.note(drop, "filed", filed=True)


def hold(root: Path, state_dir: Path) -> subprocess.Popen[str]:
    """Another process that has the locks when this returns."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(root), str(state_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("root", "state"):
        (tmp_path / name).mkdir()
    return tmp_path


def opened(root: Path, state_dir: Path) -> None:
    with Ledger.open(root, state_dir, Clock().now):
        pass


# -- one instance --------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", ["both", "root", "state"])
def test_a_second_instance_is_refused_by_name(home: Path, shared: str) -> None:
    """Whichever tree two instances share: the second names the first's process and changes nothing."""
    root = home / ("root" if shared in ("both", "root") else "other-root")
    state = home / ("state" if shared in ("both", "state") else "other-state")
    for directory in (root, state):
        directory.mkdir(exist_ok=True)
    with hold(home / "root", home / "state") as other:
        with pytest.raises(RefusedToStart, match=f"process {other.pid}") as raised:
            opened(root, state)
        assert "Stop it first" in raised.value.hint
        assert not (state / FILE_NAME).exists()
        assert running(root, state)
        other.communicate()
    opened(root, state)


def test_a_killed_instance_leaves_no_lock(home: Path) -> None:
    """The kernel gives the locks back with the process, whatever ended it."""
    with hold(home / "root", home / "state") as other:
        other.send_signal(signal.SIGKILL)
        other.communicate()
    assert not running(home / "root", home / "state")
    opened(home / "root", home / "state")


def test_locks_are_given_back(home: Path) -> None:
    """Also when opening fails after they were taken."""
    (home / "state" / FILE_NAME).write_bytes(b"\xff" * 8192)
    with pytest.raises(Exception, match="broken"):
        opened(home / "root", home / "state")
    assert not running(home / "root", home / "state")


def test_asking_whether_one_runs_makes_nothing(home: Path) -> None:
    """A command, run by whomever, must not leave a lock file that the service can't open."""
    assert not running(home / "root", home / "state")
    assert set(home.rglob("*")) == {home / "root", home / "state"}


def test_a_lock_that_can_not_be_looked_at_counts_as_held(home: Path) -> None:
    """What a command can't tell, it must not go on as if nobody ran."""
    (home / "state" / "lock").symlink_to("lock")
    assert running(home / "root", home / "state")


def test_asking_whether_one_runs_does_not_hide_its_process(home: Path) -> None:
    """The file goes on naming the instance that holds it."""
    with open_ledger(home):
        assert running(home / "root", home / "state")
        assert (home / "state" / "lock").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("missing", ["root", "state"])
def test_a_tree_that_is_not_there_is_told(home: Path, missing: str) -> None:
    """A root that is not mounted is no reason to make one elsewhere."""
    (home / missing).rmdir()
    root, state = home / "root", home / "state"
    if missing == "state":
        state = state / "deeper"
    with pytest.raises(RefusedToStart, match="can't be opened") as raised:
        opened(root, state)
    assert "must exist and be writable" in raised.value.hint


# -- the ledger and its root ---------------------------------------------------------------------


def test_a_new_ledger_takes_a_new_root(home: Path) -> None:
    """The first start gives the ledger an id and writes it under the root."""
    used(home)
    head = json.loads(head_file(home).read_text())
    with closing(Book.read(home / "state")) as book:
        assert head == {"ledger": book.meta("ledger"), "head": 4, "chain": book.head()[1]}


def test_going_on_is_no_trouble(home: Path) -> None:
    """A ledger that is newer than what the root proves is the usual case."""
    used(home)
    with open_ledger(home) as ledger:
        ledger.drops.add(a_drop(9))
    opened(home / "root", home / "state")


def lost(home: Path) -> None:
    shutil.rmtree(home / "state")
    (home / "state").mkdir()


def foreign(home: Path) -> None:
    lost(home)
    other = home / "elsewhere"
    other.mkdir()
    used(other)
    shutil.copytree(other / "state", home / "state", dirs_exist_ok=True)


def rolled_back(home: Path) -> None:
    """Put the ledger back as it was before the last steps that the root proves."""
    shutil.copytree(home / "state", home / "kept")
    with open_ledger(home) as ledger:
        ledger.drops.note(ledger.drops.add(a_drop(8)), "filed", filed=True)
    lost(home)
    shutil.copytree(home / "kept", home / "state", dirs_exist_ok=True)


def rolled_back_and_used(home: Path) -> None:
    """The older copy went on under another root file, so its steps have the numbers but not the seals."""
    shutil.copytree(home / "root", home / "kept-root")
    shutil.copytree(home / "state", home / "kept-state")
    with open_ledger(home) as ledger:
        ledger.drops.note(ledger.drops.add(a_drop(8)), "filed", filed=True)
    proven = head_file(home).read_text()
    lost(home)
    shutil.copytree(home / "kept-state", home / "state", dirs_exist_ok=True)
    shutil.copytree(home / "kept-root", home / "root", dirs_exist_ok=True)
    with open_ledger(home) as ledger:
        for number in (5, 6, 7):
            ledger.drops.add(a_drop(number))
    head_file(home).write_text(proven)


@pytest.mark.parametrize(
    ("happened", "words"),
    [
        (lost, "there is none in"),
        (foreign, "the root belongs to ledger"),
        (rolled_back, "is older than what"),
        (rolled_back_and_used, "is older than what"),
    ],
)
def test_a_ledger_that_may_not_know_what_was_posted_is_refused(
    home: Path, happened: Callable[[Path], None], words: str
) -> None:
    """Lost, foreign or older than the root proves: the start is refused, again and again."""
    used(home)
    happened(home)
    proven = head_file(home).read_bytes()
    for _ in range(2):
        with pytest.raises(RefusedToStart, match=words) as raised:
            opened(home / "root", home / "state")
        assert "`revsyncd ledger rebuild`" in raised.value.hint
        assert head_file(home).read_bytes() == proven


def test_the_right_ledger_put_back_is_taken_again(home: Path) -> None:
    """After a refused start, restoring the ledger is all that is needed."""
    used(home)
    shutil.copytree(home / "state", home / "kept")
    lost(home)
    with pytest.raises(RefusedToStart):
        opened(home / "root", home / "state")
    shutil.copytree(home / "kept", home / "state", dirs_exist_ok=True)
    opened(home / "root", home / "state")


def test_a_root_that_knows_nothing_of_a_used_ledger_is_refused(home: Path) -> None:
    """A root that is not mounted, or another one, must not look like a fresh start."""
    used(home)
    shutil.rmtree(home / "root" / OURS)
    for _ in range(2):
        with pytest.raises(RefusedToStart, match=r"ledger\.json is missing") as raised:
            opened(home / "root", home / "state")
        assert "mounted" in raised.value.hint


def test_a_ledger_without_history_takes_a_root_again(home: Path) -> None:
    """A first start that was killed before the root knew of it is simply begun again."""
    opened(home / "root", home / "state")
    head_file(home).unlink()
    opened(home / "root", home / "state")
    assert head_file(home).is_file()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"ledger": "x", "chain": "y"}',
        '{"ledger": "x", "head": [], "chain": ""}',
    ],
)
def test_an_unreadable_head_is_no_fresh_start(home: Path, content: str) -> None:
    """A head file that can't be understood proves that there was one."""
    used(home)
    head_file(home).write_text(content)
    with pytest.raises(RefusedToStart, match=r"ledger\.json") as raised:
        opened(home / "root", home / "state")
    assert "`revsyncd ledger rebuild`" in raised.value.hint


def test_a_head_that_can_not_be_written_is_told(home: Path) -> None:
    """With the next step; what stands there stays there: the file is replaced whole or not at all."""
    used(home)
    proven = head_file(home).read_bytes()
    with open_ledger(home) as ledger:
        (head_file(home).parent / "ledger.tmp").mkdir()
        with pytest.raises(NoSpace, match="can't be written") as raised:
            Head(home / "root").write(ledger.book)
    assert str(head_file(home).parent) in raised.value.hint
    assert head_file(home).read_bytes() == proven


def test_what_proves_the_ledger_lasts_through_a_power_loss(home: Path, synced: list[Path]) -> None:
    """Head file, its directory and the root: else a ledger with drops would stand before a bare root."""
    used(home)
    ours = head_file(home).parent
    assert {ours / "ledger.tmp", ours, home / "root"} <= set(synced)
    assert synced[-2:] == [ours / "ledger.tmp", ours]
