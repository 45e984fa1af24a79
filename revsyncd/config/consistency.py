"""What no key can say alone: keys that contradict or need each other."""

import os
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from revsyncd.config.model import MOST_RECORDS_CSV, Config, Folder
from revsyncd.config.structure import Place, Problem
from revsyncd.config.values import near, shown


def clashes(config: Config) -> Iterator[Problem]:
    """Every contradiction between keys, each with all the keys that it is about."""
    yield from _places(config)
    yield from _sign_in(config)
    yield from _words(config)
    yield from _names(config)
    for folder in config.folders:
        yield from _folder(folder)
        yield from _unknown_after(config, folder)
    yield from _circle(config)
    yield from _gl(config)
    yield from _http(config)


def _places(config: Config) -> Iterator[Problem]:
    """Links are followed: what counts is where the bytes are."""
    root, state = os.path.realpath(config.root), os.path.realpath(config.state_dir)
    keys: tuple[Place, ...] = (("state_dir",), ("root",))
    if os.path.commonpath([root, state]) == root:
        yield Problem(
            keys, f"{shown(state)} is under root; choose a place on local disk outside it"
        )
    elif os.path.commonpath([root, state]) == state:
        yield Problem(keys, f"{shown(state)} holds root; choose a place beside it")


def _sign_in(config: Config) -> Iterator[Problem]:
    for key, ref in config.tenant.secrets().items():
        if ref is None:
            need = f'auth = "{config.tenant.auth}" needs it; write {key} = "env:REVSYNCD_{key.upper()}"'
            yield Problem((("tenant", key), ("tenant", "auth")), f"is missing; {need}")


def _words(config: Config) -> Iterator[Problem]:
    if not config.tenant.answers.staged:
        text = "nothing would ever count as staged; name the words or take the key out"
        yield Problem((("tenant", "answers", "staged"),), text)


def _names(config: Config) -> Iterator[Problem]:
    """Two folders that a case-blind SFTP client would take for one."""
    seen: dict[str, str] = {}
    for name in config.templates:
        first = seen.setdefault(name.lower(), name)
        if first != name:
            text = f"differs from {shown(first)} only by case; choose another name"
            yield Problem((("templates", name),), text)


def _folder(folder: Folder) -> Iterator[Problem]:
    place = ("templates", folder.name)
    if folder.upload == "csv" and folder.max_records_per_upload > MOST_RECORDS_CSV:
        yield Problem(
            ((*place, "max_records_per_upload"), (*place, "upload")),
            f'upload = "csv" takes at most {MOST_RECORDS_CSV}; '
            f"write max_records_per_upload = {MOST_RECORDS_CSV}",
        )
    if not folder.include:
        yield Problem(((*place, "include"),), 'matches no file; write include = ["*.csv"]')
    yield from _signs(folder, place)
    yield from _suffixes(folder, place)


def _signs(folder: Folder, place: Place) -> Iterator[Problem]:
    csv = (*place, "csv")
    if folder.csv.decimal == folder.csv.thousands:
        yield Problem(
            ((*csv, "thousands"), (*csv, "decimal")),
            f"is the decimal sign too ({shown(folder.csv.decimal)}); make them differ",
        )


def _suffixes(folder: Folder, place: Place) -> Iterator[Problem]:
    if folder.marker_suffix.lower() == folder.manifest_suffix.lower():
        yield Problem(
            ((*place, "marker_suffix"), (*place, "manifest_suffix")),
            "equals manifest_suffix; make them differ",
        )


def _unknown_after(config: Config, folder: Folder) -> Iterator[Problem]:
    for index, name in enumerate(folder.after):
        if name not in config.templates:
            hint = near(name, config.templates) or "; write the name of a configured folder"
            place = ("templates", folder.name, "after", index)
            yield Problem((place, ("templates", name)), f"there is no folder {shown(name)}{hint}")


def _circle(config: Config) -> Iterator[Problem]:
    graph = {folder.name: folder.after for folder in config.folders}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        ring: list[str] = error.args[1][::-1]  # each waits for the next
        keys = tuple(("templates", name, "after") for name in ring)
        yield Problem(keys, f"goes in a circle ({' after '.join(ring)}); take one of them out")


def _gl(config: Config) -> Iterator[Problem]:
    """What [gl] must say, and where its files must not lie."""
    gl = config.gl
    first = gl.outbox.split("/")[0]
    taken = {*(name.lower() for name in config.templates), "reports"}
    if first.lower() in taken:
        text = f'{shown(gl.outbox)} is inside what is used otherwise; write outbox = "outbox/gl"'
        yield Problem((("gl", "outbox"),), text)
    if gl.enabled and not gl.confirm:
        text = "is missing and has no default; say when the tenant is told that a batch was transferred:"
        yield Problem((("gl", "confirm"),), f'{text} "written", "acknowledged" or "never"')
    if not gl.sources:
        yield Problem((("gl", "sources"),), 'names none; write sources = ["report"]')
    if len(set(gl.sources)) < len(gl.sources):
        yield Problem((("gl", "sources"),), "names one twice; write each once")


def _http(config: Config) -> Iterator[Problem]:
    """What strangers can reach asks for a token."""
    http = config.http
    if http.enabled and http.listen.needs_token and http.token is None:
        text = f"is missing; {http.listen} can be reached from other hosts"
        remedy = 'write token = "file:PATH", or listen on 127.0.0.1 or a unix socket'
        yield Problem((("http", "token"), ("http", "listen")), f"{text}: {remedy}")
