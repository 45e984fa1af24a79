"""Reading the tenant's answers, whose shape varies between endpoints and versions.

Keys differ in case, `result` is an object, a list, a string, `"None"` or null, errors come as JSON,
plain text or a web page. Source: docs/revenue-api.md, sections 1 and 3.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Any

MESSAGE_LIMIT = 500  # characters of the tenant's words that are kept
_NOTHING = ("", "none", "null")
_TAG = re.compile(
    r"<\s*(?:!doctype|html|head|body|title|h[1-6]|p|div|br|center|script)\b", re.IGNORECASE
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_TURNING = re.compile(r"[\u2028\u2029\u202a-\u202e\u2066-\u2069]")  # the direction of what follows
_BROKEN_DATA = re.compile(r"\s*(?:<|\{|\[\s*[\[{\"\]])")  # XML, or JSON that is none
# With a scheme, or without one but with a query: the query is where a signature stands.
_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+|\S+\?\S+=\S+", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{2,}")
_SUCCESS = re.compile(r"(?:success|succeeded|ok\b|accepted|received|staged|true\b)", re.IGNORECASE)
_ERROR = re.compile(r"(?:error|fail|reject|invalid|denied|unauthori[sz]ed|false\b)", re.IGNORECASE)
_SUCCESS_WORDS = re.compile(r"\b(?:success\w*|received|accepted)\b", re.IGNORECASE)


class Cause(StrEnum):
    """Why there is no answer at all."""

    CONNECT = "no connection"
    DNS = "the name could not be resolved"
    TLS = "the TLS handshake failed"
    PROXY = "the proxy refused"
    TIMEOUT = "no answer in time"
    RESET = "the connection broke"
    CUT = "the connection was closed without an answer"
    GARBAGE = "the answer was not HTTP"
    WITHHELD = "the last chunk was kept back"
    OTHER = "the call broke down"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: `headers` have lower-case names, `body` is bounded, `complete` when it all came."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = True
    received_at: float = 0.0  # seconds since the epoch

    @property
    def is_2xx(self) -> bool:
        """What HTTP calls a success; the body has the last word."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def tracking(self) -> str:
        """The tenant's own ids of this call, for its support; empty when it gave none."""
        names = ("zuora-request-id", "zuora-track-id")
        return " ".join(f"{n}={one_line(self.headers[n])}" for n in names if self.headers.get(n))


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """That no answer came, why, and the network's own words."""

    cause: Cause
    text: str = ""


class Form(StrEnum):
    """What kind of body an answer has."""

    JSON = "json"
    TEXT = "text"  # plain words
    HTML = "html"  # a page for people: maintenance, a gateway, a login form
    EMPTY = "empty"
    UNREADABLE = "unreadable"  # cut, or no words in it


class Tone(StrEnum):
    """What an answer's own status word says."""

    SUCCESS = "success"
    ERROR = "error"
    NEITHER = "neither"


class Fields(dict[str, Any]):
    """A JSON object whose keys are found without case, underscores, hyphens and blanks."""

    def __init__(self, items: Mapping[str, Any]) -> None:
        """Take `items`; of keys that differ only in their spelling the first with a value stays."""
        super().__init__()
        for key, value in items.items():
            name = _spelled(key)
            if _is_nothing(super().get(name)):
                self[name] = value

    def first(self, *names: str) -> Any:
        """The first of these fields that holds something; None when none does."""
        values = (self.get(_spelled(name)) for name in names)
        return next((value for value in values if not _is_nothing(value)), None)

    def text(self, *names: str) -> str:
        """The same as one line of text; numbers as they stand, objects and lists as nothing."""
        return scalar_text(self.first(*names))


@dataclass(frozen=True, slots=True)
class Reading:
    """A body as far as it could be understood."""

    form: Form
    top: Fields = field(default_factory=lambda: Fields({}))
    rows: tuple[Fields, ...] = ()  # what stands under result, or a bare list
    message: str = ""  # the tenant's words, one line
    words: tuple[str, ...] = ()  # status and messages, each one line: what patterns are tried on
    logs: tuple[str, ...] = ()  # file_log texts, for where those words say nothing

    @property
    def status_tone(self) -> Tone:
        """What the status word alone says."""
        status = self.top.text("status", "success")
        if _ERROR.match(status):
            return Tone.ERROR
        return Tone.SUCCESS if _SUCCESS.match(status) else Tone.NEITHER

    @property
    def tone(self) -> Tone:
        """What the status word says; where there is none, whether the words speak of receiving."""
        if self.top.text("status", "success"):
            return self.status_tone
        if any(_SUCCESS_WORDS.search(text) for text in self.words):
            return Tone.SUCCESS
        return Tone.ERROR if self.top.first("error", "errors", "reasons") else Tone.NEITHER

    @property
    def has_words(self) -> bool:
        """Whether the tenant itself speaks here, in JSON or in plain text."""
        return self.form in (Form.JSON, Form.TEXT) and any(map(_WORD.search, self.words))


