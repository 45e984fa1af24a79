"""`revsyncd run`: the daemon."""

from pathlib import Path

import anyio
import click

from revsyncd.assemble import run_daemon
from revsyncd.cli.group import EXIT_CONFIG, explained, tell
from revsyncd.cli.options import config_errors, example, with_config
from revsyncd.core.errors import ConfigError
from revsyncd.pipelines.vitals import Listener, Vitals


@click.command(epilog=example("revsyncd run --config /etc/revsyncd/config.toml"))
@with_config
def run(path: Path) -> int:
    """Run the daemon in the foreground, logs on stdout.

    SIGTERM finishes what is past its last chunk, a second one interrupts; SIGHUP reloads the
    configuration. Exit code: 0 asked to stop, 1 fatal, 78 configuration.
    """
    try:
        with config_errors(path):
            return anyio.run(run_daemon, path, _listener)
    except ConfigError as error:
        failure = explained(error)
        if failure is not None:
            tell(failure)
        return EXIT_CONFIG


def _listener(vitals: Vitals) -> Listener:
    """Loaded only where [http] is configured."""
    from revsyncd import listener  # noqa: PLC0415  (an idle daemon without it stays small)

    return listener.Listener(vitals)
