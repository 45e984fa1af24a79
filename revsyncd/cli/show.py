"""`revsyncd show`: one drop's whole history."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from revsyncd.checks.contract import Problem
from revsyncd.cli.layout import columns, moment, pairs, plural, section
from revsyncd.cli.options import example, load_config, print_json, with_config, with_json
from revsyncd.cli.which import reading, the_drop
from revsyncd.core.places import shown
from revsyncd.core.report import utc
from revsyncd.pipelines.overview import history

_PROBLEMS_SHOWN = 10
# Told by other facts of the same step, or by the head.
_SILENT = frozenset(
    {"from", "to", "identity", "sha256", "folder", "size", "place", "name", "target", "filed"}
)
_TIMES = frozenset({"at", "accepted_at", "released_at", "settled_at"})  # seconds since the epoch

Data = dict[str, Any]


@click.command(epilog=example("revsyncd show orders.csv", "revsyncd show 01KAPQ --json"))
@click.argument("drop", metavar="DROP")
@with_config
@with_json
def show(drop: str, path: Path, *, as_json: bool) -> None:
    """Show everything that is recorded about one drop.

    DROP is its id, the beginning of it, or the dropped file's name.
    """
    with reading(load_config(path)) as ledger:
        found = the_drop(ledger, drop)
        data = history(ledger, found)
        problems = ledger.drops.problems(found.drop)
    if as_json:
        print_json(data)
    else:
        _print(data, problems)


def _print(data: Data, problems: list[Problem]) -> None:
    for line in pairs(_head(data)):
        click.echo(line)
    section("History", _history(data["history"]))
    section("Parts", _parts(data["parts"]))
    section(f"Problems ({plural(data['checks']['errors'], 'error')})", _problems(problems))
    section("Lines in error at the tenant", _stage_errors(data["stage_errors"]["items"]))
    if data["next_step"]:
        section("Next step", [data["next_step"]])


def _head(data: Data) -> Iterator[tuple[str, str]]:
    yield ("drop", data["drop"])
    yield ("file", f"{data['folder']}/{data['file']}")
    reason = f" as {data['reason']}" if data["reason"] else ""
    yield ("state", f"{data['state']}{reason}")
    if data["message"]:
        yield ("", data["message"])
    yield ("lies at", data["place"])
    yield ("received", f"{moment(data['received_at'])} from {data['owner'] or 'unknown'}")
    if data["settled_at"]:
        yield ("settled", moment(data["settled_at"]))
    yield ("content", ", ".join(_content(data)))
    yield ("template", f"{data['template_name']} ({data['kind']})")
    yield from _kin(data)


def _content(data: Data) -> Iterator[str]:
    """What is known of it: before the checks that is the size alone."""
    yield f"{data['size']:,} bytes"
    if data["sha256"]:
        yield f"{data['records']:,} records"
        yield f"sha256 {data['sha256']}"


def _kin(data: Data) -> Iterator[tuple[str, str]]:
    for label in ("correction_of", "duplicate_of"):
        if data[label]:
            yield (label.replace("_", " "), data[label])
    if data["corrected_by"]:
        yield ("corrected by", ", ".join(data["corrected_by"]))
    if data["resolved"]:
        word = data["resolved"]
        yield ("resolved", f"--{word['verb']} by {word['by']}: {word['reason']}")


def _history(steps: list[Data]) -> list[str]:
    rows = []
    for step in steps:
        who = f"part {step['part']}" if step["part"] is not None else "drop"
        rows.append(
            [moment(step["at"]), who, step["event"].replace("_", " "), _facts(step["facts"])]
        )
    return columns(["TIME", "WHAT", "STEP", "FACTS"], rows)


def _facts(facts: Data) -> str:
    told = (_fact(name, value) for name, value in facts.items() if name not in _SILENT and value)
    return "; ".join(told)


def _fact(name: str, value: object) -> str:
    words = name.replace("_", " ")
    if isinstance(value, dict):
        return f"{words}: " + ", ".join(_fact(key, each) for key, each in value.items())
    if name in _TIMES and isinstance(value, float):
        return f"{words} {moment(utc(value))}"
    return f"{words} {shown(str(value))}"


def _parts(parts: list[Data]) -> list[str]:
    header = ["PART", "RECORDS", "STATE", "REQUEST", "RELEASED", "SENT AS", "MESSAGE"]
    rows = [
        [
            f"{part['part']} of {part['of']}",
            part["records"],
            part["state"],
            str(part["request_id"] or ""),
            moment(part["released_at"]),
            part["file_name"],
            shown(part["message"]),
        ]
        for part in parts
    ]
    return columns(header, rows) if rows else []


def _problems(problems: list[Problem]) -> Iterator[str]:
    yield from problem_lines(problems[:_PROBLEMS_SHOWN])
    if len(problems) > _PROBLEMS_SHOWN:
        yield f"… the others are in the .errors.csv beside the file ({len(problems):,} are listed)"


def problem_lines(problems: list[Problem]) -> list[str]:
    """Problems as a table: where, what stands there, what is wrong with it."""
    rows = [
        [p.line or "", shown(p.column), shown(p.value), p.code, p.level, shown(p.message)]
        for p in problems
    ]
    return columns(["LINE", "COLUMN", "VALUE", "CODE", "LEVEL", "WHAT"], rows) if rows else []


def _stage_errors(errors: list[Data]) -> list[str]:
    rows = [
        [
            e["line"],
            shown(e["so_line_id"] or e["inv_line_id"]),
            e["state"],
            shown(e["message"]),
        ]
        for e in errors
    ]
    return columns(["LINE", "LINE ID", "STATE", "MESSAGE"], rows) if rows else []
