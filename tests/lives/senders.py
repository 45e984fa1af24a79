"""What senders put into the inboxes, remembered exactly, and the ERP that takes batches from the outbox."""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from lives.site import Site
from lives.ways import COMPANION, TEMPLATES

from revsyncd.core.drop import State
from revsyncd.core.outbox_names import ACK, MANIFEST, NACK

CELLS = {
    "Type": "SO",
    "Doc Num": "D1",
    "Start Date": "01-JAN-2026",
    "End Date": "31-DEC-2026",
    "Cstmr Nm": "Müller",
    "Curr": "USD",
    "Ext Sll Prc": "10.25",
    "Event Name": "Shipment",
    "Event Date": "01-JAN-2026",
}


BEFORE_ITS_END = (State.CLAIMED, State.CHECKED, State.SENDING, State.ACCEPTED)


class Shape(StrEnum):
    """What is right or wrong with a drop."""

    GOOD = "good"
    AGAIN = "the bytes of an earlier one"
    AGAIN_WITH_MARK = "an earlier one with a byte order mark"
    AGAIN_IN_PART = "the first records of an earlier one"
    INVALID = "a record that our checks refuse"
    IN_ERROR = "a record that the tenant puts in error"
    NO_RECORDS = "a header alone"
    NOTHING = "no bytes at all"
    CUT = "a last line that is cut"
    CORRECTION = "what an earlier one left over"
    LINK = "a symbolic link"


@dataclass(slots=True)
class Sent:
    """A file that a sender has put somewhere; `content` is what it holds now."""

    folder: str
    name: str
    inode: int
    content: bytes
    shape: Shape
    companion: bool = False


