"""What the files of the outbox are called: nothing of a batch's name may act on a shell, a path or a screen."""

import hashlib
import posixpath
import re
import unicodedata

LONGEST = 255  # bytes: NAME_MAX
MANIFEST = ".manifest.json"
ACK, NACK = ".ack", ".nack"
COMPANIONS = (MANIFEST, ACK, NACK)
HELD = ".held"  # below the outbox
TEMPORARY = ".revsyncd-gl-"  # what no other program leaves behind

_ROOM = max(map(len, COMPANIONS)) + 12  # and for the number of an issue
_HOSTILE = re.compile(r"[^A-Za-z0-9._-]+")


def safe(text: str) -> str:
    """`text` in plain ASCII letters, digits, `.`, `_` and `-`; accents are dropped, the rest is `_`."""
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(c for c in decomposed if not unicodedata.combining(c))
    return re.sub(r"\.{2,}", ".", _HOSTILE.sub("_", plain))


def file_name(pattern: str, batch_id: str, batch_name: str, issue: int) -> str:
    """The file's name for the ERP: `pattern` filled in, `.r2` before the suffix of the second issue."""
    values = {"batch_id": _key(batch_id), "batch_name": safe(batch_name).strip(".")}
    name = re.sub(r"\{(batch_id|batch_name)\}", lambda found: values[found[1]], pattern)
    stem, suffix = posixpath.splitext(name)
    stem = stem.lstrip(".") or "batch"
    return with_number(_cut(stem, LONGEST - _ROOM - len(suffix.encode())) + suffix, "r", issue)


def with_number(name: str, letter: str, number: int) -> str:
    """`name` with `.<letter><number>` before its suffix, but for the first."""
    stem, suffix = posixpath.splitext(name)
    return name if number == 1 else f"{stem}.{letter}{number}{suffix}"


def temporary(tenant: str, batch_id: str, issue: int, what: str) -> str:
    """A hidden name of ours in the outbox, the same after a restart; `what` says for what.

    Another tenant may have a batch of the same id: the name holds a digest of the tenant's address.
    """
    return f"{TEMPORARY}{_digest(tenant)}-{_key(batch_id)}.{issue}.{what}"


def _key(batch_id: str) -> str:
    """The id as it stands; one that had to be made safe, or is long, stays unique by a digest."""
    if batch_id == safe(batch_id)[:80].lstrip("."):
        return batch_id
    return f"{safe(batch_id)[:60].lstrip('.')}-{_digest(batch_id)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")
