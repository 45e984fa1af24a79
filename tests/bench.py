"""A whole instance in the test's own process, against the simulator over a real socket.

Tests drop files, await log events, and look at what the simulator stored and what lies in the folders.
"""

import csv
import io
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup
from audit import Held, require_clean

from revsyncd import simulator
from revsyncd.adapters.clock import SystemClock
from revsyncd.adapters.ledger import Ledger
from revsyncd.adapters.log import configure
from revsyncd.assemble import Daemon, carry_out, instance_of
from revsyncd.config import Config, load
from revsyncd.core.batch import Batch
from revsyncd.core.drop import Drop
from revsyncd.core.pace import Pace
from revsyncd.first_tree import make_folders
from revsyncd.listener import Listener
from revsyncd.pipelines.instance import Instance
from revsyncd.pipelines.outbound import Outbound
from revsyncd.pipelines.recovery import recover
from revsyncd.pipelines.sending import Sending, UploadInFlight
from revsyncd.tenant_link import TenantLink

TEMPLATE = "Small Transactions"
PATIENCE = 60.0  # seconds; only a hang ever waits so long

CONFIG = """
root = "{root}"
state_dir = "{state}"
stop_timeout = "5s"
{top}
[tenant]
base_url = "{base_url}"
role = "{role}"
client_name = "{client_name}"
username = "env:BENCH_USERNAME"
password = "env:BENCH_PASSWORD"
connect_timeout = "20s"
read_timeout = "20s"
upload_timeout = "{upload_timeout}"
{tenant}
[stage_errors]
every = "1s"
{folders}
{gl}
"""
FOLDER = """
[templates.{name}]
template_name = "{template}"
settle_time = "50ms"
{keys}
"""


def folder(name: str = "orders", keys: str = "", template: str = TEMPLATE) -> str:
    """A folder's section of the configuration."""
    return FOLDER.format(name=name, keys=keys, template=template)


class Log:
    """The log as a stream: keeps every line and lets tests await one."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self._more = anyio.Event()

    def write(self, text: str) -> int:
        for line in text.splitlines():
            if line.strip():
                self.lines.append(json.loads(line))
        self._more.set()
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False

    def having(self, event: str, **facts: Any) -> list[dict[str, Any]]:
        """The lines of an event with these facts."""
        return [
            line
            for line in self.lines
            if line["event"] == event and all(line.get(k) == v for k, v in facts.items())
        ]

    async def until(self, event: str, times: int = 1, **facts: Any) -> dict[str, Any]:
        """The line that is the event's `times`-th with these facts."""
        with anyio.move_on_after(PATIENCE):
            while len(found := self.having(event, **facts)) < times:
                if self._more.is_set():  # else another task waits for it
                    self._more = anyio.Event()
                await self._more.wait()
            return found[times - 1]
        last = "\n".join(map(json.dumps, self.lines[-30:]))
        raise AssertionError(f"no {event} {facts} came:\n{last}")


