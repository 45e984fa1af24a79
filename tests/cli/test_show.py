import json
from collections.abc import Callable

import pytest
from click.testing import Result
from made_drops import claim, send, settle

from revsyncd.adapters.ledger import KnownStageError, Ledger
from revsyncd.checks.contract import Problem
from revsyncd.config import Config
from revsyncd.core.drop import Event, Reason
from revsyncd.core.part import PartState

Revsyncd = Callable[..., Result]


def test_by_id_beginning_or_name(revsyncd: Revsyncd, config: Config, ledger: Ledger) -> None:
    """A drop is found by its id, in any case, by an unambiguous beginning, and by its file's name as it is or as it is shown."""
    first = claim(config, ledger, "orders.csv")
    second = claim(config, ledger, "-new%_\n.csv", number=1)
    shared = next(n for n in range(26) if first.drop[n] != second.drop[n])
    for text in (
        second.drop,
        second.drop.lower(),
        second.drop[: shared + 1],
        second.file,
        r"-new%_\n.csv",
    ):
        result = revsyncd("show", "--json", "--", text)
        assert (result.exit_code, json.loads(result.stdout)["drop"]) == (0, second.drop)


def test_ambiguous(revsyncd: Revsyncd, config: Config, ledger: Ledger) -> None:
    """Of several drops none is guessed; each is named with its state."""
    drops = [claim(config, ledger, "orders.csv", number=number) for number in range(2)]
    for text in ("orders.csv", "01"):
        result = revsyncd("show", text)
        assert (result.exit_code, result.stdout) == (1, "")
        for drop in drops:
            assert f"{drop.drop}  transactions/orders.csv  claimed" in result.stderr


@pytest.mark.parametrize("text", ["nothing.csv", "%", "", "0\ud8ff"])
def test_unknown(revsyncd: Revsyncd, config: Config, ledger: Ledger, text: str) -> None:
    """What is not known is 1, with where to look."""
    claim(config, ledger, "orders.csv")
    result = revsyncd("show", text)
    assert result.exit_code == 1
    assert "there is no drop" in result.stderr


def test_json(revsyncd: Revsyncd, config: Config, ledger: Ledger) -> None:
    """The report's fields with every step of the history."""
    drop = send(ledger, claim(config, ledger, "a.csv"), PartState.STAGED, PartState.IN_DOUBT)
    settle(ledger, drop, Event.SET_ASIDE, Reason.IN_DOUBT, "Look.")
    data = json.loads(revsyncd("show", "a.csv", "--json").stdout)
    assert (data["state"], data["reason"], data["next_step"]) == ("held", "in_doubt", "Look.")
    assert data["records_by_state"]["in_doubt"] == 100
    assert [step["event"] for step in data["history"]][-2:] == ["set aside", "filed"]


def test_for_people(revsyncd: Revsyncd, config: Config, ledger: Ledger) -> None:
    """State, history, parts, problems, lines in error and the next step, readable in order."""
    drop = send(ledger, claim(config, ledger, "a.csv"), PartState.STAGED, PartState.IN_DOUBT)
    problems = [
        Problem(line, line - 1, "Amount", "x\x1by", "cell.number", "error", "not a number")
        for line in range(2, 14)
    ]
    ledger.drops.found(drop.drop, tuple(problems))
    facts = {"record": 3, "line": 4, "so_line_id": "L-3", "message": "no such item"}
    error = KnownStageError("transaction", "9001", "open", drop.drop, facts)
    ledger.stage_errors.put(drop.tenant, [error])
    word = {"verb": "arrived", "reason": "seen", "at": 1795521600.0, "by": "ann"}
    drop = ledger.drops.note(
        drop, "resolved", resolved=word, correction_of="THEFIRST", duplicate_of="THEOTHER"
    )
    settle(ledger, drop, Event.SET_ASIDE, Reason.IN_DOUBT, "Look for part2.csv.")
    text = revsyncd("show", "a.csv").stdout
    for words in (
        "held as in_doubt",
        "it is in_doubt",
        "200 records",
        "--arrived by ann: seen",
        "resolved: at 2026-11-24 12:00:00Z, by ann, reason seen, verb arrived",
        "THEFIRST",
        "THEOTHER",
        "2 of 2      100  in_doubt",
        "part2.csv",
        "x\\u001by",
        "(12 are listed)",
        "L-3",
        "no such item",
        "Look for part2.csv.",
    ):
        assert words in text
    steps = ["claimed", "passed", "started", "released", "resolved", "set aside", "filed"]
    places = [text.index(step, text.index("History")) for step in steps]
    assert places == sorted(places)


def test_a_new_drop(revsyncd: Revsyncd, config: Config, ledger: Ledger) -> None:
    """What is not known yet is left out."""
    claim(config, ledger, "a.csv")
    text = revsyncd("show", "a.csv").stdout
    assert "Parts" not in text
    assert "None" not in text
