"""Unpacks a download that is gzip or zip by its first bytes, whatever it is called, with a bound.

Both formats carry a length and a checksum of what they hold. A zip ends with the list of its files, so
one that unpacks is whole; a gzip may consist of several members, so one that was cut between two of
them unpacks as well. What is before or after an archive makes it a damaged one.
"""

import gzip
import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from revsyncd.checks.contract import Fault

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
_END = 22  # bytes of the record that ends a zip, without its comment
_PORTION = 1 << 18


@dataclass(frozen=True, slots=True)
class Unpacked:
    """How a file was packed, and what was wrong with it."""

    packing: str  # plain | gzip | zip
    fault: Fault | None = None
    told: str = ""


def packing_of(path: Path) -> str:
    """`gzip` or `zip` by the first bytes, else `plain`. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith(GZIP):
        return "gzip"
    return "zip" if head == ZIP else "plain"


def unpack(path: Path, target: Path, most: int) -> Unpacked:
    """Write what `path` holds to `target` where it is packed, at most `most` bytes. Raises OSError."""
    packing = packing_of(path)
    try:
        match packing:
            case "gzip":
                with gzip.open(path, "rb") as packed:
                    return _copied(packing, packed.read, target, most)
            case "zip":
                return _from_zip(path, target, most)
    except EOFError as error:
        return Unpacked(packing, Fault.CUT, f"the {packing} archive ends too early: {error}")
    except (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
        return Unpacked(packing, Fault.CUT, f"the {packing} archive is damaged: {error}")
    except (NotImplementedError, RuntimeError) as error:  # a compression, or a password
        return Unpacked(packing, Fault.UNREADABLE, f"the {packing} archive can't be read: {error}")
    if path.stat().st_size > most:
        return _too_large(packing, most)
    return Unpacked(packing)


def _from_zip(path: Path, target: Path, most: int) -> Unpacked:
    with zipfile.ZipFile(path) as archive:
        _require_nothing_else(archive, path)
        files = [entry for entry in archive.infolist() if not entry.is_dir()]
        if len(files) != 1:
            told = f"the zip archive holds {len(files)} files, not one"
            return Unpacked("zip", Fault.UNREADABLE, told)
        with archive.open(files[0]) as packed:
            return _copied("zip", packed.read, target, most)


def _require_nothing_else(archive: zipfile.ZipFile, path: Path) -> None:
    """`zipfile` passes over what stands before and after: half of two archives, for example."""
    begin = min((entry.header_offset for entry in archive.infolist()), default=0)
    length = _END + len(archive.comment)
    with path.open("rb") as file:
        file.seek(-min(length, path.stat().st_size), os.SEEK_END)
        end = file.read(length)
    if begin or not end.startswith(b"PK\x05\x06"):
        raise zipfile.BadZipFile("there is something before or after it")


def _copied(packing: str, read: Callable[[int], bytes], target: Path, most: int) -> Unpacked:
    """Unpacked portion by portion: what an archive says of its size is not believed."""
    written = 0
    with target.open("wb") as out:
        while portion := read(_PORTION):
            written += len(portion)
            if written > most:
                return _too_large(packing, most)
            out.write(portion)
    return Unpacked(packing)


def _too_large(packing: str, most: int) -> Unpacked:
    return Unpacked(packing, Fault.TOO_LARGE, f"it has more than {most:,} bytes")
