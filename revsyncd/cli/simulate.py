"""`revsyncd simulate`: a local stand-in for the tenant."""

from pathlib import Path

import anyio
import click

from revsyncd import simulator
from revsyncd.cli.options import example, without_config

_MOST = 65535  # the largest port


@click.command(epilog=example("revsyncd simulate --port 8080 --data /tmp/tenant"))
@click.option(
    "--port",
    type=click.IntRange(0, _MOST),
    default=0,
    show_default=True,
    help="On loopback; 0: any free one.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where accepted bodies are kept; else they are gone at the end.",
)
@without_config
def simulate(port: int, data: Path | None) -> None:
    """Serve a stand-in for the tenant on loopback until interrupted.

    The first line on stdout is one JSON object with addresses, credentials and templates.
    """
    if data is not None:
        data.mkdir(parents=True, exist_ok=True)
    anyio.run(simulator.run, port, data)
