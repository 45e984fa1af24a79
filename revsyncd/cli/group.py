"""The `revsyncd` command: which commands there are, and how errors are told.

A command's module is loaded when the command is used: `run` never loads what `demo` needs, and
`--help` loads nothing at all.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from gettext import gettext
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import click

from revsyncd import __version__
from revsyncd.core.errors import ConfigError, RevsyncdError

EXIT_ERROR, EXIT_USAGE, EXIT_CONFIG, EXIT_INTERRUPTED = 1, 2, 78, 130  # 78: sysexits.h, EX_CONFIG


class Entry(NamedTuple):
    """Where a command is, below this package, and what the overview says of it."""

    module: str
    summary: str


COMMANDS: Mapping[str, Entry] = {
    "run": Entry("run", "The daemon, in the foreground, logs on stdout."),
    "check": Entry("check", "Whether configuration, folders, secrets and ledger are right."),
    "validate": Entry("validate", "The checks of one folder on files anywhere; nothing is sent."),
    "status": Entry("status", "What is open, what was settled, what needs a person."),
    "show": Entry("show", "One drop's whole history."),
    "resolve": Entry("word", "A person's word on a held drop."),
    "cancel": Entry("word", "Stop a drop of which nothing was released."),
    "pause": Entry("word", "Stop claiming and sending, in one folder or in all."),
    "resume": Entry("word", "Go on after a pause or a stop."),
    "gl": Entry("gl", "General-ledger batches: list, fetch, confirm, close."),
    "ledger": Entry("ledger", "The ledger: its integrity, a copy while running, a rebuild."),
    "init": Entry("init", "A commented configuration and its folders."),
    "simulate": Entry("simulate", "A local stand-in for the tenant."),
    "demo": Entry("demo", "A month-end in miniature against the stand-in."),
}


class Failure(click.ClickException):
    """An error of ours on its way out: what happened, line by line, and the next step."""

    def __init__(self, problems: Sequence[str], hint: str = "", code: int = EXIT_ERROR) -> None:
        """Keep the `problems`, the next step and the exit code."""
        super().__init__("\n".join(problems))
        self.problems = problems
        self.hint = hint
        self.code = code


class Commands(click.Group):
    """The group of all commands, each loaded when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a newcomer meets them."""
        _ = ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself, out of its module."""
        _ = ctx
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = getattr(import_module(f"revsyncd.cli.{entry.module}"), cmd_name)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, without loading the commands."""
        _ = ctx
        with formatter.section(gettext("Commands")):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command and exit with what it returns; errors go to stderr, with the next step."""
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
        except Exception as error:
            failure = explained(error)
            if failure is None:
                raise
            tell(failure)
            sys.exit(failure.code)
        sys.exit(code if isinstance(code, int) else 0)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExample:\n  revsyncd check && revsyncd run",
)
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    help="The configuration file; each command takes it too.",
)
@click.version_option(__version__, message="revsyncd %(version)s")
@click.pass_context
def group(ctx: click.Context, path: Path | None) -> None:
    """Carry CSV drops from an ERP into Zuora Revenue.

    Nothing is lost, nothing is posted twice in silence, every file is explained.
    """
    ctx.obj = path


def explained(error: BaseException) -> Failure | None:
    """Any error that a person can do something about, in one form; None for a fault of ours."""
    match _alone(error):
        case Failure() as failure:
            return failure
        case click.UsageError() as usage:
            return Failure([_sentence(usage.format_message())], _help(usage.ctx), EXIT_USAGE)
        case click.ClickException() as other:
            return Failure([_sentence(other.format_message())], code=other.exit_code)
        case click.Abort():
            return Failure(["interrupted"], code=EXIT_INTERRUPTED)
        case ConfigError() as config:
            return Failure(config.problems, config.hint)
        case RevsyncdError() as ours:
            return Failure([ours.message], ours.hint)
        case OSError() as system if system.errno is not None:
            return Failure([_of_the_system(system)], _system_hint(system))
    return None


def _alone(error: BaseException) -> BaseException:
    """The one error inside nested groups, where there is one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _sentence(message: str) -> str:
    return message[:1].lower() + message[1:].removesuffix(".")


def _help(ctx: click.Context | None) -> str:
    return f"see `{ctx.command_path if ctx else 'revsyncd'} --help`"


def _of_the_system(error: OSError) -> str:
    place = f"{os.fsdecode(error.filename)}: " if error.filename else ""
    return f"{place}{error.strerror}"


def _system_hint(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "run the command as the user that runs revsyncd: sudo -u USER revsyncd …"
    return ""


def tell(failure: Failure) -> None:
    """Write an error and its next step to stderr."""
    for line in _lines(failure):
        click.echo(line, err=True)


def _lines(failure: Failure) -> Iterator[str]:
    for problem in failure.problems:
        yield f"error: {problem}"
    if failure.hint:
        yield f"next step: {failure.hint}"


def main() -> NoReturn:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that can't show a name must not keep anybody from reading the rest.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    group(prog_name="revsyncd")
    raise AssertionError("the group exits by itself")
