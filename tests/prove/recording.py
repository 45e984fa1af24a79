"""What a process asked of the kernel, read from strace's output: files, directories, and what was sent."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CALLS = (
    "openat,open,creat,close,lseek,write,pwrite64,writev,pwritev,ftruncate,truncate,fsync,fdatasync,"
    "rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,sendto,sendmsg"
)
UNKNOWN = (
    "writev",
    "pwritev",
    "truncate",
    "link",
    "linkat",
    "creat",
)  # on our files: nobody does it

_LINE = re.compile(r"^(\d+) +(.*)$")
_CALL = re.compile(r"^(\w+)\((.*)\) += (-?\d+)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FD = re.compile(r"(?<![\w\"])(\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2}|[^\\<>])*)")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that succeeded: `texts` are its strings, `places` what its descriptors are."""

    name: str
    arguments: str
    texts: tuple[bytes, ...]
    descriptors: tuple[tuple[str, str], ...]  # number (or AT_FDCWD) and path or connection
    result: int

    def path(self, number: int = 0) -> Path:
        """The n-th path among the strings, made whole by the directory before it."""
        text = self.texts[number].decode(errors="surrogateescape")
        base = (
            self.descriptors[min(number, len(self.descriptors) - 1)][1] if self.descriptors else "/"
        )
        return Path(base, text)

    @property
    def descriptor(self) -> int:
        """The number of the descriptor that it works on."""
        return int(self.arguments.split("<", 1)[0])

    @property
    def last_number(self) -> int:
        """The last argument, such as an offset or a length."""
        return int(self.arguments.rpartition(",")[2])


def command(pid: int, out: Path) -> list[str]:
    """How strace is asked to record a process."""
    asked = ["strace", "-f", "-p", str(pid), "-o", str(out), "-yy", "-xx", "-s", "10000000"]
    return [*asked, "-e", f"trace={CALLS}", "-e", "signal=none"]


def calls(out: Path) -> Iterator[Call]:
    """Every call that succeeded, in the order of their ends."""
    begun: dict[str, str] = {}
    for line in out.read_text().splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        thread, rest = match.groups()
        if rest.endswith("<unfinished ...>"):
            begun[thread] = rest.removesuffix("<unfinished ...>")
            continue
        if rest.startswith("<... "):
            rest = begun.pop(thread) + rest.partition("resumed>")[2]
        call = _read(rest)
        if call is not None and call.result >= 0:
            yield call


def _read(text: str) -> Call | None:
    match = _CALL.match(text)
    if match is None:
        return None
    name, arguments, result = match.groups()
    texts = tuple(_decoded(found) for found in _TEXT.findall(arguments))
    places = tuple(
        (number, _decoded(place).decode(errors="surrogateescape"))
        for number, place in _FD.findall(_TEXT.sub("", arguments))
    )
    return Call(name, arguments, texts, places, int(result))


def _decoded(text: str) -> bytes:
    if text.startswith("\\x"):
        return bytes.fromhex(text.replace("\\x", ""))
    return text.encode()


class Sent:
    """The requests that left whole, read from what was sent on each connection."""

    def __init__(self) -> None:
        """Nothing was sent."""
        self.requests: list[tuple[str, bytes]] = []  # the request line, and the body
        self._buffers: dict[str, bytes] = {}

    def take(self, connection: str, data: bytes) -> None:
        """More bytes on a connection."""
        buffer = self._buffers.get(connection, b"") + data
        head, separator, body = buffer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        wanted = int(length[1]) if length else 0
        if separator and len(body) >= wanted:
            self.requests.append((head.split(b"\r\n")[0].decode(), body[:wanted]))
            buffer = body[wanted:]
        self._buffers[connection] = buffer
