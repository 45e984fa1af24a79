"""What the tenant's API reference allows, as data and pure judgements: nothing of revsyncd, no network.

Every judgement returns faults, a list of `(rule, detail)`; an empty list means that the reference
has nothing against it.  `strict_tenant` puts them on the wire.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

Fault = tuple[str, str]
Headers = Sequence[tuple[str, str]]

API = "/api/integration"
MULTIPART = "multipart/form-data"
TEXT = "text/plain"
FORM = "application/x-www-form-urlencoded"
PAGE_SIZE = 10_000  # "10,000 at most"

# What any HTTP client sends of itself; everything else must be a header that the call documents.
_OF_HTTP = frozenset(
    {"host", "accept", "accept-encoding", "accept-language", "connection", "user-agent"}
)
_OF_A_BODY = frozenset({"content-type", "content-length"})
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_NUMBER = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_MONTHS = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
_MASKS = {"YYYY": r"\d{4}", "YY": r"\d\d", "MON": f"(?:{_MONTHS})", "MM": r"\d\d", "DD": r"\d\d"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One documented call: `path` is a pattern below `/api/integration` (or absolute for `oneid`)."""

    name: str
    method: str
    path: str
    needs: frozenset[str] = frozenset()  # headers beside the token's
    may: frozenset[str] = frozenset()
    query: frozenset[str] = frozenset()  # needed
    may_query: frozenset[str] = frozenset()
    body: str = ""  # the content type, "" for none
    limit: int = 0  # records a request


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENDPOINTS = (
    Endpoint(
        "sign-in token",
        "POST",
        f"{API}/v1/authenticate",
        needs=_words("authorization role clientname"),
    ),
    Endpoint("sign-in oneid", "POST", "/oauth2/token", body=FORM),
    Endpoint(
        "upload file",
        "POST",
        f"{API}/v1/upload/file",
        needs=_words("templatename"),
        body=MULTIPART,
        limit=60_000,
    ),
    Endpoint(
        "upload csv",
        "POST",
        f"{API}/v1/csv/upload",
        needs=_words("templatename filename"),
        body=TEXT,
        limit=20_000,
    ),
    Endpoint("status file", "GET", f"{API}/v1/fileupload/status/(?P<id>[^/]+)"),
    Endpoint("status csv", "GET", f"{API}/v1/csv/upload/status", query=_words("id")),
    Endpoint("mapping", "GET", f"{API}/v1/upload/mapping", query=_words("templatename")),
    Endpoint("stage errors", "GET", f"{API}/v1/stage/error/(?P<kind>transaction|event)"),
    Endpoint("journal list", "GET", f"{API}/v1/journal/list"),
    Endpoint(
        "journal page",
        "GET",
        f"{API}/v1/journal/batch/[^/]+/[0-9]+",
        may=_words("pagesize"),
        may_query=_words("pagesize"),
    ),
    Endpoint("journal confirm", "PUT", f"{API}/v1/journal/batch/status/[^/]+"),
    Endpoint("journal file", "GET", f"{API}/v1/download/transferbatchfile/[^/]+"),
    Endpoint("signed url", "GET", f"{API}/v2/reports/signedurl/[^/]+"),
)


@dataclass(frozen=True, slots=True)
class Column:
    """One row of a mapping as the tenant would list it."""

    label: str
    name: str
    data_type: str


@dataclass(frozen=True, slots=True)
class Template:
    """An upload template; `kind` is the path segment under which its stage errors are listed."""

    kind: str
    columns: tuple[Column, ...]
    date_format: str = "DD-MON-YYYY"

    @property
    def labels(self) -> list[str]:
        """The header row that an upload must begin with."""
        return [column.label for column in self.columns]


def find(method: str, path: str) -> Endpoint | None:
    """The documented call that this is, if any."""
    for endpoint in ENDPOINTS:
        if endpoint.method == method and re.fullmatch(endpoint.path, path):
            return endpoint
    return None


def faults_of_call(endpoint: Endpoint, headers: Headers, query: str) -> list[Fault]:
    """What is wrong with headers and query of one call, the sign-in headers aside."""
    names = [name.lower() for name, _ in headers]
    signing_in = endpoint.name.startswith("sign-in")
    known = _OF_HTTP | endpoint.needs | endpoint.may | (_OF_A_BODY if endpoint.body else set())
    known |= {"content-length"} if endpoint.method != "GET" else set()
    known |= set() if signing_in else {"token", "authorization"}
    faults = [("header.missing", name) for name in sorted(endpoint.needs - set(names))]
    faults += [("header.unknown", name) for name in names if name not in known]
    faults += [("header.repeated", name) for name in set(names) if names.count(name) > 1]
    faults += [("header.not_ascii", name) for name, value in headers if not value.isascii()]
    return faults + _faults_of_query(endpoint, query) + _faults_of_pages(headers, query)


def _faults_of_query(endpoint: Endpoint, query: str) -> list[Fault]:
    given = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
    faults = [("query.missing", name) for name in sorted(endpoint.query - set(given))]
    allowed = endpoint.query | endpoint.may_query
    return faults + [("query.unknown", name) for name in given if name not in allowed]


