"""A configured tree and drops in a real ledger, for tests of what is said about them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from revsyncd.adapters.ledger import Ledger
from revsyncd.config import Config, load
from revsyncd.core.drop import Checked, Drop, Ending, Event, Reason, State
from revsyncd.core.part import Part, PartState
from revsyncd.core.places import FolderPlaces, new_drop_id
from revsyncd.first_tree import make_folders

NOON = 1_795_521_600.0  # 2026-11-24 12:00:00 UTC
CONFIG = """
root = "{home}/root"
state_dir = "{home}/state"
timezone = "Europe/Berlin"
[tenant]
base_url = "{base_url}"
username = "env:REVSYNCD_TEST_USER"
password = "env:REVSYNCD_TEST_PASSWORD"
role = "Revpro API Role"
[templates.transactions]
template_name = "Transaction Upload"
mapping = "mapping.toml"
{more}
[templates.events]
template_name = "Event Upload"
kind = "event"
ready = "marker"
"""
MAPPING = """
date_format = "DD-MON-YYYY"
[[columns]]
label = "Doc Line Id"
name = "DOC_LINE_ID"
type = "character"
[[columns]]
label = "Amount"
name = "EXT_SLL_PRC"
type = "number"
"""


class Steady:
    """A clock of which each look is a second after the last."""

    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> float:
        """Seconds since the epoch."""
        self.time += 1.0
        return self.time

    def monotonic(self) -> float:
        """The same seconds."""
        return self.time


def tree(home: Path, *, base_url: str = "http://127.0.0.1:9", more: str = "") -> Config:
    """A configuration with two folders, and all directories that it names; `more` is the first's.

    The tenant's port answers nobody unless `base_url` names another.
    """
    (home / "mapping.toml").write_text(MAPPING)
    path = home / "config.toml"
    path.write_text(CONFIG.format(home=home, base_url=base_url, more=more))
    config = load(path)
    make_folders(config)
    return config


@contextmanager
def opened(config: Config, clock: Steady | None = None) -> Iterator[Ledger]:
    """The ledger, as the daemon has it open."""
    with Ledger.open(config.root, config.state_dir, (clock or Steady()).now) as ledger:
        yield ledger


def claim(
    config: Config, ledger: Ledger, file: str, folder: str = "transactions", number: int = 0
) -> Drop:
    """A drop that was just claimed, with its file in work."""
    drop_id = new_drop_id(NOON + number, bytes([number] * 10))
    work = FolderPlaces(config.root, folder).work_of(drop_id)
    work.mkdir(parents=True)
    (work / file).write_bytes(b"Doc Line Id,Amount\r\n1,2\r\n")
    template = config.templates.get(folder)
    drop = Drop(
        drop=drop_id,
        folder=folder,
        file=file,
        state=State.CLAIMED,
        tenant=config.tenant.base_url,
        template_name=template.template_name if template else "Gone",
        kind=str(template.kind) if template else "transaction",
        received_at=NOON + number,
        place=f"{folder}/.work/{drop_id}",
        name=file,
        owner="erp",
        size=25,
    )
    return ledger.drops.add(drop)


def part(drop: Drop, number: int, of: int, state: PartState = PartState.PLANNED) -> Part:
    """A part of a hundred records."""
    first = 100 * (number - 1) + 1
    return Part(
        drop=drop.drop,
        part=number,
        of=of,
        state=state,
        records=100,
        ranges=((first, first + 99),),
        file_name=f"part{number}.csv",
        path=f"{drop.folder}/.work/{drop.drop}.parts/{number}",
        size=1000,
        cut=990,
        sha256=f"{drop.drop}-{number}",
        route="file",
    )


def send(ledger: Ledger, drop: Drop, *states: PartState) -> Drop:
    """Checked and being sent; each part came as far as its state says."""
    parts = [part(drop, number, len(states)) for number in range(1, len(states) + 1)]
    checked = Checked(encoding="utf-8", records=100 * len(states), lines=100 * len(states) + 1)
    drop = ledger.drops.plan(drop, parts, sha256=drop.drop.lower() * 2, checked=checked)
    drop = ledger.drops.move(drop, Event.STARTED)
    for planned, state in zip(parts, states, strict=True):
        if state is not PartState.PLANNED:
            released = ledger.drops.release(drop, planned)
            if state is not PartState.RELEASED:
                message = "Data Staged Successfully" if state is PartState.STAGED else ""
                ledger.drops.settle_part(drop, released, state, message=message, request_id=7)
    return drop


def settle(ledger: Ledger, drop: Drop, event: Event, reason: Reason, step: str = "") -> Drop:
    """With an ending, and filed."""
    ending = Ending(reason, f"it is {reason}", step)
    drop = ledger.drops.move(drop, event, ending=ending, settled_at=drop.received_at + 60)
    if drop.state is State.STAGED:
        return ledger.drops.move(drop, Event.FILED, filed=True)
    return ledger.drops.note(drop, "filed", filed=True)


def shelve(config: Config, ledger: Ledger, drop: Drop, shelf: str = "held") -> Drop:
    """The file itself where a settled drop's belongs."""
    place = f"{drop.folder}/{shelf}/2026-11-24"
    directory = config.root / place
    directory.mkdir(parents=True, exist_ok=True)
    (config.root / drop.place / drop.name).rename(directory / drop.name)
    return ledger.drops.note(drop, place=place)
