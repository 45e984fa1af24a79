import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_drops import NOON, claim, opened, send, settle, tree

from revsyncd.adapters.ledger import Condition, KnownStageError, Ledger
from revsyncd.config import Config
from revsyncd.core.drop import Event, Reason
from revsyncd.core.part import PartState
from revsyncd.pipelines import conditions
from revsyncd.pipelines.overview import history, in_words, overview


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return tree(tmp_path)


@pytest.fixture
def ledger(config: Config) -> Iterator[Ledger]:
    with opened(config) as book:
        yield book


def seen(config: Config, ledger: Ledger, *, running: bool = True) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(
        json.dumps(overview(config, ledger, running=running, now=NOON))
    )
    return data


def begin(ledger: Ledger, kind: str, scope: str = "*") -> None:
    ledger.conditions.begin(Condition(kind, scope, NOON, f"{kind} it is", "mend it"))


def test_nothing_yet(config: Config, ledger: Ledger) -> None:
    """An instance with nothing to do has its tenant and folders open and needs nobody."""
    data = seen(config, ledger)
    assert data["running"] is True
    assert data["tenant"]["state"] == "open"
    assert data["token"] == {"expires_at": None, "valid": False}
    assert [f["folder"] for f in data["folders"]] == ["transactions", "events"]
    assert {f["state"] for f in data["folders"]} == {"open"}
    assert data["gl"] is None
    assert data["drops"] == data["settled"] == data["needs_a_person"] == []


def test_open_and_held(config: Config, ledger: Ledger) -> None:
    """Open drops have no reason yet; a held one has, with its next step, and needs a person."""
    waiting = claim(config, ledger, "a.csv", number=1)
    held = settle(
        ledger,
        claim(config, ledger, "b.csv", "events", number=2),
        Event.SET_ASIDE,
        Reason.INCOMPLETE,
        "Run `revsyncd resolve DROP --send`.",
    )
    data = seen(config, ledger)
    first, second = data["drops"]
    assert (first["drop"], first["folder"], first["file"]) == (
        waiting.drop,
        "transactions",
        "a.csv",
    )
    assert (first["state"], first["reason"], first["next_step"]) == ("claimed", None, None)
    assert first["since"] == first["received_at"] == "2026-11-24T12:00:01.000Z"
    assert (second["state"], second["reason"]) == ("held", "incomplete")
    assert second["next_step"] == f'Run `revsyncd resolve {held.drop} --send --reason "…"`.'
    assert second["since"] == "2026-11-24T12:01:02.000Z"
    assert data["needs_a_person"] == [held.drop]
    assert [(f["open"], f["held"]) for f in data["folders"]] == [(1, 0), (0, 1)]


def test_a_held_drop_that_is_not_filed_yet_is_listed_once(config: Config, ledger: Ledger) -> None:
    """Being open for filing and held at once makes no two drops of it."""
    drop = claim(config, ledger, "a.csv")
    ledger.drops.move(drop, Event.SET_ASIDE)
    assert [d["drop"] for d in seen(config, ledger)["drops"]] == [drop.drop]


def test_a_failed_drop_is_open_until_it_is_filed(config: Config, ledger: Ledger) -> None:
    """What is settled but not at its place yet is told among the open ones, not twice."""
    drop = ledger.drops.move(claim(config, ledger, "a.csv"), Event.INVALID, settled_at=NOON)
    data = seen(config, ledger)
    assert [d["in_words"] for d in data["drops"]] == ["failed; being moved to failed/"]
    assert data["settled"] == []
    ledger.drops.note(drop, filed=True)
    data = seen(config, ledger)
    assert (data["drops"], [d["drop"] for d in data["settled"]]) == ([], [drop.drop])


def test_since_is_the_last_change_of_state(config: Config, ledger: Ledger) -> None:
    """What happens to parts, and notes, do not make a drop younger."""
    drop = send(ledger, claim(config, ledger, "a.csv"), PartState.ACCEPTED, PartState.PLANNED)
    started = [row.at for row in ledger.drops.history(drop.drop) if row.event == "started"]
    ledger.drops.note(drop, "looked at")
    [told] = seen(config, ledger)["drops"]
    assert told["parts"] == {"accepted": 1, "planned": 1}
    assert told["in_words"] == "being sent (1 of 2 parts received, 0 staged)"
    assert started == [NOON + 3]
    assert told["since"] == "2026-11-24T12:00:03.000Z"


