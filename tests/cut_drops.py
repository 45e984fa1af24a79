"""Files of which it is known beforehand where in a record a cut falls."""

from daemon import line, table


def record(number: int, size: int, *, lines_of: int = 0) -> list[str]:
    """A record that takes `size` bytes with its line end; `lines_of` breaks its comment into lines."""
    bare = line(f"L{number:06}")
    room = size - len(",".join(bare).encode()) - len("\r\n")
    if not lines_of:
        return line(f"L{number:06}", comment="c" * room)
    first = -(size - room - len("\r\n") + len('"') + 1) % lines_of
    text = "c" * first + "\n" + ("c" * (lines_of - 1) + "\n") * (room // lines_of)
    return line(f"L{number:06}", comment=text[: room - len('""')])


def content(total: int, size: int, *, into: int = 0, lines_of: int = 0) -> bytes:
    """A file of about `total` bytes in which every block of a slow put ends `into` bytes of a record."""
    header = len(table([]))
    first = record(0, 2 * size - into - header)
    others = (record(n, size, lines_of=lines_of) for n in range(1, total // size))
    return table([first, *others])
