import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result
from made_drops import claim, opened, send, settle, shelve

from revsyncd.adapters.ledger import Ledger, Request
from revsyncd.adapters.who import person
from revsyncd.cli import word
from revsyncd.config import Config
from revsyncd.core.drop import Drop, Event, Reason, State
from revsyncd.core.part import PartState

Revsyncd = Callable[..., Result]


@contextmanager
def answering(ledger: Ledger, *, done: bool, answer: str) -> Iterator[list[Request]]:
    """What a running daemon's desk does, as far as a command sees it."""
    got: list[Request] = []
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.01):
            for request in ledger.requests.waiting():
                got.append(request)
                ledger.requests.answer(request.id, done=done, answer=answer)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield got
    finally:
        over.set()
        thread.join()


def held(config: Config, ledger: Ledger, file: str, number: int = 0) -> Drop:
    drop = claim(config, ledger, file, number=number)
    drop = settle(ledger, drop, Event.SET_ASIDE, Reason.INCOMPLETE, "Look.")
    return shelve(config, ledger, drop)


def asked(request: Request) -> tuple[str, ...]:
    return (request.who, request.verb, request.target, request.reason)


@pytest.mark.parametrize("verb", ["arrived", "not-arrived", "send", "reject"])
def test_resolve_asks_a_running_daemon(
    revsyncd: Revsyncd, config: Config, ledger: Ledger, verb: str
) -> None:
    """The word, with who and why, is put into the ledger; the daemon's answer is printed."""
    drop = held(config, ledger, "a.csv")
    with answering(ledger, done=True, answer="it is so") as got:
        result = revsyncd("resolve", "a.csv", f"--{verb}", "--reason", "seen\nby me")
    assert (result.exit_code, result.stdout) == (0, "it is so\n")
    assert [asked(r) for r in got] == [(person(), verb, drop.drop, "seen by me")]


def test_a_refusal(revsyncd: Revsyncd, config: Config, ledger: Ledger) -> None:
    """What the daemon refuses is an error, with the drop's own id in the step that it names."""
    drop = claim(config, ledger, "a.csv")
    answer = "it can't be. Use `revsyncd resolve DROP --reject`."
    with answering(ledger, done=False, answer=answer):
        result = revsyncd("cancel", "a.csv", "--reason", "x")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: it can't be. Use `revsyncd resolve {drop.drop} --reject`.\n"


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (("pause",), ("pause", "")),
        (("pause", "events"), ("pause", "events")),
        (("resume", "events"), ("resume", "events")),
    ],
)
def test_pause_and_resume(
    revsyncd: Revsyncd,
    config: Config,
    ledger: Ledger,
    args: tuple[str, ...],
    wanted: tuple[str, ...],
) -> None:
    """Folders, or all of them, are named as they are."""
    with answering(ledger, done=True, answer="yes") as got:
        assert revsyncd(*args, "--reason", "close").exit_code == 0
    assert [(r.verb, r.target) for r in got] == [wanted]


