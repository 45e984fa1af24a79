"""A progress bar on a terminal, and nothing elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

Progress = Callable[[int, int], None]  # done, in all


@contextmanager
def progress_bar(label: str) -> Iterator[Progress | None]:
    """A function to tell progress to, None where nobody would see it; the bar is on stderr."""
    if not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def told(done: int, of: int) -> None:
            bar.length = max(of, 1)
            bar.update(min(done, bar.length) - bar.pos)

        yield told
