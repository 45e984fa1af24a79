"""Single values: how each kind is written in TOML, and what it becomes.

The types here annotate the fields of `revsyncd.config.model`: each names, in its `Reader`, the
function that reads it. A reader raises `Unusable` with the remedy in the text.
"""

import difflib
import ipaddress
import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from revsyncd.core.dates import DateMask

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BYTES |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_LONGEST = 3650 * _SECONDS["d"]  # a timer beyond ten years is a slip of the pen
_CODE_FAMILIES = ("file", "header", "record", "cell", "manifest", "revenue")
_RESERVED = {"outbox", "reports"}
_LONGEST_FIXED = 80  # bytes of a file name's pattern beside what is filled in
_SHOWN = 60  # characters of a value that an error repeats


class Unusable(ValueError):
    """A value that can't be used; the text says why and what to write instead."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Marks an annotated type with the function that reads it from a TOML value."""

    read: Callable[[object], object]


def shown(value: object) -> str:
    """A value as an error repeats it: on one line, quoted as in TOML, cut when long."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    cut = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    quoted = json.dumps(cut, ensure_ascii=False) if isinstance(value, str) else cut
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in quoted)


def near(word: str, words: Iterable[str]) -> str:
    """`; did you mean "…"?` when one of `words` is close, else nothing."""
    found = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {shown(found[0])}?" if found else ""


def string(value: object) -> str:
    """Any string, the empty one included."""
    if not isinstance(value, str):
        raise Unusable(f"{shown(value)} is not a string; put it in quotes")
    return value


def text(value: object) -> str:
    """A string with something in it and nothing that a terminal or an HTTP header would act on."""
    words = string(value)
    if not words.strip():
        raise Unusable("is blank; write a value or take the key out")
    if not words.isprintable():
        raise Unusable(f"{shown(words)} holds control characters; take them out")
    return words


def boolean(value: object) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise Unusable(f"{shown(value)} is not true or false; write one of them without quotes")
    return value


def seconds(value: object) -> float:
    """A duration such as "300ms", "10s", "5m", "6h" or "3d", in seconds; zero is none."""
    match = re.fullmatch(r"([0-9]+)(ms|s|m|h|d)", value) if isinstance(value, str) else None
    if match is None:
        raise Unusable(
            f'{shown(value)} is not a duration; write a number and a unit, such as "10s"'
        )
    duration = int(match[1]) * _SECONDS[match[2]]
    if not 0 < duration <= _LONGEST:
        raise Unusable(f'{shown(value)} is out of range; write more than "0s", at most "3650d"')
    return duration


def seconds_or_none(value: object) -> float:
    """The same, or an empty text for none: 0."""
    return 0.0 if value == "" else seconds(value)


def size(value: object) -> int:
    """A size such as "500MB" (powers of 1000) or "5GiB" (of 1024), in bytes."""
    match = re.fullmatch(r"([0-9]{1,15}) ?([A-Za-z]+)", value) if isinstance(value, str) else None
    unit = _BYTES.get(match[2]) if match else None
    if match is None or unit is None:
        raise Unusable(f'{shown(value)} is not a size; write a number and a unit, such as "5GB"')
    if int(match[1]) == 0:
        raise Unusable(f'{shown(value)} lets no file through; write a size such as "5GB"')
    return int(match[1]) * unit


def whole(least: int, most: int) -> Callable[[object], int]:
    """A reader of whole numbers from `least` to `most`."""

    def read(value: object) -> int:
        fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        if not isinstance(value, int) or not fits:
            raise Unusable(f"{shown(value)} is not a whole number from {least} to {most}")
        return value

    return read


def one_of(value: object, words: Iterable[str]) -> str:
    """One of a few words, exactly as written here."""
    known = list(words)
    if isinstance(value, str) and value in known:
        return value
    hint = near(value, known) if isinstance(value, str) else ""
    raise Unusable(f"{shown(value)} is not one of {', '.join(map(shown, known))}{hint}")


def absolute_path(value: object) -> Path:
    """A path from `/` on, without `..`, other than `/` itself."""
    path = Path(os.path.normpath(text(value)))
    if not path.is_absolute() or path == Path(path.anchor):
        raise Unusable(
            f'{shown(value)} is not an absolute path below /; write it in full, such as "/srv/revsync"'
        )
    return path


def optional_path(value: object) -> Path | None:
    """A path, or None for the empty string."""
    return Path(text(value)) if value != "" else None


def mapping_source(value: object) -> Path | None:
    """None for "tenant", else the path of a mapping file."""
    return None if value == "tenant" else Path(text(value))


def folder_name(value: object) -> str:
    """A name that is one safe path component, a metric's label and easy to type."""
    name = string(value)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise Unusable(
            "is no folder name; write letters, digits, '-', '_' and '.', "
            "beginning with a letter or digit, at most 64"
        )
    if name.lower() in _RESERVED:
        raise Unusable("is a name that the root keeps for itself; choose another")
    return name


def name_pattern(value: object) -> str:
    """A shell pattern for one file name."""
    pattern = text(value)
    if "/" in pattern:
        raise Unusable(f"{shown(pattern)} holds a '/'; a pattern matches one name inside the inbox")
    return pattern


def suffix(value: object) -> str:
    """What a second file's name has more than the first one's."""
    ending = text(value)
    if "/" in ending:
        raise Unusable(f"{shown(ending)} holds a '/'; write an ending such as \".ok\"")
    return ending


def pattern(value: object) -> str:
    """A regular expression for the tenant's words; one that matches silence is refused."""
    expression = text(value)
    try:
        compiled = re.compile(expression, re.IGNORECASE)
    except re.error as error:
        raise Unusable(
            f"{shown(expression)} is not a regular expression: {error}; correct it"
        ) from error
    if compiled.search(""):
        raise Unusable(f"{shown(expression)} matches an empty answer too; name a word in it")
    return expression