def test_settled(config: Config, ledger: Ledger) -> None:
    """The last fifty, newest first, with what became of them."""
    for number in range(52):
        drop = send(ledger, claim(config, ledger, f"{number}.csv", number=number), PartState.STAGED)
        settle(ledger, drop, Event.ALL_STAGED, Reason.STAGED)
    settled = seen(config, ledger)["settled"]
    assert [d["file"] for d in settled] == [f"{number}.csv" for number in range(51, 1, -1)]
    assert {(d["state"], d["reason"], d["records"]) for d in settled} == {("done", "staged", 100)}


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (conditions.PAUSED, "paused"),
        (conditions.STOPPED, "stopped"),
        (conditions.FOLDER_PAUSED, "refused"),
        (conditions.FOLDER_MISSING, "missing"),
        (conditions.DISK, "disk_trouble"),
    ],
)
def test_a_folder_that_is_in_trouble(config: Config, ledger: Ledger, kind: str, state: str) -> None:
    """Its state, reason and remedy are told; its drops wait for the same; a person must look."""
    claim(config, ledger, "a.csv")
    begin(ledger, kind, "transactions")
    data = seen(config, ledger)
    folder, other = data["folders"]
    assert (folder["state"], folder["next_step"], other["state"]) == (state, "mend it", "open")
    assert data["drops"][0]["next_step"] == "mend it"
    assert data["needs_a_person"] == ["transactions"]


def test_a_pause_of_everything(config: Config, ledger: Ledger) -> None:
    """Every folder is paused by it."""
    begin(ledger, conditions.PAUSED)
    data = seen(config, ledger)
    assert [f["state"] for f in data["folders"]] == ["paused", "paused"]
    assert data["needs_a_person"] == ["transactions", "events"]


def test_the_tenant(config: Config, ledger: Ledger) -> None:
    """A paused tenant needs a person; one that is merely out of reach does not."""
    begin(ledger, conditions.UNREACHABLE)
    data = seen(config, ledger)
    assert (data["tenant"]["state"], data["needs_a_person"]) == ("unreachable", [])
    begin(ledger, conditions.TENANT_PAUSED)
    begin(ledger, conditions.SERVICE_FAILED, "inbound")
    data = seen(config, ledger)
    assert data["tenant"]["state"] == "paused"
    assert data["needs_a_person"] == ["tenant", "service inbound"]


def test_the_token(config: Config, ledger: Ledger) -> None:
    """It lives in the daemon: without one it is not valid, whatever its time."""
    ledger.book.set_meta("token_expires", str(NOON + 60))
    token = seen(config, ledger)["token"]
    assert token == {"expires_at": "2026-11-24T12:01:00.000Z", "valid": True}
    assert seen(config, ledger, running=False)["token"]["valid"] is False
    ledger.book.set_meta("token_expires", "")
    assert seen(config, ledger)["token"] == {"expires_at": None, "valid": False}


def test_a_folder_that_is_not_configured_any_more(config: Config, ledger: Ledger) -> None:
    """Drops of it wait for ever, so they are shown and a person is called."""
    claim(config, ledger, "a.csv", "credits")
    data = seen(config, ledger)
    assert data["folders"][-1]["state"] == "not_configured"
    assert "[templates.credits]" in data["drops"][0]["next_step"]
    assert data["needs_a_person"] == ["credits"]


def test_hostile_names(config: Config, ledger: Ledger) -> None:
    """A name that is no text is told on one printable line."""
    claim(config, ledger, "a\n\udcff.csv")
    [drop] = seen(config, ledger)["drops"]
    assert drop["file"] == r"a\n\xff.csv"
    assert drop["place"].endswith(r"a\n\xff.csv")


def test_in_words(config: Config, ledger: Ledger) -> None:
    """One part needs no count."""
    drop = send(ledger, claim(config, ledger, "a.csv"), PartState.ACCEPTED)
    drop = ledger.drops.move(drop, Event.ALL_RECEIVED)
    told = in_words(drop, ledger.drops.parts(drop.drop))
    assert told == "received by the tenant, which stages it"


def test_history(config: Config, ledger: Ledger) -> None:
    """The report's fields, where the file is, and every step in order."""
    drop = send(ledger, claim(config, ledger, "a.csv"), PartState.STAGED)
    drop = settle(ledger, drop, Event.ALL_STAGED, Reason.STAGED)
    error = KnownStageError("transaction", "9001", "open", drop.drop, {"record": 3, "line": 4})
    ledger.stage_errors.put(drop.tenant, [error])
    ledger.book.set_meta("stage_errors transaction", str(NOON))
    data = history(ledger, drop)
    assert (data["outcome"], data["reason"], data["records"]) == ("done", "staged", 100)
    assert data["stage_errors"]["checked_at"] == "2026-11-24T12:00:00.000Z"
    assert [item["line"] for item in data["stage_errors"]["items"]] == [4]
    steps = [step["event"] for step in data["history"]]
    assert steps == ["claimed", "passed", "started", "released", "staged", "all staged", "filed"]
    assert data["history"][3]["part"] == 1
    json.dumps(data)
