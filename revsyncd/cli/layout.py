"""Plain text for a terminal: columns, times, amounts."""

from collections.abc import Iterable, Sequence

import click

LONGEST_NAME = 60  # characters of a file's name in a table; `revsyncd show` has all of it


def columns(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines with aligned columns, two blanks between; numbers to the right, the last column loose."""
    values = list(rows)
    told = [list(header), *([_cell(value) for value in row] for row in values)]
    numeric = [isinstance(value, int) for value in values[0]] if values else []
    widths = [max(len(row[index]) for row in told) for index in range(len(header))]
    return [_line(row, widths, numeric) for row in told]


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value)


def _line(row: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    cells = []
    for index, text in enumerate(row):
        right = index < len(numeric) and numeric[index]
        cells.append(text.rjust(widths[index]) if right else text.ljust(widths[index]))
    return "  ".join(cells).rstrip()


def short(name: str) -> str:
    """A file's name as a table has room for it."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def pairs(rows: Iterable[tuple[str, str]]) -> list[str]:
    """What something is called, then what it is."""
    return columns(["", ""], rows)[1:]


def section(title: str, lines: Iterable[str]) -> None:
    """Print a heading and what stands under it; nothing when nothing does."""
    found = list(lines)
    if found:
        click.echo(f"\n{title}")
        for line in found:
            click.echo(f"  {line}" if line else "")


def moment(text: str | None) -> str:
    """`2026-11-23 04:47:32Z` for a time as the reports have it; empty for none."""
    return f"{text[:10]} {text[11:19]}Z" if text else ""


def plural(number: int, one: str, many: str = "") -> str:
    """`1 record`, `2 records`; `many` where an s is not enough."""
    return f"{number:,} {one}" if number == 1 else f"{number:,} {many or f'{one}s'}"
