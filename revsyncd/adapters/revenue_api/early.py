"""Bytes that arrive while an upload is still being sent, and whether they are an answer."""

import re

_FLOOD = 1 << 16  # bytes; nobody means well who sends more before the final answer
_STATUS_LINE = len(b"HTTP/1.1 1")
_INTERIM = re.compile(rb"HTTP/1\.[01] 1\d\d[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n")
_INTERIM_BEGINS = re.compile(rb"HTTP/1\.[01] 1")


class EarlyAnswer:
    """Keeps early bytes for the reader. Interim answers (1xx) are no reason to stop sending."""

    def __init__(self) -> None:
        self._bytes = b""
        self.size = 0  # bytes seen so far
        self.ended = False  # nothing more will come

    @property
    def pending(self) -> bool:
        """Whether bytes wait for the reader."""
        return bool(self._bytes)

    @property
    def came(self) -> bool:
        """Whether the final answer has begun, or none can come any more."""
        if self.ended or self.size > _FLOOD:
            return True
        rest = self._bytes
        while found := _INTERIM.match(rest):
            rest = rest[found.end() :]
        return len(rest) >= _STATUS_LINE and not _INTERIM_BEGINS.match(rest)

    def add(self, data: bytes) -> None:
        """Keep what was read; nothing means that the tenant will send no more."""
        self._bytes += data
        self.size += len(data)
        self.ended = self.ended or not data

    def take(self, most: int) -> bytes:
        """Hand out up to `most` bytes, each once."""
        data, self._bytes = self._bytes[:most], self._bytes[most:]
        return data
