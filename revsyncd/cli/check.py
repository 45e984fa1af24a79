"""`revsyncd check`: whether the daemon could run as configured."""

from collections.abc import Iterable
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
    not_in_this_version,
    print_json,
    with_config,
    with_json,
)
from revsyncd.config import Config
from revsyncd.core.errors import ConfigError


@click.command(epilog=example("revsyncd check", "revsyncd check --online --json"))
@with_config
@with_json
@click.option("--online", is_flag=True, help="Also sign in, fetch every mapping and list batches.")
@click.option("--audit", is_flag=True, help="Not in this version.")
def check(path: Path, *, as_json: bool, online: bool, audit: bool) -> int:
    """Check configuration, folders, permissions, file system, secrets and ledger.

    Run it as the user that runs the daemon, with the same environment. Exit code: 0 all is right,
    1 something is not, 78 the configuration can't be used.
    """
    if audit:
        not_in_this_version("--audit")
    try:
        config = load_config(path)
    except ConfigError as error:
        return _bad_config(path, error, as_json=as_json)
    findings = look(config)
    with config_errors(path):
        findings += anyio.run(_online, config) if online else []
    if as_json:
        print_json(_told(path, findings))
    else:
        _print(findings)
    return 0 if all(finding.ok for finding in findings) else EXIT_ERROR


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
        else:
            tell(Failure([f"{finding.subject}: {finding.message}"], finding.next_step))
    wrong = sum(not finding.ok for finding in findings)
    click.echo(f"{plural(wrong, 'problem')} found" if wrong else "all is right")
