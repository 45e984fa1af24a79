"""Who is answered at all.

Loopback is no protection from the browser of somebody who works on this host. A web page can let it
ask 127.0.0.1, but not read the answer, unless the page's own name leads here as well (DNS rebinding).
Such a request names that page's host in its Host header, so on a loopback port only names that can
mean nothing but this host are answered.
"""

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass, field

from revsyncd.adapters.web.messages import Answer, Question, words

METHODS = ("GET", "HEAD")
_NOT_HERE = "this is not the host that you asked for: use 127.0.0.1, [::1] or localhost"


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """What a question must have: the right token where there is one, this host's name on loopback."""

    loopback: bool
    token: str | None = field(default=None, repr=False)

    def refusal(self, question: Question) -> Answer | None:
        """Why the question is not answered; None when it is."""
        if self.loopback and not names_this_host(question.headers.get("host", "")):
            return words(421, _NOT_HERE)
        if self.token is not None and not self._knows(question.headers.get("authorization", "")):
            told = "this needs the header Authorization: Bearer TOKEN, with the token of [http]"
            return words(401, told, ("WWW-Authenticate", 'Bearer realm="revsyncd"'))
        if question.method not in METHODS:
            return words(405, "only GET and HEAD are answered", ("Allow", ", ".join(METHODS)))
        if not question.path.startswith("/"):
            return words(400, "the target of a request must be a path")
        return None

    def _knows(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        right = hmac.compare_digest(_digest(given.strip()), _digest(self.token or ""))
        return scheme.lower() == "bearer" and right


def _digest(text: str) -> bytes:
    """Of one length whatever the text's, so that the time of comparing tells nothing of it."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def names_this_host(host: str) -> bool:
    """Whether a Host header names loopback: an address of it or `localhost`, with or without a port."""
    name, port = _split(host)
    if port.strip("0123456789"):
        return False
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _split(host: str) -> tuple[str, str]:
    if host.startswith("["):
        name, bracket, rest = host[1:].partition("]")
        whole = bracket and rest[:1] in ("", ":")
        return (name, rest.removeprefix(":")) if whole else ("", "")
    name, _, port = host.partition(":")
    return name, port