def read(answer: Answer) -> Reading:
    """Understand an answer's body as far as possible; never raises."""
    text = _decoded(answer.body)
    if not text.strip():
        return Reading(Form.EMPTY if answer.complete else Form.UNREADABLE)
    data = _json(text)
    if isinstance(data, Mapping | list):
        return _read_json(data)
    if isinstance(data, str):
        text = data
    if _is_page(text):
        return Reading(Form.HTML, message=_page_title(text))
    if not answer.complete or _CONTROL.search(text) or _BROKEN_DATA.match(text):
        return Reading(Form.UNREADABLE)
    words = one_line(text)
    return Reading(Form.TEXT, message=words, words=(words,))


def one_line(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Foreign words as one printable line of at most `limit` characters, none of them turned about."""
    return _line(_TURNING.sub(" ", text[: limit * 4]), limit)


def _line(text: str, limit: int = MESSAGE_LIMIT) -> str:
    line = " ".join(_CONTROL.sub(" ", text[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def without_urls(text: str) -> str:
    """The tenant's words without any address in them: a signed one is a secret as a whole."""
    return _URL.sub("(an address)", text)


def scalar_text(value: Any) -> str:
    """A JSON scalar as one line of text, ids included; null, objects and lists as nothing."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float):
        text = _line(str(value))
        return "" if text.lower() in _NOTHING else text
    return ""


def rows_under(top: Fields, *names: str) -> tuple[Fields, ...]:
    """The objects that stand under one of these keys, whether as one object or as a list."""
    found = _unpacked(top.first(*names))
    if isinstance(found, Mapping):
        return (Fields(found),)
    if isinstance(found, list):
        return tuple(Fields(item) for item in found if isinstance(item, Mapping))
    return ()


def _read_json(data: Mapping[str, Any] | list[Any]) -> Reading:
    top = Fields(data) if isinstance(data, Mapping) else Fields({"result": data})
    return _gathered(top, rows_under(top, "result", "results", "data"))


def narrowed(reading: Reading, rows: tuple[Fields, ...]) -> Reading:
    """The same answer as if it held only these of its rows."""
    return _gathered(reading.top, rows)


def _gathered(top: Fields, rows: tuple[Fields, ...]) -> Reading:
    messages = tuple(dict.fromkeys(map(one_line, _messages(top, rows))))
    spoken = [top.text("status"), *messages, *(row.text("status") for row in rows[:100])]
    logs = tuple(text for row in rows for text in _long_texts(row, "file_log"))
    said = next(iter(messages), "") or next(iter(logs), "") or top.text("status")
    return Reading(Form.JSON, top, rows, said, tuple(dict.fromkeys(filter(None, spoken))), logs)


def _messages(top: Fields, rows: tuple[Fields, ...]) -> Iterator[str]:
    names = ("message", "error_description", "error", "errors", "reasons", "detail", "title")
    for name in names:
        yield from _texts(top.first(name))
    result = top.first("result", "results", "data")
    if not isinstance(_unpacked(result), Mapping | list):
        yield from _texts(result)
    elif isinstance(_unpacked(result), list):
        yield from (t for t in map(scalar_text, _unpacked(result)[:100]) if t)
    for row in rows[:100]:
        yield from _texts(row.first("message"))


def _texts(value: Any) -> Iterator[str]:
    """Every message in a value that may be a text, an object with a message, or a list of those."""
    if isinstance(value, Mapping):
        fields = Fields(value)
        yield from filter(None, [fields.text("message", "error_description", "error", "code")])
    elif isinstance(value, list):
        for item in value[:20]:
            yield from _texts(item) if not isinstance(item, list) else ()
    elif text := scalar_text(value):
        yield text


def _long_texts(row: Fields, name: str) -> list[str]:
    # A log may be long: each of its lines is a text of its own, so that a pattern stays on one line.
    value = row.first(name)
    lines = str(value).splitlines()[:2000] if isinstance(value, str) else []
    return [line for line in map(one_line, lines) if line]


def _unpacked(value: Any) -> Any:
    """JSON inside a JSON string, as some gateways pack it."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        inner = _json(value)
        return value if inner is None else inner
    return value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("cp1252", errors="replace")


def _is_page(text: str) -> bool:
    return text.lstrip().startswith("<") and _TAG.search(text[:4096]) is not None


def _page_title(text: str) -> str:
    found = re.search(r"<title[^>]*>([^<]{1,400})", text[:8192], re.IGNORECASE)
    return one_line(found[1]) if found else ""


def _is_nothing(value: Any) -> bool:
    return (
        value is None
        or (isinstance(value, str) and value.strip().lower() in _NOTHING)
        or value in ([], {})
    )


def _spelled(key: str) -> str:
    return re.sub(r"[\s_-]", "", key).lower()
