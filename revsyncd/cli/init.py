"""`revsyncd init`: a first configuration with its folders."""

from pathlib import Path

import click

from revsyncd import first_tree
from revsyncd.cli.options import example, without_config


@click.command(epilog=example("revsyncd init /srv/acme"))
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@without_config
def init(directory: Path) -> None:
    """Make a commented configuration in DIR, and the folders that it names."""
    made = first_tree.init(directory)
    for path in made:
        click.echo(str(path))
    click.echo(
        f"\nNext: adapt {made[0]}, then `revsyncd check --config {made[0]} --online`"
        f" and `revsyncd run --config {made[0]}`."
    )
