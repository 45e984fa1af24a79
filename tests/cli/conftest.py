from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from made_drops import Steady, opened, tree

from revsyncd.adapters.ledger import Ledger
from revsyncd.cli.group import group
from revsyncd.config import Config

Revsyncd = Callable[..., Result]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A tree whose configuration the environment names, and whose secrets it holds."""
    config = tree(tmp_path)
    monkeypatch.setenv("REVSYNCD_CONFIG", str(config.path))
    monkeypatch.setenv("REVSYNCD_TEST_USER", "erp")
    monkeypatch.setenv("REVSYNCD_TEST_PASSWORD", "top-secret")
    return config


@pytest.fixture
def ledger(config: Config) -> Iterator[Ledger]:
    """Its ledger, open as a running daemon has it."""
    with opened(config, Steady()) as ledger:
        yield ledger


@pytest.fixture
def revsyncd() -> Revsyncd:
    """The command, in this process."""

    def run(*args: object) -> Result:
        result = CliRunner().invoke(group, [str(arg) for arg in args], prog_name="revsyncd")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run
