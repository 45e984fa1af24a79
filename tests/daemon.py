"""The daemon as a process: a configuration in a folder of the test, real signals, awaited log lines.

`Site` is the tree with its configuration and what people see of it; `Daemon` is the program that
runs on it. Nothing here imports revsyncd: it is judged by what it writes.
"""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from strict_tenant import StrictTenant
from watchfiles import watch

PATIENCE = 60.0  # seconds after which what was awaited will not come; no test needs that long
LABELS = (
    "Doc Line Id",
    "Type",
    "Doc Date",
    "Cstmr Nm",
    "Curr",
    "Ord Qty",
    "Ext Sll Prc",
    "Inv Line Id",
    "Comments",
)
COMMAND = (sys.executable, "-m", "revsyncd", "run")
_SETTLED = ("drop.done", "drop.failed", "drop.held")
_USUAL = {
    "template_name": "Transaction Upload",
    "settle_time": "100ms",
    "upload": "csv",  # its answer says what became of it: nothing to poll for
    "max_records_per_upload": 10_000,
}
_SECRETS = {
    "token": ("username", "password"),
    "oneid": ("client_id", "client_secret"),
}


def line(line_id: str, customer: str = "Müller", comment: str = "") -> list[str]:
    """One record of the "Transaction Upload" template."""
    return [line_id, "SO", "01-JAN-2026", customer, "EUR", "1", "10.50", "", comment]


def table(
    rows: Iterable[Sequence[str]], labels: Sequence[str] = LABELS, end: str = "\r\n"
) -> bytes:
    """A header and rows as a CSV in UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=end)
    writer.writerows([labels, *rows])
    return text.getvalue().encode()


def lines(*line_ids: str) -> bytes:
    """A file for "Transaction Upload" with one good record for each line id."""
    return table(line(line_id) for line_id in line_ids)


def read_table(content: bytes) -> list[list[str]]:
    """Every row of a CSV, the header first; a BOM is no part of it."""
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


@dataclass(frozen=True, slots=True)
class Settled:
    """Where a drop ended: the file itself and what its report says."""

    path: Path
    report: dict[str, Any]

    @property
    def drop(self) -> str:
        """The drop's id."""
        return str(self.report["drop"])

    @property
    def ending(self) -> tuple[str, str]:
        """Outcome and reason."""
        return (self.report["outcome"], self.report["reason"])

    def sidecar(self, suffix: str) -> Path:
        """A sidecar's path, such as `.errors.csv`; it need not be there."""
        return self.path.with_name(self.path.name + suffix)


