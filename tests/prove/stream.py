"""A stream of drops for one tree: several folders, both kinds of upload, parts, splits, duplicates.

The n-th file of a seed is always the same, whatever becomes of the ones before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from daemon import line, table

FOLDERS: dict[str, dict[str, Any]] = {
    "answered": {"upload": "csv", "max_records_per_upload": 2},
    "followed": {"upload": "file", "max_records_per_upload": 3},
    "in_sequence": {"upload": "file", "max_records_per_upload": 2, "parts": "sequence"},
    "split": {"upload": "csv", "max_records_per_upload": 2, "on_invalid": "split"},
    "large": {"upload": "file", "max_records_per_upload": 400},
}
OFTEN = (4, 4, 3, 3, 1)  # how often the folders come, in their order
SMALL, LARGE = 7, 1_000  # records at most
AGAIN = 0.12  # of the files are earlier ones under another name
LINE_FEEDS = 0.5  # of the files are not in the tenant's form: their parts are written anew
AT_FAULT = 0.5  # of the files to be split have a record at fault


@dataclass(frozen=True, slots=True)
class Dropped:
    """A file of the stream: `sound` are the ids of its good records by number, from 1 on."""

    folder: str
    name: str
    content: bytes
    sound: dict[int, str]
    records: int

    @property
    def ending(self) -> tuple[str, str]:
        """Outcome and reason where nothing happens."""
        whole = len(self.sound) == self.records
        return ("done", "staged" if whole else "staged_with_errors")


def stream(seed: int) -> Iterator[Dropped]:
    """Files without end; no two of one name, no two contents that share a record."""
    chance, whole, number = Random(seed), list[Dropped](), 0  # noqa: S311  (repeatable)
    while True:
        number += 1
        [folder] = chance.choices(list(FOLDERS), OFTEN)
        name = f"{number:04}.csv"
        if whole and chance.random() < AGAIN:
            old = chance.choice(whole)
            yield Dropped(folder, name, old.content, old.sound, old.records)
            continue
        found = _new(chance, folder, name, number)
        if found.ending == ("done", "staged"):
            whole.append(found)
        yield found


def _new(chance: Random, folder: str, name: str, number: int) -> Dropped:
    count = chance.randint(1, LARGE if folder == "large" else SMALL)
    rows = [line(f"{number}-{record}") for record in range(1, count + 1)]
    sound = {record: rows[record - 1][0] for record in range(1, count + 1)}
    if folder == "split" and count > 1 and chance.random() < AT_FAULT:
        wrong = chance.randint(1, count)
        rows[wrong - 1][5] = "many"
        del sound[wrong]
    end = "\n" if chance.random() < LINE_FEEDS else "\r\n"
    return Dropped(folder, name, table(rows, end=end), sound, count)
