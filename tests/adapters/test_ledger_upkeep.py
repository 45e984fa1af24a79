import json
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from made_drops import claim, opened, send, tree

from revsyncd.adapters.ledger import Ledger, upkeep
from revsyncd.adapters.ledger.book import FILE_NAME
from revsyncd.config import Config
from revsyncd.core.errors import RefusedToStart, RevsyncdError
from revsyncd.core.part import PartState


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return tree(tmp_path)


@pytest.fixture
def ledger(config: Config) -> Iterator[Ledger]:
    """A ledger that knows a released part, and stays open as a daemon has it."""
    with opened(config) as ledger:
        send(ledger, claim(config, ledger, "a\udcff.csv"), PartState.ACCEPTED)
        yield ledger


def change(config: Config, script: str) -> None:
    """Meddle with the ledger's file, past its guards."""
    with closing(sqlite3.connect(config.state_dir / FILE_NAME)) as connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.executescript(script)


def test_whole(config: Config, ledger: Ledger) -> None:
    """A ledger that only the daemon wrote has no faults, while it is in use."""
    steps: list[tuple[int, int]] = []
    assert upkeep.check(config.root, config.state_dir, lambda *step: steps.append(step)) == []
    assert steps == []  # shorter than the first sign of progress


@pytest.mark.parametrize(
    ("meddling", "fault"),
    [
        ("UPDATE history SET facts = '{}' WHERE n = 1", "the history: step 1 is not"),
        ("UPDATE history SET at = at + 1 WHERE n = 2", "the history: step 2 is not"),
        ("DELETE FROM history WHERE n = 1", "the history: step 2 is not"),
        ("UPDATE drops SET id = 'X'", "the file: a row of parts refers to a row of drops"),
        ("DELETE FROM history WHERE n > 3", "is older than what"),
        ("UPDATE meta SET value = 'other' WHERE key = 'ledger'", "the root belongs to ledger"),
    ],
)
def test_meddling_is_found(config: Config, ledger: Ledger, meddling: str, fault: str) -> None:
    """Whatever is changed, taken out, cut off or exchanged, is told."""
    ledger.book.close()
    change(config, meddling)
    found = upkeep.check(config.root, config.state_dir)
    assert len(found) == 1
    assert fault in found[0]


def test_progress(config: Config, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long history tells how far its check is."""
    monkeypatch.setattr(upkeep, "_STEPS", 2)
    steps: list[tuple[int, int]] = []
    upkeep.check(config.root, config.state_dir, lambda *step: steps.append(step))
    assert steps == [(2, 5), (4, 5)]


def test_no_ledger(config: Config) -> None:
    """None is not a whole one."""
    with pytest.raises(RevsyncdError, match="there is no ledger"):
        upkeep.check(config.root, config.state_dir)


def test_prove(config: Config) -> None:
    """A start takes no ledger at all for a new root, and its own one; looking changes nothing."""
    assert "none yet" in upkeep.prove(config.root, config.state_dir)
    assert list(config.state_dir.iterdir()) == []
    with opened(config) as ledger:
        claim(config, ledger, "a.csv")
        assert upkeep.prove(config.root, config.state_dir) == "1 steps recorded"


def test_a_lost_ledger(config: Config, ledger: Ledger) -> None:
    """The root remembers that there was one."""
    ledger.book.close()
    (config.state_dir / FILE_NAME).rename(config.state_dir / "away")
    with pytest.raises(RefusedToStart, match="there is none in"):
        upkeep.prove(config.root, config.state_dir)


def test_another_root(config: Config, ledger: Ledger) -> None:
    """A ledger that knows drops needs the root that knows it."""
    ours = config.root / ".revsyncd" / "ledger.json"
    before = ours.read_bytes()
    ours.unlink()
    with pytest.raises(RefusedToStart, match="is missing"):
        upkeep.prove(config.root, config.state_dir)
    assert not ours.exists()
    assert json.loads(before)["head"]


def test_backup(config: Config, ledger: Ledger, tmp_path: Path) -> None:
    """While it is in use: one private file that holds everything and needs no log beside it."""
    target = tmp_path / "copies" / "ledger.copy"
    target.parent.mkdir()
    steps: list[tuple[int, int]] = []
    size = upkeep.backup(config.state_dir, target, lambda *step: steps.append(step))
    assert [path.name for path in target.parent.iterdir()] == ["ledger.copy"]
    assert (size, stat.S_IMODE(target.stat().st_mode)) == (target.stat().st_size, 0o600)
    assert steps[-1][0] == steps[-1][1] > 0
    with closing(sqlite3.connect(f"file:{target}?mode=ro", uri=True)) as copy:
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        [(head, chain)] = copy.execute("SELECT n, chain FROM history ORDER BY n DESC LIMIT 1")
    assert (head, chain) == ledger.book.head()


def test_a_backup_can_be_put_in_place(config: Config, ledger: Ledger, tmp_path: Path) -> None:
    """As long as nothing was released since, a start takes the copy for the ledger."""
    upkeep.backup(config.state_dir, tmp_path / "copy")
    ledger.book.close()
    for path in config.state_dir.glob(f"{FILE_NAME}*"):
        path.unlink()
    (tmp_path / "copy").rename(config.state_dir / FILE_NAME)
    assert upkeep.check(config.root, config.state_dir) == []


def test_a_backup_overwrites_nothing(config: Config, ledger: Ledger, tmp_path: Path) -> None:
    """Not even a dead link; and what can't be written leaves nothing behind."""
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(RevsyncdError, match="is there already"):
        upkeep.backup(config.state_dir, tmp_path / "link")
    with pytest.raises(RevsyncdError, match="can't be written"):
        upkeep.backup(config.state_dir, tmp_path / "no" / "such" / "directory")
