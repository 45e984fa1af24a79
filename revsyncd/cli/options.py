"""What the commands have in common: their options, examples and how they read the configuration."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from revsyncd.config import Config, config_path, load
from revsyncd.core.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])


def example(*lines: str) -> str:
    """The end of a command's help."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def _chosen(ctx: click.Context, _: click.Parameter, value: Path | None) -> Path:
    """This option's value, else the one before the command, else as the environment says."""
    return config_path(value or ctx.obj)


with_config = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    callback=_chosen,
    help="The configuration file; else $REVSYNCD_CONFIG, else /etc/revsyncd/config.toml.",
)
with_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


def without_config(command: F) -> F:
    """`--config` for a command that has no use for it, so that every command takes it."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        expose_value=False,
        help="Taken as everywhere; this command does not use it.",
    )(command)


def _spoken(_: click.Context, __: click.Parameter, value: str) -> str:
    text = " ".join(value.split())
    if not text.isprintable() or not text:
        raise click.BadParameter("write in a few words why; it is kept in the history")
    return text


with_reason = click.option(
    "--reason",
    required=True,
    callback=_spoken,
    metavar="TEXT",
    help="Why, for the history: kept with the time and who it was.",
)


@contextmanager
def config_errors(path: Path) -> Iterator[None]:
    """Gives the problems of a configuration their next step."""
    try:
        yield
    except ConfigError as error:
        error.hint = error.hint or f"correct {path}; `revsyncd check` says when it is right"
        raise


def load_config(path: Path) -> Config:
    """The configuration. Raises ConfigError with a next step."""
    with config_errors(path):
        return load(path)


def print_json(data: Any) -> None:
    """ASCII only, so that it is JSON whatever the terminal's encoding."""
    click.echo(json.dumps(data, indent=2))