def date_mask(value: object) -> str:
    """An Oracle date mask that the checks can judge by, or the empty string."""
    mask = string(value)
    if mask:
        try:
            DateMask(mask)
        except ValueError as error:
            raise Unusable(
                f"{shown(mask)} is not a mask of one day (DD), one month (MM or MON) and one year "
                '(YYYY, RRRR, YY or RR); write a mask such as "DD-MON-YYYY"'
            ) from error
    return mask


def check_code(value: object) -> str:
    """A code of the checks, or its beginning up to a dot."""
    code = string(value)
    family = code.partition(".")[0]
    if not re.fullmatch(r"[a-z_]+(\.[a-z0-9_]+)?", code) or family not in _CODE_FAMILIES:
        hint = near(family, _CODE_FAMILIES) or '; write one such as cell or "revenue.707"'
        raise Unusable(f"is no code of the checks{hint}")
    return code


def below_root(value: object) -> str:
    """A directory as a path below the root: no way out of it, nothing hidden."""
    path = text(value)
    steps = path.split("/")
    if path.startswith("/") or any(step.startswith(".") or not step.strip() for step in steps):
        raise Unusable(f'{shown(path)} is no plain path below root; write one such as "outbox/gl"')
    return path


def batch_file_name(value: object) -> str:
    """A pattern for the names of batch files: one safe name, made unique by the batch's id."""
    pattern = text(value)
    rest = pattern.replace("{batch_id}", "").replace("{batch_name}", "")
    if "{batch_id}" not in pattern or set("{}/\\") & set(rest) or pattern.startswith("."):
        raise Unusable(
            f"{shown(pattern)} can't name a batch's file; write a name with {{batch_id}} in it,"
            ' such as "GL_{batch_id}_{batch_name}.csv"'
        )
    if len(rest.encode()) > _LONGEST_FIXED:
        raise Unusable(f"{shown(pattern)} is too long; write at most {_LONGEST_FIXED} characters")
    return pattern


def file_mode(value: object) -> int:
    """Permissions in octal: at least the owner reads and writes, nobody executes."""
    words = string(value)
    mode = int(words, 8) if re.fullmatch(r"0?[0-7]{3}", words) else -1
    if mode < 0 or mode & 0o600 != 0o600 or mode & 0o111:  # noqa: PLR2004  (permission bits)
        raise Unusable(f'{shown(words)} is no mode of a readable file; write one such as "0640"')
    return mode


def zone(value: object) -> str:
    """The word "local", or a time zone that this host knows."""
    name = text(value)
    if name == "local":
        return name
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Unusable(
            f'{shown(name)} is not a time zone here; write "local" or a name such as "Europe/Berlin"'
        ) from error
    return name


def https_url(value: object) -> str:
    """An https URL (plain http to loopback only) without credentials, query and closing slash."""
    url = _split(value)
    if url.scheme not in ("https", "http") or not url.hostname:
        raise Unusable(
            'is not a URL of a host; write it in full, such as "https://acme.revprooncloud.com"'
        )
    if url.scheme == "http" and not is_loopback(url.hostname):
        raise Unusable(f'"{url.scheme}" would send secrets in the clear; write "https://…"')
    if url.query or url.fragment:
        raise Unusable("has a query or fragment; write scheme, host and path only")
    return url.geturl().rstrip("/")


def base_url(value: object) -> str:
    """The tenant's URL up to where the reference's paths begin."""
    url = https_url(value)
    if "/api/integration" in url:
        raise Unusable('ends before "/api/integration", which is added; take that off')
    return url


def proxy_url(value: object) -> str | None:
    """A proxy's URL, or None for the empty string."""
    if value == "":
        return None
    url = _split(value)
    if url.scheme not in ("http", "https") or not url.hostname or url.path not in ("", "/"):
        raise Unusable('is not a proxy\'s URL; write it like "http://proxy.example.com:3128"')
    return url.geturl()


def _split(value: object) -> SplitResult:
    """Taken apart; a URL may hold a password, so no error repeats it."""
    words = text(value)
    try:
        url = urlsplit(words)
        _ = url.port  # only now is the port looked at
    except ValueError as error:
        raise Unusable("is not a URL; check the host and port") from error
    if "@" in url.netloc:
        raise Unusable("holds credentials; take them out, secrets have keys of their own")
    return url


def is_loopback(host: str) -> bool:
    """Whether a host name or address stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


Text = Annotated[str, Reader(text)]
Seconds = Annotated[float, Reader(seconds)]
SecondsOrNone = Annotated[float, Reader(seconds_or_none)]
Bytes = Annotated[int, Reader(size)]
AbsolutePath = Annotated[Path, Reader(absolute_path)]
OptionalPath = Annotated[Path | None, Reader(optional_path)]
MappingSource = Annotated[Path | None, Reader(mapping_source)]
FolderName = Annotated[str, Reader(folder_name)]
NamePattern = Annotated[str, Reader(name_pattern)]
Suffix = Annotated[str, Reader(suffix)]
Pattern = Annotated[str, Reader(pattern)]
DateMaskText = Annotated[str, Reader(date_mask)]
CheckCode = Annotated[str, Reader(check_code)]
BelowRoot = Annotated[str, Reader(below_root)]
BatchFileName = Annotated[str, Reader(batch_file_name)]
FileMode = Annotated[int, Reader(file_mode)]
Zone = Annotated[str, Reader(zone)]
HttpsUrl = Annotated[str, Reader(https_url)]
BaseUrl = Annotated[str, Reader(base_url)]
ProxyUrl = Annotated[str | None, Reader(proxy_url)]
