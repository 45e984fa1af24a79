"""Writes what the packages bring for the command line: the man page and the shells' completions.

All of it comes from the commands themselves. `make pages` writes it below `packages/share`; a test
fails when what lies there is not what the commands are. The page is one for all commands, in the
few man(7) macros that every reader knows.
"""

import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from revsyncd import __version__
from revsyncd.cli.group import group

SHARE = Path(__file__).parent / "share"
COMPLETIONS = {
    "bash": "bash-completion/completions/revsyncd",
    "zsh": "zsh/site-functions/_revsyncd",
    "fish": "fish/vendor_completions.d/revsyncd.fish",
}
AFTER = r"""
.SH EXIT STATUS
.TP
.B 0
Done as asked; \fBrun\fR was asked to stop.
.TP
.B 1
Not done, or what was looked at is not right; the error and the next step are on stderr.
.TP
.B 2
Wrong usage.
.TP
.B 78
The configuration can't be used (\fBrun\fR and \fBcheck\fR); the service is not started again.
.TP
.B 130
Interrupted.
.SH SIGNALS
.TP
.B SIGTERM, SIGINT
\fBrun\fR takes nothing new, waits for uploads past their last chunk, at most \fIstop_timeout\fR, and ends. A
second one interrupts: what was on its way is in doubt at the next start.
.TP
.B SIGHUP
\fBrun\fR reads its configuration anew; one that can't be used leaves the old one in force.
.SH ENVIRONMENT
.TP
.B REVSYNCD_CONFIG
The configuration file, where \fB\-\-config\fR is not given.
.TP
.B STATE_DIRECTORY
Where the ledger is, unless the configuration says \fIstate_dir\fR; set by systemd.
.TP
.B CREDENTIALS_DIRECTORY
Where \fIcredential:NAME\fR is looked for; set by systemd.
.TP
.B NOTIFY_SOCKET, WATCHDOG_USEC
Where and how often the service manager wants to hear; set by systemd.
.SH FILES
.TP
.I /etc/revsyncd/NAME.toml
The configuration of the instance \fIrevsyncd@NAME\fR; \fB\-\-config\fR has /etc/revsyncd/config.toml without one.
.TP
.I /srv/revsync/NAME
Its folders: drops, reports, batches for the ERP.
.TP
.I /var/lib/revsyncd/NAME
Its ledger, which knows what was posted. Never delete it, never put an older one in its place.
.SH SEE ALSO
.BR systemctl (1),
.BR journalctl (1),
.BR systemd\-creds (1),
.BR sftp (1)
"""


def roff(text: str) -> str:
    """Text for man(7): nothing in it is taken for a request or changes its shape."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    return re.sub(r"(?m)^([.'])", r"\\&\1", plain)


def page() -> str:
    """The whole page."""
    lines = [f'.TH REVSYNCD 1 "" "revsyncd {__version__}" "User Commands"', ".nh"]
    lines += [
        ".SH NAME",
        "revsyncd \\- " + roff("carries CSV drops from an ERP into Zuora Revenue"),
    ]
    lines += [".SH SYNOPSIS", ".B revsyncd", "[\\fIoptions\\fR] \\fIcommand\\fR [\\fIargs\\fR]"]
    lines += [".SH DESCRIPTION", *_paragraphs(group.help)]
    top = whole()
    lines += [".SH OPTIONS", *_options(group, top), ".SH COMMANDS"]
    for context in commands(top):
        lines += _command(context)
    return "\n".join(lines) + AFTER


def whole() -> click.Context:
    """The context of `revsyncd` itself."""
    return click.Context(group, info_name="revsyncd", **group.context_settings)


def commands(above: click.Context) -> Iterator[click.Context]:
    """Each command with its full name, groups before what is in them."""
    parent = above.command
    if not isinstance(parent, click.Group):
        return
    for name in parent.list_commands(above):
        command = parent.get_command(above, name)
        assert command is not None, name  # noqa: S101  (a command that is listed is there)
        context = click.Context(command, info_name=name, parent=above)
        yield context
        yield from commands(context)


def _command(context: click.Context) -> Iterator[str]:
    command = context.command
    pieces = " ".join(command.collect_usage_pieces(context))
    yield f".SS {roff(context.command_path.removeprefix('revsyncd '))}"
    yield f"\\fB{roff(context.command_path)}\\fR {roff(pieces)}"
    yield from _paragraphs(command.help)
    yield from _options(command, context)
    yield from _example(command.epilog or "")


def _paragraphs(text: str | None) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text or "")):
        yield ".PP"
        yield roff(" ".join(paragraph.split()))


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        told = parameter.get_help_record(context)
        if told is not None and told[1]:  # an argument without a text is in the usage
            yield ".TP"
            yield f"\\fB{roff(told[0])}\\fR"
            yield roff(told[1])


def _example(epilog: str) -> Iterator[str]:
    _, _, lines = epilog.partition("Example:\n")
    if lines:
        yield from (".PP", ".nf", ".RS", *(roff(line.strip()) for line in lines.splitlines()))
        yield from (".RE", ".fi")


def completion(shell: str) -> str:
    """What a shell reads to complete our commands: it asks the installed `revsyncd` itself."""
    kind = get_completion_class(shell)
    assert kind is not None, shell  # noqa: S101  (the three are click's own)
    # Not `source()`, which for bash asks the bash of this machine for its version.
    completer = kind(group, {}, "revsyncd", "_REVSYNCD_COMPLETE")
    return completer.source_template % completer.source_vars()


def files() -> dict[str, str]:
    """Everything, by its path below `share`."""
    made = {place: completion(shell) for shell, place in COMPLETIONS.items()}
    return {"man/man1/revsyncd.1": page(), **made}


def write(share: Path = SHARE) -> Sequence[Path]:
    """Write everything below `share`; returns what was written."""
    for place, text in files().items():
        path = share / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.rstrip() + "\n", encoding="utf-8")
    return [share / place for place in files()]


if __name__ == "__main__":
    for written in write():
        print(written)
