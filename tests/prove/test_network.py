"""Each row of the table of the network's troubles, between the real instance and a strict tenant."""

import datetime as dt
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from audit import Held, require_clean
from bench import Bench, Log, hastened
from daemon import Daemon, Site, line, lines, table
from prove.faults_network import OUTAGES, RARELY, TROUBLES, Outages, Trouble, Verdict
from prove.front import RIGHT, At, Call, Deed, Front, Peer
from strict_tenant import StrictTenant

from revsyncd.adapters.check_process import ProcessChecker
from revsyncd.adapters.clock import SystemClock
from revsyncd.adapters.log import configure
from revsyncd.config import load
from revsyncd.core.pace import Pace
from revsyncd.first_tree import make_folders

pytestmark = pytest.mark.prove

QUICK = Pace(first=0.05, factor=1.0, most=0.05)
SMALL = lines("L1", "L2", "L3")
# More than the kernel's buffers take, so that an upload can be met in its middle.
BIG = table(line(f"B{n}", comment="c" * 2900) for n in range(1800))
FOLDER = {"upload": "file", "status_timeout": "6h"}
SETTINGS = {"connect_timeout": "5s", "read_timeout": "5s", "upload_timeout": "10s"}


@pytest.fixture(scope="module")
def certificates(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, ssl.SSLContext], Path]:
    """Of the tenant and of others, and the file with the authority that is trusted."""
    ours, long_ago = trustme.CA(), dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    found = {
        RIGHT: ours.issue_cert("localhost"),
        "another host": ours.issue_cert("another.example"),
        "expired": ours.issue_cert(
            "localhost", not_before=long_ago, not_after=long_ago + dt.timedelta(90)
        ),
        "unknown": trustme.CA().issue_cert("localhost"),
    }
    contexts = {name: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for name in found}
    for name, certificate in found.items():
        certificate.configure_cert(contexts[name])
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    ours.cert_pem.write_to_path(str(path))
    return contexts, path


@dataclass
class Between:
    """The instance, the front and the tenant behind it."""

    it: Bench
    front: Front
    tenant: StrictTenant
    site: Site

    def uploaded(self) -> list[bytes]:
        """What the tenant holds, in order of arrival."""
        return [stored.body for stored in self.tenant.stored]


Make = Callable[..., Site]


@pytest.fixture
def front(certificates: tuple[dict[str, ssl.SSLContext], Path]) -> Iterator[Front]:
    """A front with the tenant behind it; in the end nobody followed a redirect, or did worse."""
    with StrictTenant() as tenant, Front(tenant, certificates[0]) as front:
        yield front
        assert not front.followed()
        faults = [each.rule for each in tenant.violations]
        assert [rule for rule in faults if rule != "sign_in.repeated" or not front.renewals] == []


@pytest.fixture
def make(
    front: Front, certificates: tuple[dict[str, ssl.SSLContext], Path], tmp_path: Path
) -> Make:
    """A site whose tenant is the front, with these settings of `[tenant]`."""

    def made(**settings: str) -> Site:
        tenant = SETTINGS | {"ca_file": str(certificates[1])} | settings
        site = Site(tmp_path, front.tenant.introduction(), {"orders": FOLDER}, tenant)
        site.top["stage_errors"] = {"every": "1h"}
        site.prepare()
        return site

    return made


