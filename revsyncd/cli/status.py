"""`revsyncd status`: the whole state of an instance on one screen."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from revsyncd.adapters.clock import SystemClock
from revsyncd.adapters.ledger import running
from revsyncd.cli.layout import columns, moment, pairs, section, short
from revsyncd.cli.options import example, load_config, print_json, with_config, with_json
from revsyncd.cli.which import reading
from revsyncd.pipelines.overview import OPEN, overview

_SETTLED_SHOWN = 10

Data = dict[str, Any]


@click.command(epilog=example("revsyncd status", "revsyncd status --check || mail -s held team"))
@with_config
@with_json
@click.option("--check", is_flag=True, help="Exit with 1 when something needs a person.")
def status(path: Path, *, as_json: bool, check: bool) -> int:
    """Show what is open, what was settled last and what needs a person."""
    config = load_config(path)
    with reading(config) as ledger:
        alive = running(config.root, config.state_dir)
        data = overview(config, ledger, running=alive, now=SystemClock().now())
    if as_json:
        print_json(data)
    else:
        _print(data)
    return int(check and bool(data["needs_a_person"]))


def _print(data: Data) -> None:
    for line in pairs(_head(data)):
        click.echo(line)
    section("Folders", _folders(data["folders"]))
    held = [drop for drop in data["drops"] if drop["state"] == "held"]
    section("Open", _open([drop for drop in data["drops"] if drop["state"] != "held"]))
    section("Held: a person must look", _held(held))
    if data["gl"] is not None:
        section("Batches", _batches(data["gl"]["batches"]))
    section("Last settled", _settled(data["settled"][:_SETTLED_SHOWN]))
    section("Services and disk", _others(data["conditions"]))


def _head(data: Data) -> Iterator[tuple[str, str]]:
    tenant, token = data["tenant"], data["token"]
    yield ("daemon", "running" if data["running"] else "not running; what follows is as it left it")
    yield ("tenant", f"{tenant['base_url']}, {tenant['state']}")
    if tenant["message"]:
        yield ("", f"since {moment(tenant['since'])}: {tenant['message']}")
    if tenant["next_step"]:
        yield ("", f"next step: {tenant['next_step']}")
    valid = f"valid until {moment(token['expires_at'])}" if token["valid"] else "none now"
    yield ("token", valid)
    needs = len(data["needs_a_person"])
    yield ("needs a person", f"{needs:,}: see below" if needs else "nothing")


def _folders(folders: list[Data]) -> Iterator[str]:
    rows = [[f["folder"], f["state"], f["open"], f["held"], f["template_name"]] for f in folders]
    lines = columns(["FOLDER", "STATE", "OPEN", "HELD", "TEMPLATE"], rows)
    yield lines[0]
    for folder, line in zip(folders, lines[1:], strict=True):
        yield line
        if folder["state"] != OPEN:
            since = f"since {moment(folder['since'])}: " if folder["since"] else ""
            yield f"  {since}{folder['message']}"
            if folder["next_step"]:
                yield f"  next step: {folder['next_step']}"


def _open(drops: list[Data]) -> list[str]:
    rows = [
        [d["drop"], d["folder"], short(d["file"]), moment(d["since"]), d["in_words"]] for d in drops
    ]
    return columns(["DROP", "FOLDER", "FILE", "SINCE", "STATE"], rows) if rows else []


def _held(drops: list[Data]) -> Iterator[str]:
    for drop in drops:
        yield f"{drop['drop']}  {drop['folder']}/{drop['file']}"
        yield f"  {drop['reason']} since {moment(drop['since'])}: {drop['message']}"
        yield f"  next step: {drop['next_step']}"


def _batches(found: list[Data]) -> Iterator[str]:
    for batch in found:
        late = "; late" if batch["late"] else ""
        yield f"{batch['batch']}  {batch['name']}  {batch['in_words']}{late}"
        if batch["message"]:
            yield f"  since {moment(batch['since'])}: {batch['message']}"
        if batch["next_step"]:
            yield f"  next step: {batch['next_step']}"


def _settled(drops: list[Data]) -> list[str]:
    rows = [
        [d["drop"], d["folder"], short(d["file"]), moment(d["settled_at"]), d["state"], d["reason"]]
        for d in drops
    ]
    return columns(["DROP", "FOLDER", "FILE", "SETTLED", "STATE", "REASON"], rows) if rows else []


def _others(conditions: list[Data]) -> Iterator[str]:
    """What neither the tenant nor a folder tells."""
    for condition in conditions:
        if condition["kind"].startswith(("service.", "disk.", "gl.")):
            scope = "" if condition["scope"] == "*" else f" {condition['scope']}"
            yield f"{condition['kind']}{scope} since {moment(condition['since'])}: {condition['message']}"
            if condition["next_step"]:
                yield f"  next step: {condition['next_step']}"
