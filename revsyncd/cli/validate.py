"""`revsyncd validate`: a folder's checks on files anywhere; nothing is moved or sent."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import click

from revsyncd.adapters.check_process import ProcessChecker
from revsyncd.adapters.clock import SystemClock
from revsyncd.adapters.ledger import Ledger
from revsyncd.checks.contract import CheckJob, CheckResult, Manifest, Problem
from revsyncd.checks.totals import without
from revsyncd.cli.group import EXIT_ERROR, EXIT_USAGE, Failure, explained, tell
from revsyncd.cli.layout import columns, plural
from revsyncd.cli.options import example, load_config, print_json, with_config, with_json
from revsyncd.cli.progress import progress_bar
from revsyncd.cli.show import problem_lines
from revsyncd.config import Config, Folder, load_mapping
from revsyncd.core.errors import RevsyncdError
from revsyncd.core.places import shown
from revsyncd.core.template import Kind, Mapping
from revsyncd.pipelines.checking import (
    UnreadableManifest,
    is_empty,
    preparation_of,
    read_manifest,
)

_PROBLEMS_SHOWN = 20
_MARKED = 3  # problems whose lines are shown


@click.command(epilog=example("revsyncd validate transactions ~/export/*.csv"))
@click.argument("name", metavar="NAME")
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)
@with_config
@with_json
def validate(name: str, files: tuple[Path, ...], path: Path, *, as_json: bool) -> int:
    """Run the checks of folder NAME on files anywhere; nothing is moved or sent.

    Where the folder waits for a manifest, one that lies beside the file is checked against.
    Exit code: 0 every file is valid, 1 not.
    """
    config = load_config(path)
    folder = config.templates.get(name)
    if folder is None:
        names = ", ".join(config.templates)
        raise Failure([f"there is no folder {shown(name)}"], f"name one of: {names}", EXIT_USAGE)
    mapping = _mapping(config, folder)
    validated = [_validated(file, folder, mapping, as_json=as_json) for file in files]
    if as_json:
        print_json([one.to_json() for one in validated])
    return 0 if all(one.valid for one in validated) else EXIT_ERROR


@dataclass(frozen=True, slots=True)
class Validated:
    """One file's result, or why it has none."""

    file: Path
    folder: Folder
    result: CheckResult | None
    failure: Failure | None = None
    marked: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the daemon would send all of it, or take it as done because it is empty."""
        if self.result is None or self.result.looks_cut:
            return False
        if is_empty(self.result):
            return self.folder.on_empty == "done"
        return self.result.errors == 0

    def to_json(self) -> dict[str, Any]:
        """One object of the list that `--json` prints."""
        told = {"file": shown(str(self.file)), "valid": self.valid}
        if self.result is None:
            return {**told, "error": str(self.failure)}
        names = ("records", "lines", "sha256", "errors", "warnings", "by_code", "totals")
        facts = {name: getattr(self.result, name) for name in names}
        return {
            **told,
            **facts,
            "totals_by": list(self.result.totals_by),
            "cells_in_no_total": self.result.unsummed,
            "problems": [_problem(problem) for problem in self.result.problems],
            "seconds": round(self.result.seconds, 3),
            "encoding": self.result.encoding,
            "size": self.result.size,
            "normalised": self.result.normalised,
        }


def _problem(problem: Problem) -> dict[str, Any]:
    names = ("line", "record", "column", "value", "code", "message", "level")
    return {name: getattr(problem, name) for name in names}


def _mapping(config: Config, folder: Folder) -> Mapping:
    """From the folder's own file, else as the daemon last saw it, else from the tenant."""
    if folder.mapping is not None:
        return load_mapping(folder.mapping)
    try:
        with Ledger.read(config.state_dir, SystemClock().now) as ledger:
            kept = ledger.mappings.get(config.tenant.base_url, folder.template_name)
    except (RevsyncdError, OSError):  # no daemon ever ran, or its ledger is not ours to read
        kept = None
    return kept[0] if kept else anyio.run(_fetched, config, folder)


