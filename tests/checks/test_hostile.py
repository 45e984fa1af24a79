"""Files that no one should drop: a clear word about each, in bounded memory."""

import tracemalloc
from collections.abc import Callable

import pytest

from revsyncd.checks.contract import CheckResult, Dialect, Rules

Examine = Callable[..., CheckResult]
HEADER = b"Id,Type,Amount,Date\r\n"
MIB = 1 << 20


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"x," * 6 * MIB, "record.fields", "longer than 1 MiB"),
        (HEADER + b"x," * 6 * MIB + b"\r\n", "record.fields", "longer than 1 MiB"),
        (b'"' * 12 * MIB, "record.fields", "longer than 1 MiB"),
        (HEADER + b'"' * 12 * MIB, "record.fields", "longer than 1 MiB"),
        (b"\n" * 12 * MIB, "file.empty", "no header and no records"),
        (b"\r\n" * 2 * MIB, "file.empty", "no header and no records"),
        (HEADER + b"\n" * 12 * MIB, "file.no_records", "no records below"),
        (b"\0" * 12 * MIB, "file.control", "U+0000"),
        (b"\x1f\x8b\x08\x00" + bytes(range(256)) * 4096, "file.encoding", "a gzip archive"),
        (b"PK\x03\x04" + bytes(range(256)) * 4096, "file.encoding", "a zip archive"),
        (("a,b\r\n" * MIB).encode("utf-16-le"), "file.encoding", "UTF-16 without"),
        (("a,b\r\n" * MIB).encode("utf-16-be"), "file.encoding", "UTF-16 without"),
        (("a,b\r\n" * MIB).encode("utf-16"), "file.encoding", "byte order mark of utf-16"),
    ],
)
def test_a_clear_word_in_bounded_memory(
    examine: Examine, content: bytes, code: str, words: str
) -> None:
    """What is kept does not grow with the file, be it one line, quotes, newlines or no text at all."""
    tracemalloc.start()
    try:
        result = examine(content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    told = [p for p in result.problems if p.code == code]
    assert told
    assert words in told[0].message
    assert result.file_refused or result.unreadable
    assert peak < 9 * MIB


def test_what_is_no_text_is_told_once(examine: Examine) -> None:
    """An archive is neither an empty file nor one with wrong characters; its hash is known."""
    result = examine(b"\x1f\x8b" + bytes(range(256)) * 1000)
    assert result.by_code == {"file.encoding": 1}
    assert (result.size, len(result.sha256)) == (256_002, 64)


def test_memory_does_not_grow_with_the_records(examine: Examine) -> None:
    """But for 8 bytes a record and unique column."""

    def peak_of(records: int) -> int:
        content = HEADER + b"".join(b"%07d,SO,1.5,01-JAN-2026\r\n" % n for n in range(records))
        tracemalloc.start()
        try:
            assert examine(content, Rules(unique=("Id",), totals=("Amount",))).errors == 0
            return tracemalloc.get_traced_memory()[1] - len(content)
        finally:
            tracemalloc.stop()

    peak_of(1000)  # what is loaded and kept once
    few, many = peak_of(20_000), peak_of(60_000)
    assert many - few < 40_000 * 8 * 3 + MIB  # the hashes, and slack for how arrays grow


def test_the_configured_encoding_decides_about_zeros(examine: Examine) -> None:
    """A NUL further on is a NUL."""
    result = examine(HEADER + b"1,S\0O,1,\r\n", dialect=Dialect(encoding="latin-1"))
    assert result.by_code == {"file.control": 1}
