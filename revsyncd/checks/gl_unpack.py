"""Unpacks a download that is gzip or zip by its first bytes, whatever it is called, with a bound.

Both formats carry a length and a checksum of what they hold: an archive that unpacks is whole.
"""

import gzip
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from revsyncd.checks.contract import Fault

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
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
        files = [entry for entry in archive.infolist() if not entry.is_dir()]
        if len(files) != 1:
            told = f"the zip archive holds {len(files)} files, not one"
            return Unpacked("zip", Fault.UNREADABLE, told)
        with archive.open(files[0]) as packed:
            return _copied("zip", packed.read, target, most)


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
