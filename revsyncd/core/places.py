"""Names and paths: where a folder keeps what, what its files are called, and how to show a name.

Names come from outside: they may hold newlines, quotes, bytes that are not UTF-8 (as surrogates) and
may be 255 bytes long, which is all that Linux file systems take.
"""

import posixpath
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum
from pathlib import Path

LONGEST_NAME = 255  # bytes: NAME_MAX
LONGEST_UPLOAD_NAME = 120  # characters, all ASCII
LONGEST_SUFFIX = 16  # bytes: what is longer after the last dot is no file type

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
_DROP_ID = re.compile(r"(?<![0-9A-Za-z])[0-7][0-9A-HJKMNP-TV-Z]{25}(?![0-9A-Za-z])")
_CORRECTION = re.compile(r"(?<=.)\.(?:rejects|remaining)", re.IGNORECASE | re.DOTALL)
_WORD_END = re.compile(r"(?<=.)[\W_]", re.DOTALL)
_PUT_IN = re.compile(rf"\.{_DROP_ID.pattern}")
_VISIBLE = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\\": r"\\"}
_ESCAPE = re.compile(r"\\(?:[nrt\\]|x[0-9a-f]{2}|u[0-9a-f]{4}|U(?:0010|000[0-9a-f])[0-9a-f]{4})")


class Shelf(StrEnum):
    """Where settled drops go."""

    DONE = "done"
    FAILED = "failed"
    HELD = "held"


class Sidecar(StrEnum):
    """What stands beside a settled file; the value is appended to its name."""

    REPORT = ".report.json"
    ERRORS = ".errors.csv"
    REJECTS = ".rejects.csv"
    REMAINING = ".remaining.csv"


_ROOM = max(len(sidecar) for sidecar in Sidecar)


@dataclass(frozen=True, slots=True)
class FolderPlaces:
    """The paths of one configured folder."""

    root: Path
    name: str

    @property
    def home(self) -> Path:
        """What holds all the others."""
        return self.root / self.name

    @property
    def inbox(self) -> Path:
        """The ERP writes here."""
        return self.home / "inbox"

    @property
    def work(self) -> Path:
        """Claimed drops, one directory each."""
        return self.home / ".work"

    @property
    def status(self) -> Path:
        """For people with folder access only."""
        return self.home / "status.txt"

    def shelf(self, shelf: Shelf) -> Path:
        """`done`, `failed` or `held`."""
        return self.home / shelf.value

    def day(self, shelf: Shelf, date: str) -> Path:
        """A shelf's date folder; `date` as `date_folder` gives it."""
        return self.shelf(shelf) / date

    def work_of(self, drop: str) -> Path:
        """Holds the dropped file, its companion and nothing else: no name of ours can meet theirs."""
        return self.work / drop

    def parts_of(self, drop: str) -> Path:
        """Holds what we prepare for a drop: parts, indexes. May be thrown away at any time."""
        return self.work / f"{drop}.parts"


def date_folder(epoch: float, zone: tzinfo | None) -> str:
    """The day, such as `2026-11-23`, of an epoch time in `zone` (None: the machine's own)."""
    return datetime.fromtimestamp(epoch, zone).date().isoformat()


def new_drop_id(epoch: float, randomness: bytes) -> str:
    """26 characters that sort by time: 48 bits of milliseconds, then 80 of `randomness` (a ULID)."""
    if len(randomness) != 10:  # noqa: PLR2004  (80 bits)
        raise ValueError("a drop id takes 10 random bytes")
    number = (max(0, int(epoch * 1000)) % (1 << 48) << 80) | int.from_bytes(randomness)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def made_at(drop: str) -> float:
    """The time, in seconds since the epoch, that stands in a drop id."""
    number = 0
    for character in drop[:10]:
        number = number << 5 | _CROCKFORD.index(character)
    return number / 1000


def is_drop_id(text: str) -> bool:
    """Whether `text` is a drop id and nothing else."""
    return _DROP_ID.fullmatch(text) is not None


def drop_ids_in(name: str) -> tuple[str, ...]:
    """The drop ids that stand in a name as words of their own, the last one first."""
    return tuple(reversed(_DROP_ID.findall(name)))


def shown(name: str) -> str:
    r"""`name` for people, JSON and logs: one printable line, from which the name can be told exactly.

    Bytes that are not UTF-8 become `\xNN`, characters that do not print `\n`, `\u202e` and so on.
    """
    return "".join(_shown(character) for character in name)


