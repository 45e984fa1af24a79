"""What the tenant gets of a prepared part, however it is prepared."""

import csv
import io

from revsyncd.checks.contract import PreparedPart


def bytes_of(part: PreparedPart) -> bytes:
    """The part's bytes, as they will be sent; a file that was written for it has no others."""
    assert in_place(part) or part.path.stat().st_size == part.size
    with part.path.open("rb") as file:
        file.seek(part.offset)
        return part.head + file.read(part.size - len(part.head))


def rows(part: PreparedPart) -> list[list[str]]:
    """Its records, the header first."""
    return list(csv.reader(io.StringIO(bytes_of(part).decode(), newline=""), strict=True))


def in_place(part: PreparedPart) -> bool:
    """Whether it is a range of the dropped file."""
    return bool(part.head)
