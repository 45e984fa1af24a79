"""`http.listen`: where the daemon listens, a port of an address or a socket in the file system."""

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from revsyncd.config.values import Reader, Unusable, shown, text

_MOST_PORT = 65_535
_LONGEST_PATH = 107  # bytes: sun_path of unix(7), less the NUL at its end
_REMEDY = 'write one such as "127.0.0.1:9464" or "unix:/run/revsyncd/acme/http.sock"'


@dataclass(frozen=True, slots=True)
class Listen:
    """A port of an IP address (0: any free one), or the path of a unix socket."""

    host: str = ""
    port: int = 0
    path: Path | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether it is a port that only this host can reach."""
        return self.path is None and ipaddress.ip_address(self.host).is_loopback

    @property
    def needs_token(self) -> bool:
        """Whether others than this host's own users can reach it."""
        return self.path is None and not self.loopback


def listen(value: object) -> Listen:
    """`ADDRESS:PORT`, `localhost:PORT`, `[ADDRESS]:PORT` for IPv6, or `unix:/PATH`."""
    words = text(value)
    if words.startswith("unix:"):
        return Listen(path=_socket_path(words.removeprefix("unix:")))
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+)):([0-9]{1,5})", words)
    if match is None or int(match[3]) > _MOST_PORT:
        raise Unusable(f"{shown(words)} is no place to listen; {_REMEDY}")
    host = "127.0.0.1" if match[2] == "localhost" else match[1] or match[2]
    try:
        address = ipaddress.ip_address(host)
    except ValueError as error:
        raise Unusable(f"{shown(host)} is not an IP address; {_REMEDY}") from error
    if (address.version == 6) != (match[1] is not None):  # noqa: PLR2004  (IPv6)
        raise Unusable(f"{shown(words)}: brackets are for IPv6, and only for it; {_REMEDY}")
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        raise Unusable(f"{shown(words)} is an IPv4 address in disguise; {_REMEDY}")
    return Listen(str(address), int(match[3]))


def _socket_path(words: str) -> Path:
    path = Path(os.path.normpath(words))
    if not path.is_absolute() or words.endswith("/"):
        raise Unusable(f"{shown(words)} is not the absolute path of a socket; {_REMEDY}")
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise Unusable(
            f"{shown(words)} is too long for a socket; take at most {_LONGEST_PATH} bytes"
        )
    return path


ListenAddress = Annotated[Listen, Reader(listen)]