def _faults_of_pages(headers: Headers, query: str) -> list[Fault]:
    sizes = [value for name, value in headers if name.lower() == "pagesize"]
    sizes += [value for name, value in parse_qsl(query) if name == "pagesize"]
    wrong = [size for size in sizes if not size.isdecimal() or not 0 < int(size) <= PAGE_SIZE]
    return [("page.size", size) for size in wrong]


def faults_of_length(endpoint: Endpoint, headers: Headers) -> list[Fault]:
    """An upload must say its length before it begins; a chunked one does not."""
    by_name = {name.lower(): value for name, value in headers}
    if "transfer-encoding" in by_name:
        return [("length.chunked", by_name["transfer-encoding"])]
    length = by_name.get("content-length", "" if endpoint.body else "0")
    if not endpoint.body:
        return [] if length == "0" else [("body.unexpected", length)]
    if not length.isdecimal():
        return [("length.missing", length)]
    found = by_name.get("content-type", "").split(";")[0].strip().lower()
    return [] if found == endpoint.body else [("content_type", found)]


def file_part(content_type: str, body: bytes) -> tuple[str, bytes, list[Fault]]:
    """The name and the content of the one part `file` of a multipart body, byte for byte."""
    match = re.search(r'boundary="?([^";]+)"?', content_type)
    if match is None:
        return "", b"", [("multipart.boundary", content_type)]
    line = b"--" + match[1].encode("ascii", "replace")
    pieces = (b"\r\n" + body).split(b"\r\n" + line)
    if len(pieces) < 3 or pieces[-1] not in (b"--\r\n", b"--"):
        return "", b"", [("multipart.unfinished", repr(body[-40:]))]
    faults = [("multipart.preamble", repr(pieces[0]))] if pieces[0] else []
    parts = [_read_part(piece) for piece in pieces[1:-1]]
    if [name for name, _, _ in parts] != ["file"]:
        return "", b"", [*faults, ("multipart.parts", repr([name for name, _, _ in parts]))]
    _, disposition, content = parts[0]
    name, more = _file_name(disposition)
    return name, content, faults + more


def _read_part(piece: bytes) -> tuple[str, str, bytes]:
    head, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    found = [line for line in lines if line.lower().startswith("content-disposition:")]
    disposition = found[0] if found else ""
    name = re.search(r'\bname="([^"]*)"', disposition)
    return name[1] if name else "", disposition, content


def _file_name(disposition: str) -> tuple[str, list[Fault]]:
    if "filename*" in disposition.lower():
        return "", [("file_name.extended", disposition)]
    match = re.search(r'filename="([^"]*)"', disposition)
    if match is None or not match[1]:
        return "", [("file_name.missing", disposition)]
    return match[1], faults_of_name(match[1])


def faults_of_name(name: str) -> list[Fault]:
    """A file name for the tenant: plain ASCII, no folder, nothing that needs escaping."""
    if re.fullmatch(r"[A-Za-z0-9 ._()+=,@-]{1,200}", name):
        return []
    return [("file_name.not_ascii" if not name.isascii() else "file_name.characters", repr(name))]


def read_rows(
    content: bytes, template: Template, limit: int
) -> tuple[list[list[str]], list[Fault]]:
    """The records (without the header) of an upload's content, and what is wrong with it."""
    if content.startswith(_BOMS):
        return [], [("body.bom", repr(content[:4]))]
    try:
        rows = list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))
    except UnicodeDecodeError as error:
        return [], [("body.not_utf8", str(error))]
    except csv.Error as error:
        return [], [("body.csv", str(error))]
    if not rows or rows[0] != template.labels:
        return [], [("body.header", f"{rows[:1]} is not {template.labels}")]
    records = rows[1:]
    faults = [("body.too_many", str(len(records)))] if len(records) > limit else []
    faults += [] if records else [("body.no_records", "")]
    return records, faults + _faults_of_records(records, template)


def _faults_of_records(records: Iterable[list[str]], template: Template) -> list[Fault]:
    width = len(template.columns)
    ragged = [number for number, row in enumerate(records, 1) if len(row) != width]
    if ragged:
        return [("record.fields", f"record {ragged[0]}")]
    faults = []
    for column, cells in zip(template.columns, zip(*records, strict=True), strict=False):
        bad = [cell for cell in set(cells) if cell and not _plain(cell, column, template)]
        faults += [("cell", f"{column.label}: {cell!r} is no {column.data_type}") for cell in bad]
    return faults


def _plain(cell: str, column: Column, template: Template) -> bool:
    """Whether the tenant would read the cell: plain numbers, dates in the mask, no blanks around."""
    if column.data_type.lower() == "number":
        return _NUMBER.fullmatch(cell) is not None
    if column.data_type.lower() == "date":
        mask = re.sub("YYYY|YY|MON|MM|DD", lambda word: _MASKS[word[0]], template.date_format)
        return re.fullmatch(mask, cell, re.IGNORECASE | re.ASCII) is not None
    return True
