"""Recognises what some host said in place of a general-ledger file: a web page, XML or JSON, whatever the status.

A host that refuses may repeat the request and its signature, so of its words only those are told that
are meant for people, and of these nothing that looks like an address or a key.
"""

import json
import re
from collections.abc import Iterable

from revsyncd.core.answers import one_line, without_urls

LOOKED_AT = 4096  # bytes
_TOLD = 120  # characters
_PAGE = re.compile(r"<(?:!doctype\s+html|html|head|body|title)\b", re.IGNORECASE)
_XML = re.compile(r"<[?!/A-Za-z]")
_JSON = re.compile(r"\{|\[\s*(?:[\[{\"\]]|$)")
_OF_XML = re.compile(r"<(?:title|Code|Message)\s*>([^<]{1,300})", re.IGNORECASE)
_OF_JSON = re.compile(
    r'"(?:message|error|error_description|code|status)"\s*:\s*("(?:[^"\\]|\\.){1,300}")',
    re.IGNORECASE,
)
_KEY = re.compile(r"[^\s.,;:]{24,}")


def answer_in(head: bytes) -> str:
    """What stands in place of a file, with its words; empty where it may be a file.

    `head` are its first bytes; no header begins with `<`, `{` or a list.
    """
    text = _decoded(head).lstrip("\ufeff \t\r\n")
    if _XML.match(text):
        kind = "a web page" if _PAGE.search(text) else "XML"
        return _told(kind, _OF_XML.findall(text))
    if _JSON.match(text):
        return _told("JSON", map(_unquoted, _OF_JSON.findall(text)))
    return ""


def _decoded(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", "replace")
    return head.decode("utf-8", "replace")


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return ""


def _told(kind: str, words: Iterable[str]) -> str:
    said = _KEY.sub("…", without_urls(one_line("; ".join(filter(None, words)))))
    return f"{kind} came in place of the file" + (f": {said[:_TOLD]}" if said else "")
