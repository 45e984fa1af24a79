"""`revsyncd ledger`: is it whole, a copy of it while the daemon runs, a new one when it is lost."""

from pathlib import Path

import click

from revsyncd.adapters.ledger import upkeep
from revsyncd.cli.group import EXIT_ERROR, Failure, tell
from revsyncd.cli.layout import plural
from revsyncd.cli.options import (
    example,
    load_config,
    with_config,
    without_config,
)
from revsyncd.cli.progress import progress_bar


@click.group(epilog=example("revsyncd ledger check"))
@without_config
def ledger() -> None:
    """Look after the ledger."""


@ledger.command(epilog=example("revsyncd ledger check"))
@with_config
def check(path: Path) -> int:
    """Check the ledger's file, its sealed history, and that it is this root's.

    Exit code: 0 whole, 1 not.
    """
    config = load_config(path)
    with progress_bar("checking") as told:
        faults = upkeep.check(config.root, config.state_dir, told)
    if not faults:
        click.echo("the ledger is whole, its history is unbroken, and it belongs to this root")
        return 0
    tell(
        Failure(
            faults,
            "stop the daemon, keep the file, check the disk, and restore the newest backup that"
            " the root accepts; where there is none, `revsyncd ledger rebuild`",
        )
    )
    return EXIT_ERROR


@ledger.command(epilog=example("revsyncd ledger backup /var/backups/revsyncd-ledger.sqlite3"))
@click.argument("file", type=click.Path(path_type=Path))
@with_config
def backup(file: Path, path: Path) -> None:
    """Write a consistent copy of the ledger to FILE, also while the daemon runs."""
    config = load_config(path)
    with progress_bar("copying") as told:
        size = upkeep.backup(config.state_dir, file, told)
    click.echo(f"{file}: {size:,} bytes")


@ledger.command(epilog=example("revsyncd ledger rebuild"))
@with_config
def rebuild(path: Path) -> None:
    """Make a new ledger from the reports and folders, when the ledger is lost, torn or too old.

    The daemon has to be stopped. What no report proves is held in doubt. The ledger that is there is
    moved aside, never deleted. Restore a backup instead where the root accepts it.
    """
    from revsyncd.pipelines.rebuilding import rebuild as rebuild_ledger  # noqa: PLC0415  (only this needs it)

    config = load_config(path)
    with progress_bar("reading") as told:
        made = rebuild_ledger(config, told)
    for note in made.notes:
        click.echo(f"note   {note}")
    states = ", ".join(f"{number:,} {state}" for state, number in sorted(made.states.items()))
    drops = plural(made.states.total(), "drop")
    click.echo(
        f"a new ledger knows {drops} ({states or 'none'}) and {plural(made.batches, 'batch', 'batches')}"
    )
    if made.from_old:
        click.echo(f"{plural(made.from_old, 'drop')} of them only from the ledger that was there")
    if made.aside is not None:
        click.echo(f"what was there before is in {made.aside}")
    if made.in_doubt:
        click.echo(
            f"{plural(made.in_doubt, 'drop')} in doubt: `revsyncd status` says what to look for"
        )
    kept = f"{plural(made.pauses, 'pause or stop', 'pauses and stops')} kept" if made.pauses else ""
    click.echo(kept or "pauses and stops are forgotten: say `revsyncd pause` again where one held")
