"""An instance for tests of lines in error: real ledger, files and checks, a made-up list.

Tests lead drops to their ends by hand, so that they stand exactly where a test wants them.
"""

import csv
import io
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
from bench import Log
from stand_ins import NoJournal

from revsyncd.adapters.check_process import ProcessChecker
from revsyncd.adapters.ledger import Ledger
from revsyncd.adapters.log import configure
from revsyncd.config import load
from revsyncd.core.drop import Drop, Event, State
from revsyncd.core.errors import Unreachable
from revsyncd.core.part import PartState
from revsyncd.core.places import new_drop_id
from revsyncd.core.template import Kind, Mapping
from revsyncd.core.verdict import Following, Judgement, Route, StatusReading, Verdict
from revsyncd.first_tree import make_folders
from revsyncd.pipelines.checking import Checking
from revsyncd.pipelines.concluding import Concluding
from revsyncd.pipelines.conditions import Conditions
from revsyncd.pipelines.files import Files
from revsyncd.pipelines.filing import Filing
from revsyncd.pipelines.instance import Instance
from revsyncd.pipelines.mappings import Mappings
from revsyncd.pipelines.register import Register
from revsyncd.pipelines.stage_errors import UNATTRIBUTED, StageErrors
from revsyncd.pipelines.tenant_gate import TenantGate
from revsyncd.ports import Release, StageErrorRow, Tenant, Upload

NOON = 1_795_521_600.0  # 2026-11-24T12:00:00Z
HEADER = "Type,Doc Line Id,Inv Line Id,Ext Sll Prc"
CONFIG = """
root = "{home}/root"
state_dir = "{home}/state"
timezone = "UTC"
[tenant]
base_url = "https://acme.example"
username = "env:NOBODY"
password = "env:NOBODY"
[stage_errors]
every = "{every}"
"""
FOLDER = """
[templates.{name}]
template_name = "{name} upload"
kind = "{kind}"
mapping = "mapping.toml"
on_invalid = "split"
max_records_per_upload = {most}
"""
MAPPING = """
date_format = "DD-MON-YYYY"
columns = [
  {label = "Type", name = "TYPE", type = "character"},
  {label = "Doc Line Id", name = "DOC_LINE_ID", type = "character"},
  {label = "Inv Line Id", name = "INV_LINE_ID", type = "character"},
  {label = "Ext Sll Prc", name = "EXT_SELL_PRC", type = "number"},
]
"""


@dataclass
class Clock:
    """Wall time as the test sets it; each look is a hundredth of a second after the last."""

    time: float = NOON

    def now(self) -> float:
        self.time += 0.01
        return self.time

    def monotonic(self) -> float:
        return anyio.current_time()


@dataclass
class ListingTenant:
    """A tenant of which only the lists of lines in error matter."""

    rows: dict[Kind, list[StageErrorRow] | Unreachable] = field(default_factory=dict)
    asked: list[Kind] = field(default_factory=list)
    more: anyio.Event = field(default_factory=anyio.Event)

    async def stage_errors(self, kind: Kind) -> list[StageErrorRow]:
        self.asked.append(kind)
        self.more.set()
        found = self.rows.get(kind, [])
        if isinstance(found, Unreachable):
            raise found
        return list(found)

    async def until_asked(self, times: int) -> None:
        with anyio.fail_after(60):
            while len(self.asked) < times:
                self.more = anyio.Event()
                await self.more.wait()

    async def mapping(self, template_name: str) -> Mapping:
        raise Unreachable(f"no mapping of {template_name} is served here")

    async def upload(self, upload: Upload, release: Release) -> Judgement:
        return Judgement(Verdict.RETRY)

    async def status(self, route: Route, request_id: int | str, records: int) -> StatusReading:
        return StatusReading(Following.NOT_YET)

    async def probe(self) -> None:
        return