@dataclass
class Bench:
    """The instance with its tenant."""

    base: Path
    tenant: simulator.Tenant
    config: Config
    log: Log
    instance: Instance = field(init=False)
    daemon: Daemon = field(init=False)
    tasks: TaskGroup = field(init=False)

    @property
    def root(self) -> Path:
        return self.config.root

    @property
    def labels(self) -> list[str]:
        template = self.tenant.settings.template(TEMPLATE)
        assert template is not None
        return [column.label for column in template.columns]

    def content(self, ids: Iterable[str], **cells: str) -> bytes:
        """A file with one right record an id; `cells` replace cells of all records (by label)."""
        values = {
            "Type": "SO",
            "Doc Num": "D1",
            "Start Date": "01-JAN-2026",
            "End Date": "31-DEC-2026",
            "Cstmr Nm": "Müller",
            "Curr": "USD",
            "Ext Sll Prc": "10.00",
            **{label.replace("_", " "): value for label, value in cells.items()},
        }
        text = io.StringIO(newline="")
        out = csv.writer(text)
        out.writerow(self.labels)
        for id_ in ids:
            out.writerow([{**values, "Doc Line Id": id_}.get(x, "") for x in self.labels])
        return text.getvalue().encode()

    def drop(self, name: str, content: bytes, to: str = "orders") -> Path:
        """Let a whole file appear in an inbox."""
        aside = self.root / to / f".{name}.tmp"
        aside.write_bytes(content)
        path = self.root / to / "inbox" / name
        aside.rename(path)
        return path

    def found(self, name: str, to: str = "orders") -> list[Path]:
        """Where a file of this name lies now, below its folder."""
        return sorted(
            path.relative_to(self.root / to)
            for path in (self.root / to).rglob("*")
            if path.name == name
        )

    def report(self, name: str, to: str = "orders") -> dict[str, Any]:
        """The report of a settled file."""
        (path,) = (self.root / to).rglob(f"{name}.report.json")
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def sidecar(self, name: str, suffix: str, to: str = "orders") -> bytes:
        """The bytes of a sidecar."""
        (path,) = (self.root / to).rglob(f"{name}{suffix}")
        return path.read_bytes()

    def stored(self) -> list[list[str]]:
        """The ids in every body that the tenant stored, in the order of arrival."""
        bodies = [upload.content.read_text() for upload in self.tenant.world.uploads.values()]
        return [[row["Doc Line Id"] for row in csv.DictReader(io.StringIO(b))] for b in bodies]

    def staged(self) -> list[str]:
        """The ids that the tenant staged, sorted; one that is there twice shows twice."""
        ids: list[str] = []
        for upload in self.tenant.world.in_state(simulator.State.STAGED):
            reader = csv.DictReader(io.StringIO(upload.content.read_text()))
            ids += [row["Doc Line Id"] for row in reader]
        return sorted(ids)

    async def ask(self, verb: str, target: str, reason: str = "because") -> tuple[bool, str]:
        """Put a person's request in, as a command does, and await its answer."""
        ledger = self.instance.ledger
        with Ledger.ask(self.config.state_dir, SystemClock().now) as beside:
            number = beside.requests.put("anna", verb, target, reason)
        with anyio.fail_after(PATIENCE):
            while True:
                found = await ledger.run(ledger.requests.get, number)
                if found is not None and found.done is not None:
                    return found.done, found.answer or ""
                await anyio.sleep(0.02)  # the answer is a row in the ledger: nothing else tells

    @property
    def outbox(self) -> Path:
        """Where batches are written."""
        return self.config.outbox

    def delivered(self) -> dict[str, bytes]:
        """The files of the outbox that the ERP may look at, by name; no manifest, nothing hidden."""
        return {
            path.name: path.read_bytes()
            for path in sorted(self.outbox.glob("[!.]*"))
            if path.is_file() and not path.name.endswith((".manifest.json", ".ack", ".nack"))
        }

    def manifest(self, name: str, below: str = "") -> dict[str, Any]:
        """The manifest of a file in the outbox."""
        path = self.outbox / below / f"{name}.manifest.json"
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    async def looks(self, number: int) -> None:
        """Until the list of batches was asked for so often once more, and answered but for the last."""
        calls = self.tenant.world.counts.calls
        path = "GET /api/integration/v1/journal/list"
        wanted = calls[path] + number + 1
        with anyio.fail_after(PATIENCE):
            while calls[path] < wanted:  # noqa: ASYNC110  (a count that changes wakes nobody)
                await anyio.sleep(0.02)

    @asynccontextmanager
    async def outbound(self) -> AsyncIterator[Outbound]:
        """The outbound pipeline alone, to be told when to look; no other service runs."""
        clock = SystemClock()
        async with AsyncExitStack() as stack:
            ledger = stack.enter_context(Ledger.open(self.root, self.config.state_dir, clock.now))
            link = await stack.enter_async_context(TenantLink.to(self.config, clock))
            self.instance = await stack.enter_async_context(instance_of(self.config, ledger, link))
            await self.instance.conditions.load()
            yield Outbound(self.instance)

    async def batch(self, batch: object) -> Batch:
        """The last issue of a batch as the ledger has it."""
        ledger = self.instance.ledger
        tenant = self.config.tenant.base_url
        found = await ledger.run(ledger.batches.latest, tenant, str(batch))
        assert found is not None
        return found

    async def ledger_drop(self, drop: str) -> Drop:
        """The drop as the ledger has it."""
        found = await self.instance.ledger.run(self.instance.ledger.drops.get, drop)
        assert found is not None
        return found

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Bench"]:
        """The daemon's services, until the block ends; they end as at a kill, without goodbye."""
        clock = SystemClock()
        async with AsyncExitStack() as stack:
            ledger = stack.enter_context(Ledger.open(self.root, self.config.state_dir, clock.now))
            link = await stack.enter_async_context(TenantLink.to(self.config, clock))
            self.instance = await stack.enter_async_context(instance_of(self.config, ledger, link))
            daemon = Daemon(self.instance, link, self.config.path, Listener)
            self.daemon = stack.enter_context(closing(daemon))
            await recover(self.instance, self.daemon.concluding)
            async with anyio.create_task_group() as tasks:
                self.tasks = tasks
                self.daemon.start(tasks)
                yield self
                tasks.cancel_scope.cancel()

    async def reload(self, old: str, new: str) -> None:
        """Change the configuration's text, and let the daemon take it as at SIGHUP."""
        path = self.config.path
        path.write_text(path.read_text().replace(old, new) if old else path.read_text())
        await self.daemon._reload(self.tasks)

    async def while_stopped(self, verb: str, target: str, reason: str = "because") -> bool:
        """Carry a person's request out while no daemon runs, as a command does."""
        with Ledger.open(self.root, self.config.state_dir, SystemClock().now) as ledger:
            number = ledger.requests.put("anna", verb, target, reason)
            request = ledger.requests.get(number)
            assert request is not None
            return await carry_out(self.config, ledger, request)