async def _fetched(config: Config, folder: Folder) -> Mapping:
    from revsyncd.assemble import open_tenant  # noqa: PLC0415  (an HTTP client that is seldom needed)

    async with open_tenant(config) as tenant:
        return await tenant.mapping(folder.template_name)


def _validated(file: Path, folder: Folder, mapping: Mapping, *, as_json: bool) -> Validated:
    """Check one file and, unless JSON is asked for, print what was found."""
    try:
        result = _result(file, folder, mapping)
        marked = () if as_json else _marked(file, folder, result.problems[:_MARKED])
        validated = Validated(file, folder, result, marked=marked)
    except Exception as error:
        failure = explained(error)
        if failure is None:
            raise
        tell(failure)
        return Validated(file, folder, None, failure)
    if not as_json:
        for line in _lines(validated):
            click.echo(line)
    return validated


def _result(file: Path, folder: Folder, mapping: Mapping) -> CheckResult:
    job = CheckJob(file, mapping, folder.dialect(), folder.rules(), _manifest(file, folder))
    with ExitStack() as stack:
        # Whether a group has room is seen only where parts are made.
        if folder.keep_together or folder.kind is Kind.BUNDLE:
            parts = Path(stack.enter_context(TemporaryDirectory(prefix="revsyncd-validate-")))
            job = replace(job, preparation=preparation_of(folder, mapping, parts))
        told = stack.enter_context(progress_bar(shown(file.name)))
        return anyio.run(ProcessChecker().check, job, told)


def _marked(file: Path, folder: Folder, problems: Sequence[Problem]) -> tuple[str, ...]:
    """The lines of the first problems, each with its cell marked and what is wrong below."""
    found = anyio.run(ProcessChecker().excerpts, file, folder.dialect(), tuple(problems))
    lines: list[str] = []
    for problem, excerpt in found.items():
        lead = f"line {problem.line}: "
        mark = " " * (len(lead) + excerpt.begin) + "^" * excerpt.length
        lines += ["", lead + excerpt.text, *([mark] if excerpt.length else []), problem.message]
    return tuple(lines)


def _manifest(file: Path, folder: Folder) -> Manifest | None:
    path = file.with_name(file.name + folder.manifest_suffix)
    if folder.ready != "manifest" or not path.is_file():
        return None
    try:
        return read_manifest(path.read_bytes())
    except UnreadableManifest as why:
        problem = f"{shown(str(path))}: {why}"
        raise RevsyncdError(problem, hint="have the sender mend the manifest") from why


def _lines(validated: Validated) -> Iterator[str]:
    result = validated.result
    if result is None:
        return
    word = "valid" if validated.valid else "not valid"
    counts = ", ".join(
        [
            plural(result.records, "record"),
            plural(result.errors, "error"),
            plural(result.warnings, "warning"),
        ]
    )
    yield f"{shown(str(validated.file))}: {word}: {counts} ({result.seconds:.2f} s)"
    yield from (f"  {line}" for line in _summary(result))
    yield from (f"  {line}" for line in problem_lines(list(result.problems[:_PROBLEMS_SHOWN])))
    yield from (f"  {line}".rstrip() for line in validated.marked)
    hidden = result.errors + result.warnings - _PROBLEMS_SHOWN
    if hidden > 0:
        yield f"  … and {plural(hidden, 'more problem')}; --json lists {len(result.problems):,} of all"


def _summary(result: CheckResult) -> Iterator[str]:
    """What was counted: by code, by column, and what would be sent in another form."""
    for label, total in result.totals.items():
        yield f"{label}: {total}{without(result.unsummed.get(label, 0))}"
    for what, count in result.normalised.items():
        yield f"{what} brought into the tenant's form: {count:,}"
    if len(result.by_code) > 1:
        rows = sorted(result.by_code.items(), key=lambda entry: (-entry[1], entry[0]))
        yield from columns(["CODE", "FOUND"], [[code, count] for code, count in rows])
