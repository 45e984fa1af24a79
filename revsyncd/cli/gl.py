"""`revsyncd gl`: general-ledger batches; the commands are there, their work is not yet."""

import click

from revsyncd.cli.options import (
    example,
    not_in_this_version,
    with_config,
    with_reason,
    without_config,
)

_WHAT = "fetching general-ledger batches"


@click.group(epilog=example("revsyncd gl list"))
@without_config
def gl() -> None:
    """General-ledger batches (not in this version)."""


@gl.command("list", epilog=example("revsyncd gl list"))
@with_config
def list_batches(**_: object) -> None:
    """List the batches that are ready (not in this version)."""
    not_in_this_version(_WHAT)


@gl.command(epilog=example("revsyncd gl fetch 4711"))
@click.argument("batch")
@with_config
def fetch(**_: object) -> None:
    """Fetch a batch into the outbox (not in this version)."""
    not_in_this_version(_WHAT)


@gl.command(epilog=example('revsyncd gl confirm 4711 --reason "posted by hand"'))
@click.argument("batch")
@with_reason
@with_config
def confirm(**_: object) -> None:
    """Mark a batch as transferred (not in this version)."""
    not_in_this_version(_WHAT)
