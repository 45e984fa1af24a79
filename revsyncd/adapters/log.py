"""The log: one event a line, facts after it, and never a secret or a line that came from outside.

Every other module logs through `get_logger()`: `log.info("drop.claimed", folder=…, drop=…, file=…)`.
The events are those of `revsyncd.core.events`. `hear` lets others count them, whatever the level.
"""

import json
import logging
import math
import re
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TextIO, cast
from urllib.parse import quote, quote_plus

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

Logger = FilteringBoundLogger
Stream = Callable[[], TextIO]
Hearer = Callable[[str, Mapping[str, Any]], None]  # an event, and its facts as they were given

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_MASK = "***"
_KEPT = 64  # secrets; the oldest go first, for tokens are renewed over months
_DEEPEST = 6  # levels of nested facts

_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_URL_USER = re.compile(r"(\bhttps?://)[^\s\"'<>/?#@]*@", re.IGNORECASE)
_URL_TAIL = re.compile(r"(\bhttps?://[^\s\"'<>?#]*)[?#][^\s\"'<>]*", re.IGNORECASE)

# Control characters, line separators, and marks that turn the direction of what follows.
_UNSAFE = [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029]
_UNSAFE += [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_ESCAPED = {code: f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" for code in _UNSAFE}  # noqa: PLR2004  (one byte)
_ESCAPED |= {0x09: r"\t", 0x0A: r"\n", 0x0D: r"\r"}


class _Secrets:
    """What must not be written: the process's one register, filled by whoever reads a secret."""

    def __init__(self) -> None:
        self._forms: OrderedDict[str, set[str]] = OrderedDict()
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def add(self, text: str) -> None:
        with self._lock:
            self._forms[text] = _forms(text)
            self._forms.move_to_end(text)
            while len(self._forms) > _KEPT:
                self._forms.popitem(last=False)
            every = sorted(set().union(*self._forms.values()), key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, every)))

    def masked(self, text: str) -> str:
        pattern = self._pattern
        return pattern.sub(_MASK, text) if pattern else text


def _forms(text: str) -> set[str]:
    """A secret as it stands, and as URLs, JSON and Python's own messages would write it."""
    raw = text.encode("utf-8", "surrogatepass")
    return {text, quote(raw, safe=""), quote_plus(raw), repr(text)[1:-1], json.dumps(text)[1:-1]}


_SECRETS = _Secrets()
_HEARERS: list[Hearer] = []


def redact(secret_text: str) -> None:
    """From now on `secret_text` is `***` in every line; of many secrets the last 64 are kept."""
    if secret_text:
        _SECRETS.add(secret_text)


def cleaned(text: str) -> str:
    r"""`text` on one line without secrets: bytes that are not UTF-8 as `\xff`, URLs cut at the `?`."""
    open_text = _JWT.sub(_MASK, _SECRETS.masked(text))
    open_text = _URL_TAIL.sub(r"\1?…", _URL_USER.sub(r"\1", open_text))
    return _encodable(open_text.translate(_ESCAPED), "utf-8")


def _encodable(text: str, encoding: str) -> str:
    r"""`text` as `encoding` can write it; a foreign byte, kept as a surrogate, becomes `\xff`."""
    try:
        return text.encode(encoding).decode(encoding)
    except UnicodeEncodeError:
        shown = (f"\\x{ord(c) - 0xDC00:02x}" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in text)  # noqa: PLR2004  (surrogateescape's range)
        return "".join(shown).encode(encoding, "backslashreplace").decode(encoding)


def hear(hearer: Hearer) -> Callable[[], None]:
    """Let `hearer` be told of every event from now on, those below the level too; returns the end of it.

    It is called where the event happens: it must be quick. What it raises concerns nobody else.
    """
    _HEARERS.append(hearer)
    return lambda: _HEARERS.remove(hearer)


def get_logger() -> Logger:
    """The logger; before `configure`, errors alone are written, to stderr."""
    if not structlog.is_configured():
        _configure("error", json_lines=False, stream=lambda: sys.stderr)
    return cast("Logger", structlog.get_logger())


