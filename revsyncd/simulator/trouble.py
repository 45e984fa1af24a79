"""Trouble on the wire: which call meets it, at which moment, and what happens then.

::

    at      head      before the body is read
            bytes     after `after_bytes` bytes of the body
            body      after the whole body, nothing being done with it
            stored    after the call was carried out, in place of its answer

    verb    answer    `status`, with `body`, `content_type`, `headers`, `retry_after`
            html      200 and a maintenance page
            redirect  `status` (302 unless said) to `location`
            stall     nothing, until `seconds` are over, the trouble is cleared or the client leaves;
                      then as usual. At `bytes`: stop reading the body
            cut       the answer's head and `after_bytes` of its body (0: half of it), then the end
            reset     a TCP reset
            close     an orderly end without an answer

A trouble meets the next `times` calls whose path `on` is found in (a regular expression), after
letting `skip` of them pass. Of several the oldest comes first.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import StrEnum
from typing import Any


class At(StrEnum):
    """The moment of a call."""

    HEAD = "head"
    BYTES = "bytes"
    BODY = "body"
    STORED = "stored"


class Verb(StrEnum):
    """What happens."""

    ANSWER = "answer"
    HTML = "html"
    REDIRECT = "redirect"
    STALL = "stall"
    CUT = "cut"
    RESET = "reset"
    CLOSE = "close"


_USUALLY_AT = {
    Verb.CUT: At.STORED,
    Verb.RESET: At.HEAD,
    Verb.CLOSE: At.HEAD,
}
_REDIRECTS = range(300, 400)
_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "verb": (str,),
    "on": (str,),
    "method": (str,),
    "times": (int,),
    "skip": (int,),
    "at": (str,),
    "after_bytes": (int,),
    "status": (int,),
    "body": (str,),
    "content_type": (str,),
    "headers": (dict,),
    "retry_after": (int, float),
    "retry_after_date": (bool,),
    "location": (str,),
    "seconds": (int, float),
}


@dataclass(slots=True)
class Trouble:
    """One trouble with what is left of it; `met` counts the calls to which it happened."""

    verb: Verb
    on: str = ""
    method: str = ""  # any
    times: int = 1
    skip: int = 0
    at: At | None = None  # the verb's usual moment
    after_bytes: int = 0
    status: int = 0
    body: str = ""
    content_type: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    retry_after: float | None = None  # seconds
    retry_after_date: bool = False  # as an HTTP date
    location: str = "https://login.invalid/"
    seconds: float | None = None
    met: int = 0

    def __post_init__(self) -> None:
        """Fill in the usual moment and refuse what can't happen."""
        self.verb = Verb(self.verb)
        self.at = At(self.at) if self.at else _USUALLY_AT.get(self.verb, At.BODY)
        re.compile(self.on)
        if self.verb is Verb.CUT and self.at is not At.STORED:
            raise ValueError("cut: there is an answer to cut only at 'stored'")
        if self.verb is Verb.ANSWER and not 200 <= self.status <= 599:  # noqa: PLR2004  (HTTP)
            raise ValueError(f"answer: status {self.status} is not between 200 and 599")
        if self.verb is Verb.REDIRECT and (self.status or 302) not in _REDIRECTS:
            raise ValueError(f"redirect: status {self.status} is not 3xx")

    def matches(self, method: str, path: str) -> bool:
        """Whether a call is one of those that it is for."""
        return self.method in {"", method} and re.search(self.on, path) is not None

    def said_headers(self, now: float) -> list[tuple[str, str]]:
        """The headers of its answer; `now` is in seconds since the epoch."""
        said = list(self.headers.items())
        if self.retry_after is not None:
            later = formatdate(now + self.retry_after, usegmt=True)
            said.append(
                ("Retry-After", later if self.retry_after_date else f"{self.retry_after:g}")
            )
        if self.verb is Verb.REDIRECT:
            said.append(("Location", self.location))
        return said

    def to_json(self) -> dict[str, object]:
        """What is left of it, for the control path."""
        at = self.at.value if self.at else ""
        return {
            "verb": self.verb.value,
            "on": self.on,
            "at": at,
            "times": self.times,
            "skip": self.skip,
            "met": self.met,
        }


class Troubles:
    """All trouble that waits for its calls, oldest first."""

    def __init__(self) -> None:
        """Begin without any."""
        self.waiting: list[Trouble] = []
        self.met = 0  # how often trouble happened at all
        self.cleared = 0  # how often all was cleared; a stall that sees it change goes on
        self.on_change: Callable[[], None] = lambda: None

    def add(self, verb: Verb | str, **details: Any) -> Trouble:
        """Add trouble; `details` are the fields of `Trouble`. ValueError or TypeError when wrong."""
        trouble = Trouble(Verb(verb), **details)
        self.waiting.append(trouble)
        return trouble

    def from_json(self, data: dict[str, Any]) -> Trouble:
        """Add what the control path sent; ValueError names the key and what it takes."""
        for key, value in data.items():
            if key not in _JSON_TYPES:
                raise ValueError(f"{key}: no such key; there are {', '.join(_JSON_TYPES)}")
            if type(value) not in _JSON_TYPES[key]:
                takes = " or ".join(each.__name__ for each in _JSON_TYPES[key])
                raise ValueError(f"{key}: {value!r} is not {takes}")
        try:
            return self.add(**data)
        except (TypeError, re.error) as error:
            raise ValueError(str(error)) from error

    def match(self, method: str, path: str) -> Trouble | None:
        """The trouble that this call is to meet, counted off."""
        for trouble in self.waiting:
            if not trouble.matches(method, path):
                continue
            if trouble.skip:
                trouble.skip -= 1
                continue
            trouble.times -= 1
            if trouble.times <= 0:
                self.waiting.remove(trouble)
            return trouble
        return None

    def happened(self, trouble: Trouble) -> None:
        """Count a trouble at the moment at which it happens."""
        trouble.met += 1
        self.met += 1
        self.on_change()

    def clear(self) -> int:
        """End all trouble, stalls included; how many were still waiting."""
        waiting = len(self.waiting)
        self.waiting.clear()
        self.cleared += 1
        self.on_change()
        return waiting
