"""`revsyncd demo`: a month-end in miniature."""

from pathlib import Path

import anyio
import click

from revsyncd.cli.options import example, without_config


@click.command(epilog=example("revsyncd demo --keep /tmp/month-end"))
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    default=12_000,
    show_default=True,
    help="Records of the large file.",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Make the tree here and leave it; else it is gone at the end.",
)
@without_config
def demo(rows: int, keep: Path | None) -> int:
    """Run the real daemon against the stand-in with sample drops, told as it happens.

    Exit code: 0 when everything went as promised, else 1.
    """
    from revsyncd import demo as story  # noqa: PLC0415  (a long import that `--help` need not wait for)

    return anyio.run(story.run, rows, keep)