def meant(text: str) -> str:
    """The name that `shown` shows as `text`; what it can't have shown stays as it is."""
    return _ESCAPE.sub(lambda found: _meant(found[0]), text)


def _meant(escape: str) -> str:
    named = [character for character, seen in _VISIBLE.items() if seen == escape]
    if named:
        return named[0]
    kind, digits = escape[1], escape[2:]
    code = int(digits, 16)
    if kind == "x":
        return chr(0xDC00 + code) if code >= 0x80 else escape  # noqa: PLR2004  (ASCII is never a byte)
    return chr(code)


def _shown(character: str) -> str:
    code = ord(character)
    if character in _VISIBLE:
        return _VISIBLE[character]
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004  (where surrogateescape puts the bytes 80 to FF)
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004  (end of the BMP)


def sidecar_name(file_name: str, sidecar: Sidecar, drop: str) -> str:
    """`<file>.report.json` and so on; too long, the file's name is cut and the drop id put in."""
    return beside(file_name, sidecar.value, drop)


def companion_name(target: str, data: str, companion: str, drop: str) -> str:
    """How the marker or manifest of `data` is called once the data is filed as `target`."""
    return beside(target, companion.removeprefix(data), drop)


def beside(file_name: str, suffix: str, drop: str) -> str:
    """`file_name` + `suffix`, cut to what a file system takes and then unique by the drop id."""
    if _length(file_name + suffix) <= LONGEST_NAME:
        return file_name + suffix
    tail = f".{drop}{suffix}"
    return _cut(file_name, LONGEST_NAME - _length(tail)) + tail


def with_drop_id(file_name: str, drop: str) -> str:
    """The name for a file whose own is taken: the drop id before the suffix, room for sidecars."""
    stem, suffix = _parted(file_name)
    tail = f".{drop}{suffix}"
    return _cut(stem, LONGEST_NAME - _ROOM - _length(tail)) + tail


def upload_name(file_name: str, drop: str, part: int, of: int) -> str:
    """The name under which a part is sent: `<stem>.<drop id>.p001of003.csv`, plain ASCII, unique."""
    tail = f".{drop}.p{part:03d}of{of:03d}.csv"
    stem = unicodedata.normalize("NFKD", _parted(file_name)[0])
    stem = "".join(c for c in stem if not unicodedata.combining(c))
    stem = re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._-]+", "_", stem)).lstrip(".-")
    return (stem[: LONGEST_UPLOAD_NAME - len(tail)].rstrip(".") or "drop") + tail


def is_correction(name: str) -> bool:
    """Whether a name is one that the correction of an earlier drop has."""
    return _CORRECTION.search(name) is not None


def corrected_names(name: str) -> tuple[str, ...]:
    """The names, the likeliest first, of the earlier file that `name` would be the correction of.

    `orders.csv.rejects-2.csv` corrects `orders.csv`, and so does `orders.rejects.csv`. An earlier
    file's name counts only where a word of `name` ends: `order` is no forebear of `orders…`.
    Look for `drop_ids_in(name)` first: a name that was cut or taken holds its drop's id.
    """
    found = dict.fromkeys(_beginnings(name)) if is_correction(name) else {}
    return tuple(candidate for candidate in found if candidate != name)


def corrects(name: str, earlier_name: str, earlier_drop: str = "") -> bool:
    """Whether a file called `name` is the correction of that earlier drop."""
    if not is_correction(name):
        return False
    return earlier_drop in drop_ids_in(name) or earlier_name in corrected_names(name)


def _beginnings(name: str) -> Iterator[str]:
    """Whole beginnings of a correction's name, the longest first; then stems with its own suffix."""
    suffix = _parted(name)[1]
    for end in reversed(list(_WORD_END.finditer(name))):
        yield name[: end.start()]
        yield _PUT_IN.sub("", name[: end.start()])
    for marker in reversed(list(_CORRECTION.finditer(name))):
        yield name[: marker.start()] + suffix


def _parted(name: str) -> tuple[str, str]:
    """Stem and suffix; a suffix longer than any file type stays with the stem."""
    stem, suffix = posixpath.splitext(name)
    return (stem, suffix) if _length(suffix) <= LONGEST_SUFFIX else (name, "")


def _length(name: str) -> int:
    return len(name.encode("utf-8", "surrogateescape"))


def _cut(name: str, limit: int) -> str:
    """The longest beginning of `name`, in whole characters, of at most `limit` bytes."""
    while _length(name) > limit:
        name = name[:-1]
    return name
