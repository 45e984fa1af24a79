"""Why a connection could not be made, out of the chain of exceptions that libraries wrap around it."""

import socket
import ssl
from collections.abc import Iterator

from revsyncd.core.answers import Cause, one_line

# How the ssl module says that the other side has not spoken on: whatever ended the connection then
# has one of these in its context.
_NO_FAULT_OF_TLS = (
    ssl.SSLEOFError,
    ssl.SSLSyscallError,
    ssl.SSLWantReadError,
    ssl.SSLWantWriteError,
    ssl.SSLZeroReturnError,
)


def connect_cause(error: BaseException) -> Cause:
    """Tell a name that does not resolve and a TLS failure from a host that is not there.

    A connection that ends in the middle of the handshake is no TLS failure: restarts do that.
    """
    for link in _chain(error):
        if isinstance(link, ssl.SSLError) and not isinstance(link, _NO_FAULT_OF_TLS):
            return Cause.TLS
        if isinstance(link, socket.gaierror):
            return Cause.DNS
    return Cause.CONNECT


def in_words(error: BaseException) -> str:
    """The innermost words of a chain of exceptions; its class where it has none."""
    for link in _chain(error):
        if isinstance(link, OSError) and link.strerror:
            return one_line(link.strerror, 200)
    return one_line(str(error), 200) or type(error).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    links: list[BaseException] = [error]
    while links:
        link = links.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        if isinstance(link, BaseExceptionGroup):  # several addresses of one host were tried
            links.extend(reversed(link.exceptions))
        links.extend(filter(None, (link.__context__, link.__cause__)))
