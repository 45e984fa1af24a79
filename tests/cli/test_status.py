import json
from collections.abc import Callable

from click.testing import Result
from made_drops import NOON, claim, send, settle

from revsyncd.adapters.ledger import Condition, Ledger
from revsyncd.config import Config
from revsyncd.core.drop import Event, Reason
from revsyncd.core.part import PartState
from revsyncd.pipelines.conditions import SERVICE_FAILED, STOPPED, TENANT_PAUSED

Revsyncd = Callable[..., Result]


def test_before_the_first_start(revsyncd: Revsyncd, config: Config) -> None:
    """Without a ledger there is nothing to say but what to do."""
    result = revsyncd("status")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is no ledger" in result.stderr
    assert "next step: " in result.stderr


def test_json(revsyncd: Revsyncd, config: Config, ledger: Ledger) -> None:
    """One object with the fixed fields; the daemon that holds the ledger is seen."""
    drop = claim(config, ledger, "ä\n.csv")
    data = json.loads(revsyncd("status", "--json").stdout)
    fields = {"tenant", "token", "folders", "drops", "settled", "needs_a_person", "gl"}
    assert fields <= data.keys()
    assert data["running"] is True
    [told] = data["drops"]
    wanted = {"drop", "folder", "file", "state", "reason", "next_step", "since"}
    assert wanted <= told.keys()
    assert (told["drop"], told["file"]) == (drop.drop, r"ä\n.csv")


def test_for_people(revsyncd: Revsyncd, config: Config, ledger: Ledger) -> None:
    """Open, held and settled drops, folders and services, each with its next step, on one screen."""
    open_ = claim(config, ledger, "open.csv")
    held = settle(
        ledger, claim(config, ledger, "held.csv", number=1), Event.SET_ASIDE, Reason.EMPTY, "Ask."
    )
    done = send(ledger, claim(config, ledger, "done.csv", number=2), PartState.STAGED)
    settle(ledger, done, Event.ALL_STAGED, Reason.STAGED)
    for kind, scope in ((STOPPED, "transactions"), (TENANT_PAUSED, "*"), (SERVICE_FAILED, "desk")):
        ledger.conditions.begin(Condition(kind, scope, NOON, f"{kind} now", f"mend {kind}"))
    result = revsyncd("status")
    assert result.exit_code == 0
    text = result.stdout
    for words in (
        "running",
        "paused",
        "next step: mend tenant.paused",
        "next step: mend folder.stopped",
        "next step: mend service.failed",
        "needs a person  4: see below",
        open_.drop,
        f"{held.drop}  transactions/held.csv",
        "empty since 2026-11-24 12:01:01Z: it is empty",
        "next step: Ask.",
        done.drop,
    ):
        assert words in text


def test_check(revsyncd: Revsyncd, config: Config, ledger: Ledger) -> None:
    """--check is for monitoring: 1 when something needs a person, whatever else is printed."""
    claim(config, ledger, "a.csv")
    assert revsyncd("status", "--check").exit_code == 0
    settle(ledger, claim(config, ledger, "b.csv", number=1), Event.SET_ASIDE, Reason.EMPTY)
    assert revsyncd("status").exit_code == 0
    assert revsyncd("status", "--check").exit_code == 1
    assert revsyncd("status", "--check", "--json").exit_code == 1


def test_a_stopped_daemon(revsyncd: Revsyncd, config: Config, ledger: Ledger) -> None:
    """What stands in the ledger is told as what it is: the last that was known."""
    other = config.state_dir / "lock"
    (config.root / ".revsyncd" / "lock").unlink()
    other.unlink()
    assert "not running" in revsyncd("status").stdout
