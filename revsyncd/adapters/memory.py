"""How the process holds its memory: what it has begun with must not grow by what it has done.

A daemon idles for months between its files. Two habits would let it keep what each of them needed for a
moment: glibc gives threads that come and go heaps of their own, and the collector of cycles leaves up to
a quarter of all there is uncollected, which is much where much has been imported.
"""

import ctypes
import gc
from contextlib import suppress

_M_ARENA_MAX = -8  # from malloc.h of glibc


def one_heap() -> None:
    """Let all threads that begin from now on take their memory from one heap; glibc alone knows how."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def settle() -> None:
    """Take what there is for lasting: from now on cycles are looked for among what is new."""
    gc.collect()
    gc.freeze()