def configure(level: str, format: str, stream: TextIO | None = None) -> None:  # noqa: A002  (the key's name)
    """Write what is at least `level` to `stream` (default: stdout), as "json", "console" or "auto".

    What libraries log at warning or worse is written too, as `library.message`. May be called again.
    """

    def target() -> TextIO:
        return stream or sys.stdout

    on_terminal = format == "auto" and target().isatty()
    _configure(level, json_lines=format != "console" and not on_terminal, stream=target)
    _route_libraries()


def _configure(level: str, *, json_lines: bool, stream: Stream) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _heard,
            _at_least(_LEVELS[level]),
            structlog.processors.format_exc_info,
            _in_order,
            _json_line if json_lines else _console_line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),  # hearers hear all
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=False,
    )


def _heard(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for hearer in tuple(_HEARERS):
        with suppress(Exception):  # what only counts must not harm what is counted
            hearer(str(event["event"]), event)
    return event


def _at_least(level: int) -> Processor:
    """Drops what is below a level."""

    def filtered(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        if _LEVELS.get(event["level"], logging.ERROR) < level:
            raise structlog.DropEvent
        return event

    return filtered


def _in_order(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """`ts`, `level`, `event`, then the facts, all of them cleaned."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = {"ts": now, "level": event.pop("level"), "event": cleaned(str(event.pop("event")))}
    trace = event.pop("exception", None)
    facts = {cleaned(key): _fact(value) for key, value in event.items() if value is not None}
    if trace is not None:
        facts["exception"] = "\n".join(map(cleaned, str(trace).split("\n")))
    return {**head, **facts, **head}  # first for the order, last to prevail


def _fact(value: Any, depth: int = 0) -> Any:
    """A fact as JSON can hold it, cleaned to the bottom."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, Mapping) and depth < _DEEPEST:
        return {cleaned(_words(key)): _fact(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth < _DEEPEST:
        return [_fact(inner, depth + 1) for inner in value]
    return cleaned(_words(value))


def _words(value: Any) -> str:
    """Any value as text; what can't be shown must not keep the line from being written."""
    try:
        if isinstance(value, bytes):
            return value.decode("utf-8", "backslashreplace")
        if isinstance(value, BaseException):
            return f"{type(value).__name__}: {value}"
        return str(value)
    except Exception:
        return f"<{type(value).__name__} without words>"


def _json_line(_: WrappedLogger, __: str, event: EventDict) -> str:
    return json.dumps(event, ensure_ascii=False)


def _console_line(_: WrappedLogger, __: str, event: EventDict) -> str:
    """`time level event key=value …`; a traceback below, each of its lines marked as ours."""
    facts = dict(event)
    head = f"{facts.pop('ts')} {facts.pop('level'):<7} {facts.pop('event'):<16}"
    trace = facts.pop("exception", "")
    words = [f"{key}={_console_fact(value)}" for key, value in facts.items()]
    below = [f"    | {line}" for line in str(trace).split("\n")] if trace else []
    return "\n".join([" ".join([head, *words]).rstrip(), *below])


def _console_fact(value: Any) -> str:
    bare = isinstance(value, str) and value and not re.search(r"[\s\"=]", value)
    return str(value) if bare else json.dumps(value, ensure_ascii=False)


class _Lines:
    """Writes lines whole; a reader that is gone must not stop the daemon."""

    _lock = threading.Lock()

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        stream = self._stream()
        try:
            with self._lock:
                stream.write(_encodable(line, getattr(stream, "encoding", None) or "utf-8") + "\n")
                stream.flush()
        except (OSError, ValueError):
            return

    debug = info = warning = error = critical = exception = msg


class _Libraries(logging.Handler):
    """Takes what libraries log into this log."""

    def emit(self, record: logging.LogRecord) -> None:
        log = get_logger()
        tell = log.error if record.levelno >= logging.ERROR else log.warning
        exc_info = record.exc_info if record.exc_info and record.exc_info[0] else None
        tell("library.message", logger=record.name, message=_message(record), exc_info=exc_info)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:
        return _words(record.msg)


def _route_libraries() -> None:
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _Libraries)]:
        root.removeHandler(handler)
    root.addHandler(_Libraries(logging.WARNING))
    root.setLevel(logging.WARNING)
