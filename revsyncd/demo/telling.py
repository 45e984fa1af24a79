"""Tells what happens, one line an event, in plain words, from the daemon's own log."""

import os
import shutil
import sys
import textwrap
import time
from collections.abc import Callable
from typing import TextIO

from revsyncd.demo.journal import Event

_NARROWEST, _WIDEST = 80, 100
_TIME, _FILE = 7, 30  # columns
_COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_COLOUR_OF = {
    "drop.done": "green",
    "drop.failed": "red",
    "drop.held": "yellow",
    "upload.in_doubt": "yellow",
    "upload.refused": "red",
    "stage_errors.found": "yellow",
    "stage_errors.gone": "green",
    "gl.confirmed": "green",
    "gl.held": "yellow",
}


class Teller:
    """Writes to `stream`, coloured on a terminal, never wider than it."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Time runs from now."""
        self._stream = stream or sys.stdout
        self._coloured = self._stream.isatty() and "NO_COLOR" not in os.environ
        columns = shutil.get_terminal_size((_WIDEST, 24)).columns
        self.width = max(_NARROWEST, min(columns, _WIDEST))
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the telling began."""
        return time.monotonic() - self._began

    def line(self, text: str = "", colour: str = "") -> None:
        """A line as it is."""
        print(self.painted(text, colour), file=self._stream, flush=True)

    def painted(self, text: str, colour: str) -> str:
        """The text in a colour, where there are any."""
        if not (self._coloured and colour and text):
            return text
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"

    def heading(self, text: str) -> None:
        """What comes now."""
        self.line()
        self.line(text, "bold")

    def wrapped(
        self, text: str, colour: str = "", *, indent: str = "", first: str | None = None
    ) -> None:
        """A text in as many lines as it takes, `first` before the first one, else `indent`."""
        lines = textwrap.wrap(
            text,
            self.width,
            initial_indent=indent if first is None else first,
            subsequent_indent=indent,
            break_on_hyphens=False,
        )
        for line in lines:
            self.line(line, colour)

    def happened(self, file: str, words: str, colour: str = "") -> None:
        """One event: when, to which file, what."""
        first = f"{self.seconds:5.1f}s {_fitted(file, _FILE)} "
        self.wrapped(words, colour, indent=" " * (_TIME + _FILE + 1), first=first)

    def command(self, line: str) -> None:
        """A command as somebody typed it."""
        self.wrapped(line, "cyan", indent="    ", first="$ ")

    def answer(self, text: str) -> None:
        """What a command said."""
        for line in text.splitlines():
            self.wrapped(line, indent="    ", first="  ")

    def event(self, event: Event) -> None:
        """An event of the daemon's log."""
        words = in_words(event)
        colour = _COLOUR_OF.get(event["event"], "")
        if not colour and event.get("level") in ("warning", "error"):
            colour = "yellow"
        self.happened(event.get("file") or "daemon", words, colour)


def _fitted(text: str, width: int) -> str:
    return f"{text:<{width}}" if len(text) <= width else f"{text[: width - 2]}.."


def in_words(event: Event) -> str:
    """What an event says, for somebody who does not know the events' names."""
    say = _WORDS.get(event["event"])
    return say(event) if say else _other(event)


def _other(event: Event) -> str:
    """An event without words of its own: its name and the facts that explain it."""
    facts = [str(event[name]) for name in ("reason", "error") if event.get(name)]
    return ": ".join([str(event["event"]), *facts])


def counted(number: int, noun: str) -> str:
    """`1 record`, `2,000 records`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _checked(event: Event) -> str:
    errors, warnings = event.get("errors", 0), event.get("warnings", 0)
    found = [counted(errors, "error")] if errors else []
    found += [counted(warnings, "warning")] if warnings else []
    records = counted(event.get("records", 0), "record")
    return f"checked: {records}, {' and '.join(found) or 'nothing wrong'}"


def _filed(event: Event) -> str:
    shelf = event["event"].removeprefix("drop.")
    why = str(event.get("reason", "")).replace("_", " ")
    more = f" - {event['error']}" if event.get("error") else ""
    return f"-> {shelf}/ ({why}){more}"


def _part(event: Event) -> str:
    return str(event.get("part", "?"))


def _lines(event: Event) -> str:
    return counted(event.get("count", 0), "line")


def _records(event: Event) -> str:
    return counted(event.get("records") or 0, "line")


def _service(event: Event) -> str:
    return f"a service failed: {event.get('service', '?')}: {event.get('error', '')}"


_WORDS: dict[str, Callable[[Event], str]] = {
    "daemon.started": lambda e: f"starts, version {e.get('version', '?')}",
    "daemon.ready": lambda e: f"ready, watches {counted(e.get('folders', 0), 'folder')}",
    "daemon.stopping": lambda _: "stops: takes nothing new, finishes what is on its way",
    "daemon.stopped": lambda _: "stopped",
    "token.renewed": lambda _: "signed in to the tenant",
    "mapping.changed": lambda e: f"the tenant changed {e.get('template_name', 'a template')}",
    "drop.seen": lambda _: "seen, waits until it is still",
    "drop.claimed": lambda e: f"taken into work, {e.get('size', 0):,} bytes",
    "drop.checked": _checked,
    "upload.started": lambda e: f"sends part {_part(e)}, {counted(e.get('records', 0), 'record')}",
    "upload.accepted": lambda e: f"part {_part(e)} received, request {e.get('request_id', '?')}",
    "upload.refused": lambda e: f"part {_part(e)} refused: {e.get('error', '')}",
    "upload.in_doubt": lambda e: f"part {_part(e)} went out and no answer came: in doubt",
    "drop.done": _filed,
    "drop.failed": _filed,
    "drop.held": _filed,
    "drop.resolved": lambda e: f"{e.get('by', '?')} says: {e.get('reason', '?')}",
    "stage_errors.found": lambda e: f"{_lines(e)} in error at the tenant: {e.get('reason', '?')}",
    "stage_errors.gone": lambda e: f"{_lines(e)} no longer in error: {e.get('reason', '?')}",
    "gl.written": lambda e: (
        f"in the outbox, {_records(e)}, {e.get('bytes', 0):,} bytes, with manifest"
    ),
    "gl.confirmed": lambda e: f"batch {e.get('batch', '?')} is marked as transferred at the tenant",
    "gl.held": lambda e: f"held ({e.get('reason', '?')}): {e.get('error', '')}",
    "service.failed": _service,
    "service.restarted": lambda e: f"a service was started again: {e.get('service', '?')}",
    "raw": lambda e: str(e.get("error", "")),
}
