"""`revsyncd gl`: what stands with the general-ledger batches, and a person's word on one of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from revsyncd.adapters.clock import SystemClock
from revsyncd.cli.group import EXIT_ERROR, Failure, tell
from revsyncd.cli.layout import columns, moment
from revsyncd.cli.options import (
    example,
    load_config,
    print_json,
    with_config,
    with_json,
    with_reason,
    without_config,
)
from revsyncd.cli.which import reading
from revsyncd.cli.word import ask, say
from revsyncd.config import Config
from revsyncd.pipelines.batch_overview import batches

Data = dict[str, Any]


@click.group(epilog=example("revsyncd gl list"))
@without_config
def gl() -> None:
    """General-ledger batches: what is ready, written, confirmed or held."""


@gl.command("list", epilog=example("revsyncd gl list"))
@with_config
@with_json
def list_batches(path: Path, *, as_json: bool) -> int:
    """Ask the tenant what is ready, and show all batches that are open, and the last ones that are not."""
    config = _configured(path)
    answered = ask(config, "gl-list", "", "")
    with reading(config) as ledger:
        data = batches(config, ledger, SystemClock().now())
    if as_json:
        print_json(data)
    else:
        _print(data)
    if answered.done:
        return 0
    problem, _, hint = (answered.answer or "").partition("\n")
    tell(Failure([problem], hint))
    return EXIT_ERROR


@gl.command(epilog=example("revsyncd gl fetch 4711"))
@click.argument("batch")
@with_config
def fetch(batch: str, path: Path) -> int:
    """Fetch a batch now; one that was written before is written once more, under a new name."""
    return say(_configured(path), "gl-fetch", batch, "asked for")


@gl.command(epilog=example('revsyncd gl confirm 4711 --reason "posted by hand"'))
@click.argument("batch")
@with_reason
@with_config
def confirm(batch: str, path: Path, reason: str) -> int:
    """Mark a batch as transferred; refused for what is not published and verified."""
    return say(_configured(path), "gl-confirm", batch, reason)


@gl.command(epilog=example('revsyncd gl close 4711 --reason "entered by hand in both systems"'))
@click.argument("batch")
@with_reason
@with_config
def close(batch: str, path: Path, reason: str) -> int:
    """Be done with a batch without telling the tenant; a new content of it is fetched all the same."""
    return say(_configured(path), "gl-close", batch, reason)


def _configured(path: Path) -> Config:
    config = load_config(path)
    if not config.gl.enabled:
        raise Failure(
            ["batches are not configured"], f"set `enabled = true` in the section [gl] of {path}"
        )
    return config


def _print(data: Data) -> None:
    for line in _table(data["batches"] + data["last"]):
        click.echo(line)


def _table(found: list[Data]) -> Iterator[str]:
    if not found:
        yield "no batch is ready, and none was before"
        return
    rows = [
        [b["batch"], b["name"], b["state"], moment(b["since"]), b["records"], b["file"] or ""]
        for b in found
    ]
    lines = columns(["BATCH", "NAME", "STATE", "SINCE", "RECORDS", "FILE"], rows)
    yield lines[0]
    for batch, line in zip(found, lines[1:], strict=True):
        yield line
        if batch["message"]:
            yield f"  {batch['reason'] or batch['state']}: {batch['message']}"
        if batch["next_step"]:
            yield f"  next step: {batch['next_step']}"
        if batch["late"]:
            yield "  late: older than gl.alert_after, and not delivered"