@pytest.fixture
def between(front: Front, make: Make, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The instance in this process, not yet running; audited in the end."""

    @asynccontextmanager
    async def opened(**settings: str) -> AsyncIterator[Between]:
        site = make(**settings)
        for name, value in site.environment().items():
            monkeypatch.setenv(name, value)
        config = load(site.config)
        make_folders(config)
        _patch(front, monkeypatch)
        log = Log()
        configure("debug", "json", log)  # type: ignore[arg-type]
        # The simulator is not there: nothing here asks for it.
        it = Bench(site.home, cast("Any", None), config, log)
        yield Between(it, front, front.tenant, site)
        require_clean(site.config, map(Held.of_strict, front.tenant.stored))

    return opened


def _patch(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses, a clock that the front can set, and a name that it can take away."""
    hastened(monkeypatch)
    for name in ("tenant_gate.PROBES", "tenant_gate.FOLDER_TRIES", "inbound.STEP_RETRIES"):
        monkeypatch.setattr(f"revsyncd.pipelines.{name}", QUICK)
    monkeypatch.setattr("revsyncd.adapters.token.SLOWEST", QUICK)
    # A child process for each check would cost more than all the rest of a row.
    monkeypatch.setitem(cast("Any", ProcessChecker.__init__).__kwdefaults__, "small", 1 << 30)
    monkeypatch.setattr(SystemClock, "now", lambda _: time.time() + front.shift)
    monkeypatch.setattr(SystemClock, "monotonic", lambda _: time.monotonic() + front.passed)
    resolve = socket.getaddrinfo

    def resolved(host: Any, *args: Any, **more: Any) -> Any:
        if front.nameless and host in ("localhost", b"localhost"):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return resolve(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)


def marked(rows: Iterable[Outages | Trouble]) -> list[Any]:
    """The rows as parameters."""
    rare = [pytest.mark.prove_full]
    return [pytest.param(row, marks=rare if row.fault in RARELY else []) for row in rows]


# -- connections ---------------------------------------------------------------------------------

TOLD = {Verdict.RETRIED: "tenant.unreachable", Verdict.TENANT_PAUSED: "tenant.paused"}


@pytest.mark.parametrize("late", [False, True], ids=["from the sign-in on", "from the upload on"])
@pytest.mark.parametrize("row", marked(OUTAGES), ids=lambda row: row.fault)
async def test_no_connection_can_be_made(
    row: Outages,
    late: bool,  # noqa: FBT001 (a parameter of the test)
    front: Front,
    between: Callable[..., Any],
) -> None:
    """It is told with a remedy, nothing is lost, and when the trouble ends all goes on by itself."""
    async with between(**row.settings) as this:
        front.later.append(row.outage) if late else row.outage(front)
        this.site.drop("a.csv", SMALL)
        async with this.it.running():
            told = await this.it.log.until(TOLD[row.must])
            assert told["hint"]
            assert this.uploaded() == []
            front.mend()
            await this.it.log.until("tenant.resumed")
            await this.it.log.until("drop.done", reason="staged")
        assert this.it.log.having("upload.in_doubt") == []
        assert this.uploaded() == [SMALL]


# -- calls ---------------------------------------------------------------------------------------


async def retried(this: Between, row: Trouble, content: bytes) -> None:
    """Also: at the same call, which met the trouble as often as planned."""
    await this.it.log.until("drop.done", reason="staged")
    assert len(this.front.met) == row.times
    assert len(this.front.uploads) == (1 + row.times if row.call is Call.UPLOAD else 1)


async def waits(this: Between, row: Trouble, content: bytes) -> None:
    await retried(this, row, content)
    assert this.front.uploads[-1] >= this.front.met[-1] + row.wait


async def tenant_paused(this: Between, row: Trouble, content: bytes) -> None:
    told = await this.it.log.until("tenant.paused")
    assert told["hint"]
    await this.it.log.until("tenant.resumed")
    await this.it.log.until("drop.done", reason="staged")


async def folder_paused(this: Between, row: Trouble, content: bytes) -> None:
    told = await this.it.log.until("folder.paused", folder="orders")
    assert told["hint"]
    await this.it.log.until("folder.resumed", folder="orders")
    await this.it.log.until("drop.done", reason="staged")


async def refused(this: Between, row: Trouble, content: bytes) -> None:
    told = await this.it.log.until("drop.failed", reason="refused")
    assert "Header does not match the template" in told["error"]
    assert this.uploaded() == []
    this.site.drop("again.csv", content)
    await this.it.log.until("drop.done", reason="staged", file="again.csv")


async def accepted(this: Between, row: Trouble, content: bytes) -> None:
    await this.it.log.until("drop.done", reason="staged")
    assert len(this.front.uploads) == 1
    assert this.it.log.having("drop.held") == []


async def held(this: Between, row: Trouble, content: bytes, *, reason: str) -> None:
    told = await this.it.log.until("drop.held", reason=reason)
    assert told["drop"] in told["hint"]
    assert len(this.uploaded()) == row.held


VERDICTS: dict[Verdict, Callable[[Between, Trouble, bytes], Awaitable[None]]] = {
    Verdict.RETRIED: retried,
    Verdict.WAITS: waits,
    Verdict.TENANT_PAUSED: tenant_paused,
    Verdict.FOLDER_PAUSED: folder_paused,
    Verdict.REFUSED: refused,
    Verdict.ACCEPTED: accepted,
    Verdict.IN_DOUBT: partial(held, reason="in_doubt"),
    Verdict.UNCONFIRMED: partial(held, reason="unconfirmed"),
}
HELD = (Verdict.IN_DOUBT, Verdict.UNCONFIRMED)


@pytest.mark.parametrize("row", marked(TROUBLES), ids=lambda row: row.told)
async def test_a_call_meets_trouble(
    row: Trouble, front: Front, between: Callable[..., Any]
) -> None:
    """What must come of it comes of it, and the tenant holds what the report says: once, or not."""
    early = row.call is Call.UPLOAD and row.at in (At.BEGUN, At.HALF)
    content = BIG if early else SMALL
    async with between(**row.settings) as this:
        front.tenant.knobs.turn(row.knobs)
        front.renewals = row.renews
        front.plan(row.call, row.at, row.deed, row.times)
        this.site.drop("a.csv", content)
        async with this.it.running():
            await VERDICTS[row.must](this, row, content)
        if row.must in HELD:
            await stays_held(this, row)
        else:
            assert this.it.log.having("upload.in_doubt") == []
            assert this.uploaded() == [content]


async def stays_held(this: Between, row: Trouble) -> None:
    """After a restart another drop goes its way, and the held one is as it was."""
    front = this.front
    this.site.tenant |= SETTINGS  # what was told by a time-out was told
    this.site.configure()
    this.it.config = load(this.site.config)
    this.tenant.books.expect_sign_in()
    begun = len(front.uploads)
    async with this.it.running():
        this.site.drop("later.csv", lines("L4"))
        await this.it.log.until("drop.done", reason="staged", file="later.csv")
    assert len(front.uploads) == begun + 1
    assert len(this.uploaded()) == row.held + 1
    assert this.it.report("a.csv")["outcome"] == "held"


# -- standing still ------------------------------------------------------------------------------


def stop_and_go(daemon: Daemon) -> Deed:
    """Let the process stand still; what the tenant says meanwhile lies there when it goes on."""

    def deed(peer: Peer) -> None:
        daemon.send(signal.SIGSTOP)
        if peer.answer:
            peer.send(peer.answer)
        time.sleep(1.6)  # longer than every time-out: that is the trouble itself
        daemon.send(signal.SIGCONT)

    return deed


@pytest.mark.parametrize("at", [At.HALF, At.STORED])
def test_stopped_for_longer_than_every_time_out(at: At, front: Front, make: Make) -> None:
    """A process that stood still finds its time-outs over: it may doubt, it never sends twice."""
    after = "1s" if at is At.STORED else "10s"
    site = make(connect_timeout="1s", read_timeout="1s", upload_timeout=after)
    content = BIG if at is At.HALF else SMALL
    daemon = Daemon(site, front.tenant)
    front.plan(Call.UPLOAD, at, stop_and_go(daemon))
    try:
        daemon.start()
        site.drop("a.csv", content)
        ended = daemon.settled("a.csv")
    finally:
        daemon.end()
    possible = {("done", "staged")} | ({("held", "in_doubt")} if at is At.STORED else set())
    assert ended.ending in possible
    assert [stored.body for stored in front.tenant.stored] == [content]
    assert daemon.faults() == []
