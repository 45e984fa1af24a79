"""`revsyncd ledger`: is it whole, a copy of it while the daemon runs."""

from pathlib import Path

import click

from revsyncd.adapters.ledger import upkeep
from revsyncd.cli.group import EXIT_ERROR, Failure, tell
from revsyncd.cli.options import (
    example,
    load_config,
    not_in_this_version,
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
            " the root accepts",
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
def rebuild(**_: object) -> None:
    """Make a new ledger from the reports (not in this version)."""
    not_in_this_version("rebuilding a ledger")
