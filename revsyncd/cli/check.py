"""`revsyncd check`: whether the daemon could run as configured."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import anyio
import click

from revsyncd.checkup import Finding, found, look, look_online
from revsyncd.cli.group import EXIT_CONFIG, EXIT_ERROR, Failure, explained, tell
from revsyncd.cli.layout import plural
from revsyncd.cli.options import (
    config_errors,
    example,
    load_config,
    print_json,
    with_config,
    with_json,
)
from revsyncd.cli.progress import progress_bar
from revsyncd.config import Config
from revsyncd.config.values import Unusable, seconds
from revsyncd.core.errors import ConfigError


def _age(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """A duration as the configuration has them, in seconds."""
    try:
        return None if value is None else seconds(value)
    except Unusable as error:
        raise click.BadParameter(str(error)) from error


@click.command(
    epilog=example(
        "revsyncd check",
        "revsyncd check --online --json",
        "revsyncd check --audit --since 30d --log /tmp/revsyncd.log",
    )
)
@with_config
@with_json
@click.option("--online", is_flag=True, help="Also sign in, fetch every mapping and list batches.")
@click.option(
    "--audit",
    is_flag=True,
    help="Audit ledger and folders: is every file in one place, unchanged, explained; was"
    " nothing sent twice; is no secret to be read anywhere. Changes nothing.",
)
@click.option(
    "--since",
    metavar="AGE",
    callback=_age,
    help="With --audit: compare the bytes only of files settled within this time, such as 30d.",
)
@click.option(
    "--log",
    "logs",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False, readable=True),
    help="With --audit: look for secrets in this file as well, such as an export of the journal.",
)
def check(  # noqa: PLR0913  (click hands options in by name)
    path: Path,
    *,
    as_json: bool,
    online: bool,
    audit: bool,
    since: float | None,
    logs: tuple[Path, ...],
) -> int:
    """Check configuration, folders, permissions, file system, secrets and ledger.

    Run it as the user that runs the daemon, with the same environment. Exit code: 0 all is right,
    1 something is not, 78 the configuration can't be used.
    """
    if not audit and (since is not None or logs):
        raise click.UsageError("--since and --log are about --audit.")
    try:
        config = load_config(path)
    except ConfigError as error:
        return _bad_config(path, error, as_json=as_json)
    if audit and not online:
        return _audit(config, since, logs, as_json=as_json)
    findings = look(config)
    with config_errors(path):
        findings += anyio.run(_online, config) if online else []
    if as_json and not audit:
        print_json(_told(path, findings))
    elif as_json:
        _tell_wrong(findings)  # the one JSON document is the audit's
    else:
        _print(findings)
    ill = not all(finding.ok for finding in findings)
    audited = _audit(config, since, logs, as_json=as_json) if audit else 0
    return EXIT_ERROR if ill or audited else 0


def _audit(config: Config, age: float | None, logs: Sequence[Path], *, as_json: bool) -> int:
    from revsyncd.pipelines.auditing import audit  # noqa: PLC0415  (only --audit needs it)

    since = None if age is None else time.time() - age
    with progress_bar("auditing") as told:
        found = audit(config, since=since, logs=logs, progress=told)
    if as_json:
        print_json([violation.to_json() for violation in found.violations])
        return EXIT_ERROR if found.violations else 0
    for note in found.notes:
        click.echo(f"note   {note}")
    for violation in found.violations:
        click.echo(f"error: {violation}", err=True)
    looked = f"{plural(found.drops, 'drop')} and {plural(found.batches, 'batch', 'batches')}"
    wrong = plural(len(found.violations), "violation")
    click.echo(f"{looked} audited: {wrong if found.violations else 'every promise holds'}")
    return EXIT_ERROR if found.violations else 0


async def _online(config: Config) -> list[Finding]:
    from revsyncd.assemble import open_tenant  # noqa: PLC0415  (an HTTP client; only --online needs it)

    async with open_tenant(config) as tenant:
        return await look_online(config, tenant, tenant, lambda: tenant.clock_off)


def _bad_config(path: Path, error: ConfigError, *, as_json: bool) -> int:
    failure = explained(error)
    if as_json:
        problems = [
            found("config.problem", "config", problem, hint=error.hint)
            for problem in error.problems
        ]
        print_json(_told(path, problems))
    elif failure is not None:
        tell(failure)
    return EXIT_CONFIG


def _told(path: Path, findings: Iterable[Finding]) -> dict[str, Any]:
    told = list(findings)
    return {
        "ok": all(finding.ok for finding in told),
        "config": str(path),
        "findings": [finding.to_json() for finding in told],
    }


def _print(findings: list[Finding]) -> None:
    """What is right on stdout, what is not on stderr with its remedy."""
    for finding in findings:
        if finding.ok and finding.code:
            click.echo(f"note   {finding.subject}: {finding.message}")
            click.echo(f"next step: {finding.next_step}")
        elif finding.ok:
            click.echo(f"ok     {finding.subject}: {finding.message}")
    _tell_wrong(findings)
    wrong = sum(not finding.ok for finding in findings)
    click.echo(f"{plural(wrong, 'problem')} found" if wrong else "all is right")


def _tell_wrong(findings: list[Finding]) -> None:
    for finding in findings:
        if not finding.ok:
            tell(Failure([f"{finding.subject}: {finding.message}"], finding.next_step))