@dataclass
class Site:
    """A root, a state directory and a configuration; `folders` are tables of `[templates.*]`."""

    home: Path
    introduction: dict[str, Any]
    folders: dict[str, dict[str, Any]]
    tenant: dict[str, Any] = field(default_factory=dict)
    top: dict[str, Any] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The one tree of all folders."""
        return self.home / "root"

    @property
    def state(self) -> Path:
        """The ledger's place."""
        return self.home / "state"

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.home / "config.toml"

    def inbox(self, folder: str = "orders") -> Path:
        """Where the sender of a folder writes."""
        return self.root / folder / "inbox"

    def prepare(self) -> None:
        """Write the configuration, and make what a person makes: root, state and inboxes."""
        self.state.mkdir(exist_ok=True)
        (self.home / "sender").mkdir(exist_ok=True)
        for folder in self.folders:
            self.inbox(folder).mkdir(parents=True, exist_ok=True)
        self.configure()

    def configure(self) -> None:
        """Write the configuration as it is now."""
        told = self.introduction
        secrets = _SECRETS[told["auth"]]
        tenant = {key: f"env:TEST_{key.upper()}" for key in secrets}
        tenant |= {key: told[key] for key in ("base_url", "auth", "role", "client_name")}
        tenant |= {"token_url": told["token_url"]} if told["auth"] == "oneid" else {}
        top: dict[str, Any] = {"root": str(self.root), "state_dir": str(self.state)}
        tables: dict[str, Any] = {"log": {"format": "json"}, "tenant": tenant | self.tenant}
        for name, settings in self.folders.items():
            tables[f"templates.{name}"] = _USUAL | settings
        for key, value in self.top.items():
            (tables if isinstance(value, dict) else top)[key] = value
        parts = [_table(top)]
        parts += [f"[{name}]\n{_table(values)}" for name, values in tables.items()]
        self.config.write_text("\n".join(parts))

    def environment(self) -> dict[str, str]:
        """The variables with the secrets."""
        names = _SECRETS[self.introduction["auth"]]
        return {f"TEST_{name.upper()}": str(self.introduction[name]) for name in names}

    def drop(self, name: str | bytes, content: bytes, folder: str = "orders") -> None:
        """Let a whole file appear in the inbox at once; a name in bytes need not be UTF-8."""
        written = self.home / "sender" / "outgoing"
        written.write_bytes(content)
        written.rename(self.inbox(folder) / os.fsdecode(name))

    def pass_a_moment(self) -> None:
        """Until the file system's clock has gone on: what is dropped then came later."""
        probe = self.home / "sender" / "moment"
        probe.touch()
        began = probe.stat().st_ctime_ns
        while probe.stat().st_ctime_ns == began:
            probe.touch()

    def reports(self, folder: str = "orders") -> Iterator[tuple[Path, dict[str, Any]]]:
        """Every report of a folder with its path."""
        for path in (self.root / folder).glob("*/*/*.report.json"):
            yield path, json.loads(path.read_text())

    def settled(self, drop: str, folder: str = "orders") -> Settled:
        """What a drop's report says now, and the file beside it (a very long name is cut for reports)."""
        [(path, report)] = [each for each in self.reports(folder) if each[1]["drop"] == drop]
        file = path.with_name(path.name.removesuffix(".report.json"))
        return Settled(file, report)

    def settled_when(
        self, drop: str, condition: Callable[[Settled], bool], folder: str = "orders"
    ) -> Settled:
        """Await that a drop's report fulfils a condition; for what is rewritten without a log line."""
        found = self.settled(drop, folder)
        # What changes between a look and the watch is seen at the watch's time-out.
        changes = watch(found.path.parent, rust_timeout=200, yield_on_timeout=True, debounce=1)
        until = time.monotonic() + PATIENCE
        while not condition(found):
            assert time.monotonic() < until, found.report
            next(changes)
            found = self.settled(drop, folder)
        return found


def _table(values: dict[str, Any]) -> str:
    return "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())


def _toml(value: Any) -> str:
    """A value in TOML, whose strings, numbers, booleans and lists are JSON's; tables are inline."""
    if isinstance(value, dict):
        inner = (f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items())
        return "{" + ", ".join(inner) + "}"
    return json.dumps(value, ensure_ascii=False)


