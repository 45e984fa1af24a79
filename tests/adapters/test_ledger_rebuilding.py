"""A new ledger takes the old one's place: killed anywhere, nothing is lost and the next try succeeds."""

import shutil
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from made_drops import Steady, claim, opened, send, settle, shelve, tree

from revsyncd.adapters.ledger import Ledger, rebuilding
from revsyncd.adapters.ledger.book import FILE_NAME
from revsyncd.adapters.ledger.identity import Head
from revsyncd.adapters.ledger.rebuilding import replacing
from revsyncd.config import Config
from revsyncd.core.drop import Drop, Event, Reason
from revsyncd.core.errors import RefusedToStart
from revsyncd.core.part import PartState


class Killed(BaseException):
    """The process ends here."""


def kill_before(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the process end before its n-th step on the disk."""
    steps = count(1)

    def guarded(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def step(*args: Any, **kwargs: Any) -> Any:
            if next(steps) == number:
                raise Killed
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, step)

    for owner, names in {
        rebuilding: ("sync_file", "sync_directory"),
        Path: ("rename", "mkdir"),
        shutil: ("copyfile", "rmtree"),
        Head: ("write",),
    }.items():
        for name in names:
            guarded(owner, name)


def used(home: Path) -> tuple[Config, Drop]:
    """A tree with a held drop in its ledger."""
    home.mkdir()
    config = tree(home)
    with opened(config) as ledger:
        drop = send(ledger, claim(config, ledger, "a.csv"), PartState.IN_DOUBT)
        held = settle(ledger, drop, Event.SET_ASIDE, Reason.IN_DOUBT)
        return config, shelve(config, ledger, held)


def replace(config: Config, drop: Drop) -> None:
    with replacing(config.root, config.state_dir, Steady().now) as (ledger, _):
        ledger.drops.restore(drop, [], [])


def test_a_kill_at_every_step(tmp_path: Path) -> None:
    """What is left is the old ledger whole, or a start is refused; no ledger file is ever deleted."""
    for number in count(1):
        config, drop = used(tmp_path / str(number))
        old = (config.state_dir / FILE_NAME).read_bytes()
        with pytest.MonkeyPatch.context() as monkeypatch:
            kill_before(monkeypatch, number)
            try:
                replace(config, drop)
                killed = False
            except Killed:
                killed = True
        if killed:
            _is_old_or_refused(config, drop)
            replace(config, drop)
        with opened(config) as ledger:
            assert ledger.drops.get(drop.drop) is not None
            assert ledger.book.rows("SELECT 1 FROM history WHERE event = 'rebuilt'")
        kept = [path.read_bytes() for path in config.state_dir.glob(f"*/*/{FILE_NAME}")]
        assert any(content[:16] == old[:16] for content in kept)
        if not killed:
            break
    assert number > 10


def _is_old_or_refused(config: Config, drop: Drop) -> None:
    whole = False
    with suppress(RefusedToStart), opened(config) as ledger:
        whole = bool(ledger.drops.parts(drop.drop))  # the old one's
    if not whole:
        with pytest.raises(RefusedToStart) as refused, opened(config):
            pass
        assert "ledger rebuild" in refused.value.hint


class Broken(Exception):
    """Reading the tree failed."""


def break_off(config: Config, drop: Drop) -> None:
    with replacing(config.root, config.state_dir, Steady().now) as (ledger, _):
        ledger.drops.restore(drop, [], [])
        raise Broken


def test_nothing_is_replaced_when_reading_the_tree_fails(tmp_path: Path) -> None:
    """The old ledger stays where it is until the new one is complete."""
    config, drop = used(tmp_path / "home")
    with pytest.raises(Broken):
        break_off(config, drop)
    with opened(config) as whole:
        assert whole.drops.parts(drop.drop)


def test_not_beside_a_running_daemon(tmp_path: Path) -> None:
    """The locks are asked for before anything is made."""
    config, _ = used(tmp_path / "home")
    with (
        Ledger.open(config.root, config.state_dir, Steady().now),
        pytest.raises(RefusedToStart, match="another revsyncd"),
        replacing(config.root, config.state_dir, Steady().now),
    ):
        pass
