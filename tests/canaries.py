"""Looks through everything that the tests have left on disk for secrets that they signed in with.

The passwords are the strict tenant's; tokens and signed addresses of any tenant are known by their
shape. Nothing of revsyncd is imported: it is what is being judged.
"""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from strict_books import BASIC, CLIENT_SECRET, PASSWORD

LARGEST = 64 << 20  # bytes; what is larger is data of a test
_WORDS = (PASSWORD, CLIENT_SECRET, BASIC)
_FORMS = {form for w in _WORDS for form in (w, quote(w), base64.b64encode(w.encode()).decode())}
_SHAPES = (
    r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{16,}",  # a JWT
    r"[?&]signature=[0-9a-f]{16,}",
)
_CANARY = re.compile("|".join([*map(re.escape, sorted(_FORMS)), *_SHAPES]).encode())


def found(base: Path) -> Iterator[str]:
    """The files below `base` in whose bytes or name a secret stands, and where."""
    for path in base.rglob("*"):
        seen = path.name.encode("utf-8", "surrogateescape")
        try:
            if path.is_file() and not path.is_symlink() and path.stat().st_size < LARGEST:
                seen += b"\n" + path.read_bytes()
        except OSError:  # gone, or nobody may read it: then nobody may
            continue
        canary = _CANARY.search(seen)
        if canary is not None:
            yield f"{path.relative_to(base)}: at byte {canary.start() - len(path.name)}"
