"""`revsyncd check --audit` as people and programs call it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from made_drops import claim, send, settle, shelve

from revsyncd.adapters.ledger import Ledger
from revsyncd.config import Config
from revsyncd.core.drop import Event, Reason
from revsyncd.core.part import PartState

Revsyncd = Callable[..., Result]


def test_nothing_yet(revsyncd: Revsyncd, config: Config) -> None:
    """A tree in which nothing ever ran breaks no promise."""
    result = revsyncd("check", "--audit")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "0 drops and 0 batches audited: every promise holds"


def test_violations(
    revsyncd: Revsyncd, config: Config, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each violation is one line on stderr with what, where and the next step; in JSON a list."""
    monkeypatch.setattr("revsyncd.pipelines.auditing.AGAIN", (0.01,))
    drop = send(ledger, claim(config, ledger, "a.csv"), PartState.IN_DOUBT)
    held = settle(ledger, drop, Event.SET_ASIDE, Reason.IN_DOUBT)
    path = config.root / shelve(config, ledger, held).place / "a.csv"
    path.unlink()
    result = revsyncd("check", "--audit")
    [line] = [line for line in result.stderr.splitlines() if "place.vanished" in line]
    assert result.exit_code == 1
    assert line.startswith("error: place.vanished: the file of a drop is gone: transactions/held/")
    assert drop.drop in line
    assert "; next step: " in line
    told = json.loads(revsyncd("check", "--audit", "--json").stdout)
    assert {"rule", "what", "where", "next_step", "drop"} == told[0].keys()
    assert "place.vanished" in [each["rule"] for each in told]


def test_nothing_is_changed(revsyncd: Revsyncd, config: Config, ledger: Ledger) -> None:
    """The audit writes nothing below the root."""
    claim(config, ledger, "a.csv")
    before = sorted(config.root.rglob("*"))
    head = ledger.book.head()
    assert revsyncd("check", "--audit").exit_code == 0
    assert sorted(config.root.rglob("*")) == before
    assert ledger.book.head() == head


def test_both_at_once(revsyncd: Revsyncd, config: Config) -> None:
    """With --online the usual look is taken as well; what is wrong there is told beside the list."""
    result = revsyncd("check", "--audit", "--online", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == []
    assert "error: tenant: " in result.stderr


@pytest.mark.parametrize("args", [("--since", "30d"), ("--audit", "--since", "soon")])
def test_wrong_usage(revsyncd: Revsyncd, config: Config, args: tuple[str, ...]) -> None:
    """An age is a duration, and means nothing without --audit."""
    assert revsyncd("check", *args).exit_code == 2


def test_a_log(revsyncd: Revsyncd, config: Config, tmp_path: Path) -> None:
    """An export of the journal is searched for secrets."""
    log = tmp_path / "journal"
    log.write_text('{"error": "top-secret"}')
    result = revsyncd("check", "--audit", "--since", "30d", "--log", log)
    assert result.exit_code == 1
    assert "secret.found: tenant.password can be read" in result.stderr
    assert "top-secret" not in result.output
