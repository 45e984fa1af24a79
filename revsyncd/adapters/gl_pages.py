"""Joins a batch's JSON pages into one CSV: columns in first-seen order, values exactly as written.

Blocking; one page is in memory at a time. Where a later page brings further columns, the records
before it get empty cells for them in a second pass.
"""

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from revsyncd.core.errors import TooLarge

_LIST_KEYS = ("result", "results", "data", "rows", "records", "lines", "items")
_NOTHING = ("", "none", "null")
_LONGEST_CELL = 1 << 24


class PageUnreadable(Exception):
    """A page that is no list of objects, or the same as the one before."""


class PageJoin:
    """The CSV at `path`, UTF-8 with CRLF; at most `most` bytes. Raises TooLarge, OSError."""

    def __init__(self, path: Path, most: int) -> None:
        """Nothing is written yet."""
        self.records = 0
        self._path = path
        self._spool = path.with_name(f"{path.name}.rows")
        self._most = most
        self._columns: dict[str, None] = {}
        self._first_width = 0  # how many columns there were when the first record was written
        self._last = b""
        self._out: TextIO | None = None

    def add(self, body: bytes) -> int:
        """Take a page; returns its number of records. Raises PageUnreadable."""
        digest = hashlib.sha256(body).digest()
        rows = read_page(body)
        if rows and digest == self._last:
            raise PageUnreadable("it is the same as the one before")
        self._last = digest
        writer = csv.writer(self._opened(), lineterminator="\r\n")
        writer.writerows(self._cells(rows))
        self._bound()
        return len(rows)

    def finish(self) -> int:
        """Write header and records to `path`; returns its size in bytes."""
        self._close()
        with _new(self._path) as out:
            csv.writer(out, lineterminator="\r\n").writerow(self._columns)
            if self._first_width == len(self._columns):
                out.flush()
                with self._spool.open("rb") as spool:
                    shutil.copyfileobj(spool, out.buffer, 1 << 20)
            else:
                self._copy_padded(out)
        size = self._path.stat().st_size
        if size > self._most:
            raise TooLarge(f"the joined pages have more than {self._most:,} bytes")
        return size

    def close(self) -> None:
        """Remove what is no longer needed; more than once is harmless."""
        with suppress(OSError):  # what could not be written is thrown away
            self._close()
        self._spool.unlink(missing_ok=True)

    def _opened(self) -> TextIO:
        if self._out is None:
            self._out = _new(self._spool)
        return self._out

    def _close(self) -> None:
        if self._out is not None:
            out, self._out = self._out, None
            out.close()

    def _bound(self) -> None:
        out = self._opened()
        out.flush()
        if out.tell() > self._most:
            raise TooLarge(f"the joined pages have more than {self._most:,} bytes")

    def _cells(self, rows: list[Mapping[str, Any]]) -> Iterator[list[str]]:
        for row in rows:
            if row.keys() - self._columns.keys():
                self._columns.update(dict.fromkeys(row))
            if not self.records:
                self._first_width = len(self._columns)
            self.records += 1
            yield [_cell(row.get(column)) for column in self._columns]

    def _copy_padded(self, out: TextIO) -> None:
        csv.field_size_limit(_LONGEST_CELL)
        width = len(self._columns)
        writer = csv.writer(out, lineterminator="\r\n")
        with self._spool.open(encoding="utf-8", newline="") as spool:
            for row in csv.reader(spool):
                writer.writerow(row + [""] * (width - len(row)))


def read_page(body: bytes) -> list[Mapping[str, Any]]:
    """The rows of a page: a bare list, or the list under a usual key. Numbers stay as written."""
    try:
        data = json.loads(body, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise PageUnreadable(f"it is no JSON ({type(error).__name__})") from None
    rows = data if isinstance(data, list) else _under(data)
    if not all(isinstance(row, dict) for row in rows):
        raise PageUnreadable("its list holds something else than objects")
    return rows


def _under(data: Any) -> list[Any]:
    if not isinstance(data, dict):
        raise PageUnreadable("it is neither a list nor an object")
    known = {str(key).lower(): value for key, value in data.items()}
    for key in _LIST_KEYS:
        value = known.get(key)
        if isinstance(value, list):
            return value
        if isinstance(value, dict):
            return [value]
        if key in known and (value is None or str(value).strip().lower() in _NOTHING):
            return []
    status = str(known.get("status", known.get("success", ""))).lower()
    if not status.startswith(("success", "ok", "true")):
        raise PageUnreadable("it holds no list of lines")
    return []


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)


def _new(path: Path) -> Any:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    # What JSON escapes and UTF-8 can't hold, half of a pair, stays escaped.
    odd = "backslashreplace"
    return open(os.open(path, flags, 0o600), "w", encoding="utf-8", errors=odd, newline="")  # noqa: PTH123  (a descriptor, closed by the caller)
