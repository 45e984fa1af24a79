"""The bytes of a dropped file as text, block by block, with nothing lost on the way.

A byte that does not fit the encoding becomes a lone surrogate (for UTF-16, a lone surrogate stays
one), so reading goes on behind it, its place is known, and `Source.encode` gives the same bytes back.
"""

import codecs
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

from revsyncd.checks.utf8_witness import ONE_BYTE, Utf8Witness

BLOCK = 1 << 16
"""Bytes read at once: enough records for the checks by column to pay, and still in the processor's cache."""

_CONTROLS = [chr(code) for code in (*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F)]
_C1 = re.compile(rb"\xc2[\x80-\x9f]")
_PYTHON_NAMES = {"windows-1252": "cp1252", "utf-8-sig": "utf-8"}
_BOMS = (
    ("utf-8-sig", codecs.BOM_UTF8),
    ("utf-16-le", codecs.BOM_UTF16_LE),
    ("utf-16-be", codecs.BOM_UTF16_BE),
)


_NO_TEXT = (
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03", "a zip archive or a workbook (.xlsx)"),
    (b"\xd0\xcf\x11", "a workbook (.xls)"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7z", "an xz archive"),
    (b"%PD", "a PDF document"),
)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the file is really read: `name` as reported, its BOM, and what contradicts the configuration.

    Where `is_text` is false there is nothing to be read at all.
    """

    name: str
    bom: bytes = b""
    complaint: str = ""
    is_text: bool = True

    @property
    def codec(self) -> str:
        """Python's name of the codec, without BOM handling."""
        return _PYTHON_NAMES.get(self.name, self.name)

    @property
    def errors(self) -> str:
        """The error handler under which decoding and encoding are exact opposites."""
        return "surrogatepass" if self.name.startswith("utf-16") else "surrogateescape"


class Block(NamedTuple):
    """A piece of text; `suspect` when it holds a control character or an undecodable byte somewhere."""

    text: str
    suspect: bool
    end: int = 0  # how many bytes of the file it and what stands before it take


def detect(head: bytes, configured: str) -> Encoding:
    """Decide by the first bytes; a byte order mark is believed before the configuration.

    A thousand wrong characters would say less than one sentence about the whole file.
    """
    for name, bom in _BOMS:
        if head.startswith(bom):
            return Encoding(name, bom, _contradiction(name, configured))
    for begin, what in _NO_TEXT:
        if head.startswith(begin):
            complaint = f"This is {what}, not a CSV file. Drop what is in it, as CSV."
            return Encoding(configured, complaint=complaint, is_text=False)
    if configured == "utf-16":
        return _utf_16_without_bom(head)
    if len(head) > 1 and (head[0] == 0) != (head[1] == 0):
        complaint = (
            "The file seems to be UTF-16 without a byte order mark, but the folder expects"
            f" {configured}. Save the file as {configured}."
        )
        return Encoding("utf-16-be" if head[0] == 0 else "utf-16-le", complaint=complaint)
    return Encoding(configured)


def _contradiction(found: str, configured: str) -> str:
    family = found.removesuffix("-sig").removesuffix("-le").removesuffix("-be")
    if family == configured:
        return ""
    return (
        f"The file begins with the byte order mark of {family}, but the folder expects {configured}."
        f' Save the file as {configured}, or set encoding = "{family}".'
    )


def _utf_16_without_bom(head: bytes) -> Encoding:
    complaint = (
        "The file does not begin with a byte order mark, which utf-16 needs."
        " Save it as UTF-16 with BOM, or set the folder's encoding to what the file really has."
    )
    if head[1:2] == b"\0":
        return Encoding("utf-16-le", complaint=complaint)
    if head[:1] == b"\0":
        return Encoding("utf-16-be", complaint=complaint)
    return Encoding("utf-8", complaint=complaint if head else "")


class Source:
    """One reading of one file, from its first byte to its last.

    `size` and `sha256` speak of the bytes that went by; they are final when `blocks` has ended.
    """

    def __init__(self, path: Path, configured: str, *, block: int = 0, begin: int = 0) -> None:
        """Read `path`, expected in the encoding `configured`, in pieces of `block` bytes (0: `BLOCK`).

        Behind the offset `begin` no byte order mark is looked for.
        """
        self._path = path
        self._configured = configured
        self._block = block or BLOCK
        self._begin = begin
        self._hash = hashlib.sha256()
        self._witness = Utf8Witness() if configured in ONE_BYTE and not begin else None
        self.stop = -1  # an offset at which a block ends, if reached; none by default
        self.hash_alone = False  # whether the rest is wanted for the hash and no more
        self.encoding = Encoding(configured)
        self.size = 0
        self.odd_byte = b""  # half a UTF-16 character at the very end

    @property
    def sha256(self) -> str:
        """The hash, in hex, of the bytes read so far; of a second half there is none."""
        return self._hash.hexdigest()

    def encode(self, text: str) -> bytes:
        """The very bytes from which `text` was decoded."""
        return text.encode(self.encoding.codec, self.encoding.errors)

    def blocks(self) -> Iterator[Block]:
        """Every piece of text in order, without the byte order mark. Raises OSError."""
        with self._path.open("rb", buffering=0) as file:
            file.seek(self._begin)
            head = b"" if self._begin else self._read_head(file)
            self.encoding = detect(head, self._configured)
            self.hash_alone |= not self.encoding.is_text
            decoder = codecs.getincrementaldecoder(self.encoding.codec)(self.encoding.errors)
            text = "" if self.hash_alone else decoder.decode(head[len(self.encoding.bom) :])
            end = self.size
            while data := self._read(file):
                if not self.hash_alone:
                    yield _block(text, end)
                    text = decoder.decode(data)
                    end = self.size
            self._hear_witness()
            yield _block(text + self._last(decoder), end)

    def _read_head(self, file: BinaryIO) -> bytes:
        head = b""
        while len(head) < len(codecs.BOM_UTF8) and (data := self._read(file)):
            head += data
        return head

    def _read(self, file: BinaryIO) -> bytes:
        wanted = self._block
        if self.size < self.stop:
            wanted = min(wanted, self.stop - self.size)
        data = file.read(wanted)
        if not self._begin:
            self._hash.update(data)
        if self._witness is not None:
            self._witness.see(data, final=not data)
        self.size += len(data)
        return data

    def _hear_witness(self) -> None:
        if self._witness is not None and not self.encoding.complaint and self.encoding.is_text:
            complaint = self._witness.complaint(self._configured)
            self.encoding = replace(self.encoding, complaint=complaint)

    def _last(self, decoder: codecs.IncrementalDecoder) -> str:
        try:
            return decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:  # UTF-16 alone: its handler knows no half characters
            return self._take_apart(error.object)

    def _take_apart(self, rest: bytes) -> str:
        # One odd byte, or the first half of a pair and one odd byte.
        self.odd_byte = rest[-1:] if len(rest) % 2 else b""
        whole = rest[: len(rest) - len(self.odd_byte)]
        return whole.decode(self.encoding.codec, self.encoding.errors)


def _block(text: str, end: int) -> Block:
    suspect = any(map(text.__contains__, _CONTROLS)) or not (text.isascii() or _is_sound(text))
    return Block(text, suspect, end)


def _is_sound(text: str) -> bool:
    """Whether text beyond ASCII holds neither C1 controls nor what could not be decoded."""
    try:
        return _C1.search(text.encode()) is None
    except UnicodeEncodeError:
        return False
