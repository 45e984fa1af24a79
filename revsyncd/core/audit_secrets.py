"""How a secret would look where none may be: itself, encoded, or a token or signature by its shape. Pure."""

import base64
import binascii
import json
import re
from collections.abc import Iterable
from urllib.parse import quote

SHORTEST = 6  # characters: shorter ones stand in innocent words by chance
_TOKEN = rb"(?P<token>eyJ[A-Za-z0-9_-]{8,})\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"
_SIGNED = rb"[?&](?:X-Amz-Signature|Signature|sig)=(?!\*)[A-Za-z0-9%+/=_-]{8,}"


class Needles:
    """Looks for secrets in bytes and names what it finds, never showing it."""

    def __init__(self, secrets: Iterable[tuple[str, str]]) -> None:
        """Each secret as what it is called and its value; those shorter than `SHORTEST` are left out."""
        self._names: list[str] = []
        forms: list[bytes] = []
        for name, value in secrets:
            if len(value) >= SHORTEST:
                for form in sorted(_forms(value), key=len, reverse=True):
                    forms.append(b"(?P<n%d>%s)" % (len(self._names), re.escape(form)))
                    self._names.append(name)
        self._pattern = re.compile(b"|".join([*forms, _TOKEN, b"(?P<signed>" + _SIGNED + b")"]))

    def find(self, content: bytes) -> str:
        """What stands in `content`: "tenant.password", "a token", …; "" for nothing."""
        for found in self._pattern.finditer(content):
            kind = found.lastgroup or ""
            if kind == "signed":
                return "the signature of a URL"
            if kind == "token":
                if _is_token(found["token"]):
                    return "a token"
                continue
            return self._names[int(kind[1:])]
        return ""


def basic(user: str, password: str) -> str:
    """How HTTP's Basic sign-in sends the two."""
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def _forms(value: str) -> set[bytes]:
    in_json = json.dumps(value)[1:-1]
    encoded = base64.b64encode(value.encode("utf-8", "surrogateescape"))
    plain = value.encode("utf-8", "surrogateescape")
    return {plain, encoded, in_json.encode(), quote(plain, safe="").encode()}


def _is_token(head: bytes) -> bool:
    """Whether this is the first part of a JWT (RFC 7519)."""
    try:
        header = json.loads(base64.urlsafe_b64decode(head + b"=" * (-len(head) % 4)))
    except (ValueError, binascii.Error):
        return False
    return isinstance(header, dict) and "alg" in header
