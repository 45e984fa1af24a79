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
_SHAPES = {  # what each begins with or holds, which is looked for first: that takes no time
    b"eyJ": re.compile(
        rb"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{16,}"
    ),  # a JWT
    b"signature=": re.compile(rb"[?&]signature=[0-9a-f]{16,}"),
}


def found(base: Path) -> Iterator[str]:
    """The files below `base` in whose bytes or name a secret stands, and where."""
    for path in base.rglob("*"):
        seen = path.name.encode("utf-8", "surrogateescape")
        try:
            if path.is_file() and not path.is_symlink() and path.stat().st_size < LARGEST:
                seen += b"\n" + path.read_bytes()
        except OSError:  # gone, or nobody may read it: then nobody may
            continue
        at = _first(seen)
        if at >= 0:
            yield f"{path.relative_to(base)}: at byte {at - len(path.name)}"


def _first(content: bytes) -> int:
    places = [content.find(form.encode()) for form in _FORMS]
    shapes = [shape.search(content) for word, shape in _SHAPES.items() if word in content]
    places += [shape.start() for shape in shapes if shape is not None]
    return min((at for at in places if at >= 0), default=-1)
