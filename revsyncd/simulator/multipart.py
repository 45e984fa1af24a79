"""Multipart forms (RFC 7578), read strictly from a body that is complete.

Strictly means: a form that lacks its closing boundary is malformed, not "all there was".
"""

import mmap
import re
from dataclasses import dataclass

Buffer = bytes | mmap.mmap

_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s;",]{1,70}))', re.IGNORECASE)
_PARAMETER = re.compile(r';\s*([a-z0-9*_-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))', re.IGNORECASE)
_HEAD_LIMIT = 16_384


class Malformed(ValueError):
    """The body is not the multipart form that it should be."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the form; its content is `body[start:end]`."""

    name: str
    file_name: str  # "" without one
    start: int
    end: int


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type header names; Malformed when it is no multipart/form-data."""
    found = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/form-data") or found is None:
        raise Malformed(
            f"Content-Type is {content_type!r}, not multipart/form-data with a boundary"
        )
    return (found[1] or found[2]).encode("latin-1")


def parse(body: Buffer, boundary: bytes) -> list[Part]:
    """The parts in order, none read into memory."""
    delimiter = b"--" + boundary
    if body[: len(delimiter)] != delimiter:
        raise Malformed("the body does not begin with its boundary")
    parts: list[Part] = []
    at = len(delimiter)
    while body[at : at + 2] != b"--":
        if body[at : at + 2] != b"\r\n":
            raise Malformed(f"no line end after the boundary at byte {at}")
        end = body.find(b"\r\n" + delimiter, at)
        if end < 0:
            raise Malformed("the closing boundary is missing")
        parts.append(_part(body, at, end))
        at = end + 2 + len(delimiter)
    if body[at + 2 : at + 4] not in {b"", b"\r\n"}:
        raise Malformed("text after the closing boundary")
    return parts


def _part(body: Buffer, at: int, end: int) -> Part:
    """The part whose head begins with the line end at `at`."""
    stop = body.find(b"\r\n\r\n", at, min(end, at + _HEAD_LIMIT))
    if stop < 0:
        raise Malformed(f"the part at byte {at} has no headers")
    disposition = _disposition(body[at + 2 : stop])
    parameters = {
        name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain
        for name, quoted, plain in _PARAMETER.findall(disposition)
    }
    if "name" not in parameters:
        raise Malformed(f"the part at byte {at} has no name")
    return Part(parameters["name"], parameters.get("filename", ""), stop + 4, end)


def _disposition(head: bytes) -> str:
    """The Content-Disposition among a part's headers."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            return value.decode("utf-8", "surrogateescape").strip()
    raise Malformed("a part has no Content-Disposition")