def together(monkeypatch: Any, parts: int) -> None:
    """Let no answer be heard before so many parts of the drop have left: each keeps the next ones here."""
    heard = Sending._hear

    async def after_all_left(sending: Sending, upload: UploadInFlight, *told: Any) -> None:
        register = sending._instance.register
        with anyio.fail_after(PATIENCE):
            while sum(p.state != "planned" for p in register.parts(upload.drop)) < parts:  # noqa: ASYNC110  (a part's state tells nobody)
                await anyio.sleep(0.01)
        await heard(sending, upload, *told)

    monkeypatch.setattr(Sending, "_hear", after_all_left)


def hastened(monkeypatch: Any) -> None:
    """Let what is tried again be tried soon."""
    monkeypatch.setattr("revsyncd.pipelines.following.LOOKS", Pace(0.02, 1.2, 0.2))
    monkeypatch.setattr("revsyncd.pipelines.sending.RETRIES", Pace(0.02, 1.2, 0.2))
    for retries in ("journal.RETRIES", "report.RETRIES"):
        name = f"revsyncd.adapters.revenue_api.{retries}"
        monkeypatch.setattr(name, Pace(0.01, 1.2, 0.05))
    monkeypatch.setattr("revsyncd.pipelines.outbound.ACK_LOOK", 0.05)
    monkeypatch.setattr("revsyncd.pipelines.batch_list.SURE_AFTER", 0.02)
    monkeypatch.setattr("revsyncd.pipelines.batch_delivery.EMPTY_SETTLES", 0.0)


@asynccontextmanager
async def bench(
    base: Path,
    monkeypatch: Any,
    *,
    folders: str = "",
    tenant: str = "",
    top: str = "",
    gl: str = "",
    upload_timeout: str = "20s",
    settings: simulator.Settings | None = None,
) -> AsyncIterator[Bench]:
    """A bench whose daemon does not run yet."""
    async with simulator.serve(settings or simulator.Settings(), data=None) as server:
        monkeypatch.setenv("BENCH_USERNAME", server.info["username"])
        monkeypatch.setenv("BENCH_PASSWORD", server.info["password"])
        (base / "root").mkdir()
        (base / "state").mkdir()
        path = base / "config.toml"
        values = {key: server.info[key] for key in ("base_url", "role", "client_name")}
        path.write_text(
            CONFIG.format(
                root=base / "root",
                state=base / "state",
                tenant=tenant,
                top=top,
                folders=folders or folder(),
                gl=gl,
                upload_timeout=upload_timeout,
                **values,
            )
        )
        config = load(path)
        make_folders(config)
        hastened(monkeypatch)
        log = Log()
        configure("debug", "json", log)  # type: ignore[arg-type]
        it = Bench(base, server, config, log)
        yield it
        require_clean(path, map(Held.of_simulator, server.world.uploads.values()))
