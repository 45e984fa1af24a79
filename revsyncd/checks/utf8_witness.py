"""Tells a UTF-8 file from one in an encoding of one byte a character, under which any bytes can be read.

Without it a file in UTF-8 that was dropped where windows-1252 is expected would reach the tenant as
"MÃ¼ller". Text beyond ASCII in such an encoding is hardly ever sound UTF-8 from begin to end.
"""

import codecs
import re

from revsyncd.checks.judges import shown

ONE_BYTE = frozenset({"windows-1252", "latin-1"})

_WORD_BEYOND_ASCII = re.compile(r"[^\W\d_]*[^\x00-\x7f]\w*")


class Utf8Witness:
    """Sees a file's bytes pass; speaks when all of them are UTF-8 and some are more than ASCII."""

    def __init__(self) -> None:
        """Believe it until a byte contradicts."""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._possible = True
        self._example = ""

    def see(self, data: bytes, *, final: bool = False) -> None:
        """Take the next bytes in order; `final` with or behind the last ones."""
        if not self._possible or (data.isascii() and not final and not self._within_character):
            return
        try:
            text = self._decoder.decode(data, final)
        except UnicodeDecodeError:
            self._possible = False
            return
        if not self._example and (word := _WORD_BEYOND_ASCII.search(text)):
            self._example = word[0]

    def complaint(self, configured: str) -> str:
        """What contradicts `configured`; empty if nothing does. To be asked behind the last byte."""
        if not self._possible or not self._example:
            return ""
        read_so = self._example.encode().decode("cp1252", "replace")
        return (
            f"All of the file is sound UTF-8 (with {shown(self._example)}, for instance), but the folder"
            f" expects {configured}, under which the tenant would get {shown(read_so)}. Save the file as"
            f' {configured}, or set encoding = "utf-8".'
        )

    @property
    def _within_character(self) -> bool:
        return bool(self._decoder.getstate()[0])
