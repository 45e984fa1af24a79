"""How the process holds its memory: it must not grow by what it has done.

A daemon idles for months between its files. glibc gives threads that come and go heaps of their own,
and each would keep what some file once needed for a moment.
"""

import ctypes
import gc
from contextlib import suppress

_M_ARENA_MAX = -8  # from malloc.h of glibc
_OFTEN = (700, 3, 1)  # new objects, and how many searches of each generation before the next one's


def one_heap() -> None:
    """Let all threads that begin from now on take their memory from one heap; glibc alone knows how."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def set_apart_what_stays() -> None:
    """Let the search for cycles pass over everything that is loaded by now.

    Python looks through all objects only when a quarter as many new ones stay as were there at the last
    time: with all modules among these, the garbage of some hundred files would lie about at any time.
    Without them a search through all is short, so it may come after some twenty files, not three hundred.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # now few are counted
    gc.set_threshold(*_OFTEN)
