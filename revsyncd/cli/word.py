"""A person's word: resolve, cancel, pause, resume.

A running daemon is asked through its ledger and answers there; while none runs, the command does
the work itself, with the daemon's own code.
"""

import os
import time
from pathlib import Path

import anyio
import click

from revsyncd.adapters.clock import SystemClock
from revsyncd.adapters.ledger import Ledger, Request, running
from revsyncd.adapters.ledger.book import FILE_NAME
from revsyncd.adapters.who import person, user_name
from revsyncd.cli.group import EXIT_ERROR, Failure, tell
from revsyncd.cli.options import example, load_config, with_config, with_reason
from revsyncd.cli.which import reading, the_drop
from revsyncd.config import Config
from revsyncd.core.drop import State
from revsyncd.core.errors import RefusedToStart

PATIENCE = 30.0  # seconds until a command no longer waits for the daemon's answer
_LOOK_EVERY = 0.1
_VERBS = ("arrived", "not-arrived", "send", "reject")


@click.command(
    epilog=example('revsyncd resolve orders.csv --arrived --reason "seen in the tenant"')
)
@click.argument("drop", metavar="DROP")
@click.option(
    "--arrived", is_flag=True, help="The doubtful parts are at the tenant: take them as staged."
)
@click.option("--not-arrived", is_flag=True, help="They are not there: send them again.")
@click.option("--send", is_flag=True, help="Send a duplicate or incomplete drop after all.")
@click.option("--reject", is_flag=True, help="Give it up: it goes to failed/.")
@with_reason
@with_config
def resolve(drop: str, path: Path, reason: str, **verbs: bool) -> int:
    """Say what is to become of a held drop.

    DROP is its id, the beginning of it, or the dropped file's name. `revsyncd show DROP` says what
    makes sense; anything else is refused.
    """
    said = [verb for verb in _VERBS if verbs[verb.replace("-", "_")]]
    if len(said) != 1:
        options = ", ".join(f"--{verb}" for verb in _VERBS)
        raise click.UsageError(f"exactly one of {options} is needed")
    config = load_config(path)
    with reading(config) as ledger:
        found = the_drop(ledger, drop, lambda d: d.state is State.HELD)
    return say(config, said[0], found.drop, reason)


@click.command(epilog=example('revsyncd cancel orders.csv --reason "wrong period"'))
@click.argument("drop", metavar="DROP")
@with_reason
@with_config
def cancel(drop: str, path: Path, reason: str) -> int:
    """Stop a drop of which nothing was released yet; it goes to failed/.

    DROP is its id, the beginning of it, or the dropped file's name.
    """
    config = load_config(path)
    with reading(config) as ledger:
        found = the_drop(ledger, drop, lambda d: d.open and d.state is not State.HELD)
    return say(config, "cancel", found.drop, reason)


@click.command(epilog=example('revsyncd pause transactions --reason "period close"'))
@click.argument("folder", default="")
@with_reason
@with_config
def pause(folder: str, path: Path, reason: str) -> int:
    """Stop claiming and sending in FOLDER, or in all; it survives restarts.

    What is past its last chunk is finished; everything else waits for `revsyncd resume`.
    """
    return say(load_config(path), "pause", folder, reason)


@click.command(epilog=example('revsyncd resume transactions --reason "period is closed"'))
@click.argument("folder", default="")
@with_reason
@with_config
def resume(folder: str, path: Path, reason: str) -> int:
    """Go on after a pause, in FOLDER or in all; a stop on failure is lifted for FOLDER only."""
    return say(load_config(path), "resume", folder, reason)


def say(config: Config, verb: str, target: str, reason: str) -> int:
    """Have it carried out and print the answer; returns the exit code."""
    answered = ask(config, verb, target, reason)
    answer = (answered.answer or "").replace("resolve DROP", f"resolve {target}")
    if answered.done:
        click.echo(answer)
        return 0
    problem, _, hint = answer.partition("\n")
    tell(Failure([problem], hint))
    return EXIT_ERROR


def ask(config: Config, verb: str, target: str, reason: str) -> Request:
    """Have a request carried out by the daemon, or here while none runs; returns it with its answer."""
    who = person()
    if not running(config.root, config.state_dir):
        try:
            return _do(config, who, verb, target, reason)
        except RefusedToStart:
            # A daemon that started just now is asked; any other reason stands.
            if not running(config.root, config.state_dir):
                raise
    return _ask(config, who, verb, target, reason)


def _ask(config: Config, who: str, verb: str, target: str, reason: str) -> Request:
    with Ledger.ask(config.state_dir, SystemClock().now) as ledger:
        number = ledger.requests.put(who, verb, target, reason)
        try:
            return _await_answer(ledger, number)
        except KeyboardInterrupt:
            raise _unanswered(number) from None


def _await_answer(ledger: Ledger, number: int) -> Request:
    """Look whenever something was written; raises Failure when it takes too long."""
    clock, seen = SystemClock(), -1
    until = clock.monotonic() + PATIENCE
    while clock.monotonic() < until:
        changes = ledger.requests.changes()
        request = ledger.requests.get(number) if changes != seen else None
        if request is not None and request.done is not None:
            return request
        seen = changes
        time.sleep(_LOOK_EVERY)
    raise _unanswered(number)


def _unanswered(number: int) -> Failure:
    return Failure(
        [f"no answer yet; request {number} stays recorded and will be carried out"],
        "`revsyncd status` shows when it is done; do not repeat the command",
    )


def _do(config: Config, who: str, verb: str, target: str, reason: str) -> Request:
    """Without a daemon: everything that is still unanswered, in order; ours is the last."""
    from revsyncd.assemble import carry_out  # noqa: PLC0415  (the whole daemon; asking needs none of it)

    _refuse_other_user(config)
    with Ledger.open(config.root, config.state_dir, SystemClock().now) as ledger:
        number = ledger.requests.put(who, verb, target, reason)
        for request in ledger.requests.waiting():
            anyio.run(carry_out, config, ledger, request)
        return ledger.requests.get(number) or _lost(number)


def _lost(number: int) -> Request:
    raise Failure([f"request {number} is not in the ledger"], "run `revsyncd ledger check`")


def _refuse_other_user(config: Config) -> None:
    """What another user, root too, writes below root the daemon could not write to afterwards."""
    ledger = config.state_dir / FILE_NAME
    owner = (ledger if ledger.exists() else config.state_dir).stat().st_uid
    if owner != os.geteuid():
        name = user_name(owner)
        raise Failure(
            [f"no daemon runs, and the ledger belongs to {name}: its files are {name}'s business"],
            f"sudo -u {name} revsyncd …, or start the daemon and repeat the command",
        )
