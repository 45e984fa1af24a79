"""How the process holds its memory: it must not grow by what it has done.

A daemon idles for months between its files. glibc gives threads that come and go heaps of their own,
and each would keep what some file once needed for a moment.
"""

import ctypes
from contextlib import suppress

_M_ARENA_MAX = -8  # from malloc.h of glibc


def one_heap() -> None:
    """Let all threads that begin from now on take their memory from one heap; glibc alone knows how."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