@dataclass
class Senders:
    """The ERP's side of the folders."""

    site: Site
    sent: list[Sent] = field(default_factory=list)
    _number: int = 0

    def drop(self, folder: str, shape: Shape, records: int, earlier: int, *, whole: bool) -> None:
        """Let a drop appear; without `whole` its marker or manifest is still to come."""
        self._number += 1
        content = self._content(folder, shape, records, earlier)
        name = self._name(folder, shape, earlier)
        if shape is Shape.LINK:
            (self._inbox(folder) / name).symlink_to("/etc/hostname")
            content = b""
        else:
            self._put(folder, name, content)
        self._remember(folder, name, content, shape)
        if whole:
            self.complete(folder, name, content)
        self.site.counts.drops += 1

    def complete(self, folder: str, name: str, content: bytes) -> None:
        """Put the marker or the manifest beside a drop, where its folder wants one."""
        suffix = COMPANION.get(folder)
        if suffix is None or (self._inbox(folder) / (name + suffix)).exists():
            return
        told = {"records": max(content.count(b"\n") - 1, 0)}
        told |= {"sha256": hashlib.sha256(content).hexdigest()}  # type: ignore[dict-item]
        companion = json.dumps(told).encode() if folder == "invoices" else b""
        self._put(folder, name + suffix, companion)
        self._remember(folder, name + suffix, companion, Shape.GOOD, companion=True)

    def complete_all(self) -> None:
        """Every drop that waits in an inbox gets its marker or manifest."""
        for sent in list(self.sent):
            waits = (self._inbox(sent.folder) / sent.name).exists()
            if not sent.companion and waits:
                self.complete(sent.folder, sent.name, sent.content)

    def write_on(self, which: int) -> bool:
        """A sender goes on writing into a file that it has open, wherever that lies now."""
        files = [s for s in self.sent if not s.companion and s.shape is not Shape.LINK]
        # Between the last look at a file and the record of its end, nothing can notice a sender.
        if not files or not self.site.until_calm():
            return False
        sent = files[-1 - which % min(len(files), 4)]
        path = self.where().get(sent.inode)
        if path is None or b"\n" not in sent.content or not self._unsettled(path):
            return False
        more = self._row(sent.folder, f"W{self._number}-{len(sent.content)}")
        with path.open("ab") as file:
            file.write(more)
        sent.content += more
        return True

    def _unsettled(self, path: Path) -> bool:
        """What is written into a settled file is told by an audit, and is nobody's promise."""
        states = {drop.drop: drop.state for drop in self.site.drops()}
        state = states.get(path.parent.name)
        return path.parent.name == "inbox" or state in BEFORE_ITS_END

    def where(self) -> dict[int, Path]:
        """Where each file below the root lies, by inode."""
        found = {}
        for folder in TEMPLATES:
            for path in _files(self.site.base / "root" / folder):
                found[path.lstat().st_ino] = path
        return found

    def _inbox(self, folder: str) -> Path:
        return self.site.base / "root" / folder / "inbox"

    def _put(self, folder: str, name: str, content: bytes) -> None:
        aside = self.site.base / "root" / folder / ".on-its-way"
        aside.write_bytes(content)
        aside.rename(self._inbox(folder) / name)

    def _remember(
        self, folder: str, name: str, content: bytes, shape: Shape, *, companion: bool = False
    ) -> None:
        inode = (self._inbox(folder) / name).lstat().st_ino
        self.sent.append(Sent(folder, name, inode, content, shape, companion))

    # -- contents --------------------------------------------------------------------------------

    def _earlier(self, folder: str, earlier: int) -> Sent | None:
        alike = [
            s
            for s in self.sent
            if TEMPLATES[s.folder] == TEMPLATES[folder] and not s.companion and b"\n" in s.content
        ]
        return alike[-1 - earlier % len(alike)] if alike else None

    def _name(self, folder: str, shape: Shape, earlier: int) -> str:
        name = f"{folder[:3]}{self._number:03d}.csv"
        before = self._earlier(folder, earlier)
        if shape is Shape.AGAIN and before is not None and self._number % 2:
            name = before.name
        if shape is Shape.CORRECTION and before is not None:
            name = f"{before.name}.remaining.csv"
        while (self._inbox(folder) / name).is_symlink() or (self._inbox(folder) / name).exists():
            name = f"x{name}"
        return name

    def _content(self, folder: str, shape: Shape, records: int, earlier: int) -> bytes:
        before = self._earlier(folder, earlier)
        if shape in (Shape.AGAIN, Shape.AGAIN_WITH_MARK, Shape.AGAIN_IN_PART) and before:
            if shape is Shape.AGAIN_WITH_MARK:
                return b"\xef\xbb\xbf" + before.content.removeprefix(b"\xef\xbb\xbf")
            lines = before.content.splitlines(keepends=True)
            whole = shape is Shape.AGAIN or len(lines) < 3
            return before.content if whole else b"".join(lines[: len(lines) // 2 + 1])
        if shape is Shape.NOTHING:
            return b""
        ids = [f"L{self._number}-{n}" for n in range(1, records + 1)]
        rows = [self._row(folder, each) for each in ids]
        if shape is Shape.INVALID:
            rows[-1] = self._row(folder, ids[-1], Start_Date="31-FEB-2026")
        if shape is Shape.IN_ERROR:
            rows[-1] = self._row(folder, ids[-1], Start_Date="01-JAN-2027")
        content = self._header(folder) + b"".join(rows if shape is not Shape.NO_RECORDS else [])
        return content[:-4] if shape is Shape.CUT else content

    def _labels(self, folder: str) -> list[str]:
        template = self.site.road.tenant.settings.template(TEMPLATES[folder])
        assert template is not None
        return template.labels

    def _header(self, folder: str) -> bytes:
        return _line(self._labels(folder))

    def _row(self, folder: str, line_id: str, **cells: str) -> bytes:
        values = CELLS | {"Doc Line Id": line_id}
        values |= {name.replace("_", " "): value for name, value in cells.items()}
        return _line([values.get(label, "") for label in self._labels(folder)])


def _line(cells: list[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def _files(directory: Path) -> Iterator[Path]:
    for place, _, names in os.walk(directory):
        for name in names:
            yield Path(place) / name


@dataclass
class Erp:
    """Takes batches from the outbox, acknowledges or refuses them, and keeps what it was given."""

    site: Site
    taken: dict[str, tuple[bytes, bytes]] = field(
        default_factory=dict
    )  # file and manifest, by name
    acknowledged: set[str] = field(default_factory=set)

    def offered(self) -> dict[str, tuple[bytes, bytes]]:
        """Every file that has its manifest beside it, and those that were taken away."""
        found = dict(self.taken)
        for path in self._outbox().glob(f"[!.]*{MANIFEST}"):
            data = path.with_name(path.name.removesuffix(MANIFEST))
            if data.is_file():
                found[data.name] = (data.read_bytes(), path.read_bytes())
        return found

    def answer(self, which: int, how: str) -> bool:
        """Acknowledge, refuse, or take away one of the files that lie there."""
        there = sorted(name for name in self.offered() if (self._outbox() / name).exists())
        if not there:
            return False
        name = there[which % len(there)]
        path = self._outbox() / name
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if how in ("ack", "ack with digest"):
            self.acknowledged.add(name)
        match how:
            case "ack":
                _say(path, ACK, "")
            case "ack with digest":
                _say(path, ACK, digest)
            case "wrong ack":
                _say(path, ACK, hashlib.sha256(b"another").hexdigest())
            case "nack":
                _say(path, NACK, "the period is closed")
            case "withdraw":
                for suffix in (ACK, NACK):
                    path.with_name(name + suffix).unlink(missing_ok=True)
            case _:
                self.taken[name] = self.offered()[name]
                path.unlink()
                path.with_name(name + MANIFEST).unlink()
        return True

    def _outbox(self) -> Path:
        return self.site.base / "root" / "outbox" / "gl"


def _say(path: Path, suffix: str, text: str) -> None:
    path.with_name(path.name + suffix).write_text(text)