@dataclass
class World:
    """An instance whose drops the test leads to their ends itself."""

    instance: Instance
    tenant: ListingTenant
    clock: Clock
    concluding: Concluding
    filing: Filing
    service: StageErrors
    log: Log

    @property
    def root(self) -> Path:
        return self.instance.root

    async def claimed(
        self, name: str, content: str, at: float, folder: str, received_at: float | None
    ) -> Drop:
        it = self.instance
        self.clock.time = at
        drop = new_drop_id(at if received_at is None else received_at, len(name).to_bytes(10))
        work = it.places(folder).work_of(drop)
        work.mkdir()
        (work / name).write_text(content, newline="")
        identity = await it.files.identity(work / name)
        return await it.register.add(
            Drop(
                drop=drop,
                folder=folder,
                file=name,
                state=State.CLAIMED,
                tenant=it.config.tenant.base_url,
                template_name=it.config.templates[folder].template_name,
                kind=it.config.templates[folder].kind,
                received_at=at if received_at is None else received_at,
                place=f"{folder}/.work/{drop}",
                name=name,
                size=identity[0],
                identity=identity,
            )
        )

    async def sent(
        self,
        name: str,
        content: str,
        *,
        at: float = NOON,
        folder: str = "orders",
        states: Iterable[PartState] = (),
        received_at: float | None = None,
    ) -> Drop:
        """A drop checked for real and sent at `at`; its parts become `states`, staged by default."""
        register = self.instance.register
        drop = await self.claimed(name, content, at, folder, received_at)
        await Checking(self.instance, self.concluding).check(drop.drop)
        await register.move(drop.drop, Event.STARTED)
        ends = list(states)
        for part in register.parts(drop.drop):
            end = ends.pop(0) if ends else PartState.STAGED
            await register.release(drop.drop, part.part)
            for state in (PartState.ACCEPTED, end)[: 1 if end is PartState.ACCEPTED else 2]:
                await register.settle_part(
                    drop.drop, part.part, state, request_id=10_000 + drop.seq, message="so it is"
                )
        async with register.locked(drop.drop):
            await self.concluding.advance(drop.drop)
        return await self.ledgers(drop)

    async def done(self, name: str, content: str, **facts: Any) -> Drop:
        """The same, filed."""
        drop = await self.sent(name, content, **facts)
        await self.filing.file(drop.drop)
        return await self.ledgers(drop)

    async def ledgers(self, drop: Drop) -> Drop:
        """The drop as the ledger has it."""
        found = await self.instance.ledger.run(self.instance.ledger.drops.get, drop.drop)
        assert found is not None
        return found

    async def look(self, *rows: StageErrorRow, kind: Kind = Kind.TRANSACTION) -> None:
        """One look, with these lines in error."""
        self.tenant.rows[kind] = list(rows)
        await self.service.look()

    async def report(self, drop: Drop) -> dict[str, Any]:
        """The report beside the file."""
        found: dict[str, Any] = json.loads((await self.sidecar(drop, ".report.json")).read_text())
        return found

    async def sidecar(self, drop: Drop, suffix: str) -> Path:
        """Where a sidecar is to be."""
        path = self.instance.path(await self.ledgers(drop))
        return path.with_name(path.name + suffix)

    async def open_records(self, drop: Drop) -> list[int]:
        """The records that the report calls open."""
        report = await self.report(drop)
        items = report["stage_errors"]["items"]
        assert report["stage_errors"]["open"] == sum(i["state"] == "open" for i in items)
        return sorted(item["record"] for item in items if item["state"] == "open")

    def index(self, drop: Drop) -> Path:
        """The drop's index of line ids."""
        return self.instance.files.line_ids(drop.drop)

    def unattributed(self) -> list[list[str]]:
        """The rows of the file of rows that are nobody's, without its header."""
        path = self.root / UNATTRIBUTED
        if not path.exists():
            return []
        return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"))))[1:]


@asynccontextmanager
async def made(home: Path, every: str, most: int = 100) -> AsyncIterator[World]:
    (home / "mapping.toml").write_text(MAPPING)
    folders = {"orders": "transaction", "events": "event"}
    text = CONFIG.format(home=home, every=every)
    for name, kind in folders.items():
        text += FOLDER.format(name=name, kind=kind, most=most)
    (home / "config.toml").write_text(text)
    for name in ("root", "state"):
        (home / name).mkdir()
    config = load(home / "config.toml")
    make_folders(config)
    clock, tenant, log = Clock(), ListingTenant(), Log()
    as_port: Tenant = tenant
    configure("info", "json", log)  # type: ignore[arg-type]  # it writes, flushes and is no terminal
    with Ledger.open(config.root, config.state_dir, clock.now) as ledger:
        register, conditions = Register(ledger), Conditions(ledger, clock)
        gate = TenantGate(as_port, conditions, clock, register.changed)
        mappings = Mappings(ledger, clock, as_port, gate)
        files = Files(config.state_dir, ProcessChecker())
        instance = Instance(
            config,
            clock,
            ledger,
            register,
            conditions,
            as_port,
            gate,
            mappings,
            files,
            NoJournal(),
        )
        filing = Filing(instance)
        service = StageErrors(instance, filing)
        yield World(instance, tenant, clock, Concluding(instance), filing, service, log)


def lines(*records: str) -> str:
    return "".join(f"{record}\r\n" for record in (HEADER, *records))


def a_row(number: int = 9001, **facts: str) -> StageErrorRow:
    """The order line L-2 in error, a minute after noon."""
    row = StageErrorRow(
        id=str(number),
        message="RPRO-00013: Start date is after end date",
        code="RPRO-00013",
        so_line_id="L-2",
        inv_line_id="",
        type="SO",
        upload_id="",
        created="2026-11-24T12:01:00Z",
    )
    return replace(row, **facts)


ORDERS = lines("SO,L-1,,1.00", 'SO,"L-2",,2.00', "SO,L-3,,3.00")
