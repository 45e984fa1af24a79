"""A call as the handlers see it, and how a call finds its handler."""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from .answers import Answer
from .body import Body
from .tenant import Tenant

_PREFIX = "/revenue"  # OneID's base is https://one.zuora.com/revenue


@dataclass(frozen=True, slots=True)
class Call:
    """A request: header names in lower case, `captured` what the route found in the path."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Body
    captured: tuple[str, ...] = ()

    def header(self, name: str) -> str:
        """A header's value, "" without one."""
        return self.headers.get(name, "")


Handler = Callable[[Tenant, Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """A path of the tenant; `name` stands for all calls of it in the counts."""

    method: str
    name: str  # "/v1/journal/batch/{}/{}": each {} captures one segment
    handler: Handler
    is_upload: bool = False
    needs_token: bool = True

    def captures(self, path: str) -> tuple[str, ...] | None:
        """What the path has at the placeholders; None when it is another path."""
        pattern = re.escape(self.name).replace(re.escape("{}"), "([^/]+)")
        found = re.fullmatch(pattern, path)
        return found.groups() if found else None


def find_route(routes: Iterable[Route], method: str, path: str) -> tuple[Route | None, int]:
    """The route of a call, or None with the status that says why: 404, or 405 for another method."""
    on_path = [route for route in routes if route.captures(path) is not None]
    for route in on_path:
        if route.method == method:
            return route, 200
    return None, 405 if on_path else 404


def read_target(target: bytes) -> tuple[str, dict[str, str]]:
    """The path, without OneID's prefix and percent signs, and the query of a request's target."""
    text = target.decode("latin-1")
    try:
        parts = urlsplit(text)
    except ValueError:
        return text, {}
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return unquote(parts.path).removeprefix(_PREFIX) or "/", query


def number(text: str) -> int | None:
    """A whole number as ids are written, else None."""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def read_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by name; of several of one name the last counts."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