def test_no_answer(
    revsyncd: Revsyncd, config: Config, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy daemon is not asked twice: the request stays, and the command says so."""
    monkeypatch.setattr(word, "PATIENCE", 0.01)
    result = revsyncd("pause", "--reason", "close")
    assert result.exit_code == 1
    assert "stays recorded" in result.stderr
    assert [r.verb for r in ledger.requests.waiting()] == ["pause"]


def test_an_interrupted_wait(
    revsyncd: Revsyncd, config: Config, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends the waiting, not the request."""

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    assert "stays recorded" in revsyncd("pause", "--reason", "close").stderr


def test_of_several_files_of_one_name_the_held_one_is_meant(
    revsyncd: Revsyncd, config: Config, ledger: Ledger
) -> None:
    """Yesterday's done drop does not make today's held one ambiguous."""
    done = send(ledger, claim(config, ledger, "a.csv"), PartState.STAGED)
    settle(ledger, done, Event.ALL_STAGED, Reason.STAGED)
    drop = held(config, ledger, "a.csv", number=1)
    with answering(ledger, done=True, answer="yes") as got:
        revsyncd("resolve", "a.csv", "--send", "--reason", "x")
        waiting = claim(config, ledger, "a.csv", number=2)
        revsyncd("cancel", "a.csv", "--reason", "x")
    assert [r.target for r in got] == [drop.drop, waiting.drop]


def test_resolve_while_stopped(revsyncd: Revsyncd, config: Config) -> None:
    """Without a daemon the command does the work itself: the file is filed, with its report."""
    with opened(config) as ledger:
        drop = held(config, ledger, "a.csv")
    result = revsyncd("resolve", drop.drop, "--reject", "--reason", "wrong period")
    assert (result.exit_code, result.stdout) == (0, "given up; it goes to failed/\n")
    with opened(config) as ledger:
        after = ledger.drops.get(drop.drop)
    assert after is not None
    assert (after.state, after.reason, after.filed) == (State.FAILED, Reason.RESOLVED, True)
    assert after.resolved is not None
    assert (after.resolved["by"], after.resolved["reason"]) == (person(), "wrong period")
    files = sorted(path.name for path in (config.root / after.place).iterdir())
    assert files == ["a.csv", "a.csv.report.json"]
    assert "/failed/" in after.place
    assert not any((config.root / "transactions/held/2026-11-24").iterdir())


def test_nonsense_while_stopped(revsyncd: Revsyncd, config: Config) -> None:
    """A word that makes no sense is refused, saying what would."""
    with opened(config) as ledger:
        drop = held(config, ledger, "a.csv")
    result = revsyncd("resolve", drop.drop, "--arrived", "--reason", "x")
    assert result.exit_code == 1
    assert "--send or --reject" in result.stderr


def test_pause_before_the_first_start(revsyncd: Revsyncd, config: Config) -> None:
    """A folder can be paused before any daemon ran, and goes on as told."""
    assert revsyncd("pause", "events", "--reason", "not yet").exit_code == 0
    assert revsyncd("status", "--check").exit_code == 1
    assert revsyncd("pause", "nowhere", "--reason", "x").exit_code == 1
    assert revsyncd("resume", "events", "--reason", "now").exit_code == 0
    assert revsyncd("status", "--check").exit_code == 0


def test_what_was_asked_before_is_done_before(revsyncd: Revsyncd, config: Config) -> None:
    """A request that a dead daemon left does not overtake the one that came later."""
    with opened(config) as ledger:
        ledger.requests.put("ann", "pause", "", "close")
    assert revsyncd("resume", "--reason", "open").exit_code == 0
    with opened(config) as ledger:
        assert ledger.requests.waiting() == []
        assert ledger.conditions.all() == []


def test_a_daemon_that_starts_just_now(
    revsyncd: Revsyncd, config: Config, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was not there a moment ago is asked all the same."""
    answers = iter([False, True])
    monkeypatch.setattr(word, "running", lambda *_: next(answers))
    with answering(ledger, done=True, answer="yes"):
        assert revsyncd("pause", "--reason", "x").stdout == "yes\n"


def test_a_ledger_that_is_not_this_roots(revsyncd: Revsyncd, config: Config) -> None:
    """What a start would refuse, a command refuses as well."""
    with opened(config) as ledger:
        claim(config, ledger, "a.csv")
    (config.root / ".revsyncd" / "ledger.json").unlink()
    result = revsyncd("pause", "--reason", "x")
    assert result.exit_code == 1
    assert "is missing" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_users_ledger(revsyncd: Revsyncd, config: Config) -> None:
    """While no daemon runs nobody writes files that its user could not write later, not even root."""
    os.chown(config.state_dir, 1, -1)
    result = revsyncd("pause", "--reason", "x")
    assert result.exit_code == 1
    assert "belongs to daemon" in result.stderr
    assert "sudo -u daemon" in result.stderr
    assert not (Path(config.state_dir) / "ledger.sqlite3").exists()