class Daemon:
    """`revsyncd run` on a site that was prepared; its log lines are awaited, never slept for."""

    def __init__(self, site: Site, tenant: StrictTenant | None = None) -> None:
        """`tenant` is told of every start: a new process may sign in anew."""
        self.site = site
        self.environment: dict[str, str] = {}
        self.wrapper: tuple[str, ...] = ()  # a command that runs the rest
        self.package: Path | None = None  # a directory with another revsyncd to run
        self.covered = True  # False where it can't write its coverage: another user's, say
        self.lines: list[str] = []  # of all runs, as written
        self.events: list[dict[str, Any]] = []  # of this run
        self.expected_faults: tuple[str, ...] = ()  # events that are no fault in this test
        self._tenant = tenant
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._changed = threading.Condition()
        self._told: set[int] = set()
        self._ended = True

    def end(self) -> None:
        """End it, if the test has not: asked to, so that its coverage is written."""
        if self._process is not None and self._process.poll() is None:
            self.send(signal.SIGTERM)
            self.send(signal.SIGTERM)
            try:
                self.exit_code()
            except AssertionError:
                self.kill()
                raise

    @property
    def process(self) -> subprocess.Popen[str]:
        """The running, or last, process."""
        assert self._process is not None, "the daemon was never started"
        return self._process

    def start(self, *, ready: bool = True) -> Self:
        """Start it, and await its readiness unless told otherwise."""
        if self._tenant is not None:
            self._tenant.books.expect_sign_in()
        self.events, self._told, self._ended = [], set(), False
        self._process = subprocess.Popen(
            [*self.wrapper, *COMMAND, "--config", str(self.site.config)],
            cwd=self.site.home,
            env=self.whole_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        if ready:
            self.wait_for("daemon.ready")
        return self

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the site, beside the daemon or without it."""
        return subprocess.run(
            [sys.executable, "-m", "revsyncd", *words, "--config", str(self.site.config)],
            cwd=self.site.home,
            env=self.whole_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def restart(self) -> Self:
        """Start it again after it ended."""
        self.exit_code()
        return self.start()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; returns the exit code."""
        self.send(number)
        return self.exit_code()

    def kill(self) -> None:
        """End it as a power loss would."""
        self.send(signal.SIGKILL)
        self.exit_code()

    def exit_code(self) -> int:
        """Wait until it has ended and all that it wrote is read."""
        assert self._reader is not None
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the daemon did not end:\n{self.tail()}") from None
        self._reader.join(PATIENCE)
        return code

    def wait_for(self, event: str, *, times: int = 1, **facts: Any) -> dict[str, Any]:
        """The first (or n-th) log line of this run with this event and these facts."""
        with self._changed:
            self._changed.wait_for(
                lambda: len(self.seen(event, **facts)) >= times or self._ended, PATIENCE
            )
            found = self.seen(event, **facts)
        assert len(found) >= times, f"no {event} {facts} came:\n{self.tail()}"
        return found[times - 1]

    def seen(self, event: str, **facts: Any) -> list[dict[str, Any]]:
        """The log lines so far of this run with this event and these facts."""
        return [
            each
            for each in self.events
            if each["event"] == event and all(each.get(key) == facts[key] for key in facts)
        ]

    def settled(self, file: str, folder: str = "orders") -> Settled:
        """Await the next ending of a file of this name that was not returned before."""
        with self._changed:
            self._changed.wait_for(lambda: self._ending(file, folder) or self._ended, PATIENCE)
            ending = self._ending(file, folder)
            assert ending is not None, f"{folder}/{file} was not settled:\n{self.tail()}"
            self._told.add(id(ending))
        return self.site.settled(ending["drop"], folder)

    def wait_for_endings(self, number: int) -> None:
        """Await that so many drops are settled."""
        self.wait_for_many(_SETTLED, number)

    def wait_for_many(self, events: Sequence[str], number: int) -> None:
        """Await so many log lines with one of these events; each line is looked at once."""
        looked = found = 0
        with self._changed:
            while found < number:
                if looked == len(self.events):
                    assert self._changed.wait(PATIENCE), self.tail()
                new = self.events[looked:]
                looked += len(new)
                found += sum(each["event"] in events for each in new)

    def settled_or_ended(self, file: str, folder: str = "orders") -> bool:
        """Await that a file is settled, or that the process ends: False then."""
        with self._changed:
            self._changed.wait_for(lambda: self._ending(file, folder) or self._ended, PATIENCE)
            return self._ending(file, folder) is not None

    def _ending(self, file: str, folder: str) -> dict[str, Any] | None:
        for event in self.events:
            named = (event.get("file"), event.get("folder")) == (file, folder)
            if event["event"] in _SETTLED and named and id(event) not in self._told:
                return event
        return None

    def tail(self) -> str:
        """The last lines that it wrote."""
        return "\n".join(self.lines[-40:])

    def faults(self) -> list[str]:
        """Lines of any run that none should have: tracebacks, failed services, no JSON."""
        return [text for text in self.lines if self._is_fault(_read_line(text))]

    def _is_fault(self, event: dict[str, Any]) -> bool:
        if event["event"] in self.expected_faults:
            return False
        return "exception" in event or event["event"] in ("", "service.failed", "library.message")

    def whole_environment(self) -> dict[str, str]:
        """The environment in which it runs, and in which commands on its site run."""
        whole = {key: os.environ[key] for key in os.environ if key != "NOTIFY_SOCKET"}
        # A copy that is gone after the test can't be reported on.
        if self.package is not None or not self.covered:
            whole = {key: whole[key] for key in whole if not key.startswith("COVERAGE_")}
        if self.package is not None:
            whole["PYTHONPATH"] = str(self.package)
        return whole | self.site.environment() | self.environment

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as out:
            for text in out:
                self._take(text.rstrip("\n"))
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take(self, text: str) -> None:
        with self._changed:
            self.lines.append(text)
            self.events.append(_read_line(text))
            self._changed.notify_all()


def _read_line(text: str) -> dict[str, Any]:
    """A log line; what is none has the event ""."""
    try:
        event: dict[str, Any] = json.loads(text)
    except ValueError:
        return {"event": "", "text": text}
    return event


Launch = Callable[..., Daemon]  # the fixtures `make` and `launch` of the system tests


def sent(tenant: StrictTenant) -> list[str]:
    """The line ids, or other first cells, at the tenant in order of arrival."""
    return [row[0] for stored in tenant.stored for row in stored.rows]
