"""The listener of a whole instance, asked over real sockets."""

import json
import re
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import httpx
import pytest
from bench import PATIENCE, Bench, bench, folder
from prometheus_client.parser import text_string_to_metric_families as parsed

from revsyncd import simulator
from revsyncd.adapters import log
from revsyncd.adapters.clock import SystemClock
from revsyncd.adapters.ledger import Ledger
from revsyncd.adapters.log import configure, get_logger, hear
from revsyncd.core.errors import RevsyncdError
from revsyncd.core.metrics import METRICS, PREFIX, Sort
from revsyncd.pipelines import readings
from revsyncd.pipelines.conditions import PAUSED, SERVICE_FAILED
from revsyncd.pipelines.overview import overview

ALERTS = Path(__file__).parents[1] / "config" / "prometheus-alerts.yml"
ANY_PORT = '[http]\nlisten = "127.0.0.1:0"\n'
PATHS = ("/", "/healthz", "/readyz", "/metrics", "/api/status")
TOKEN = "canary-of-the-listener"
Start = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """`start(section)`: a bench with this [http], not running yet."""
    # A reload, too, leaves the log with the bench.
    monkeypatch.setattr("revsyncd.assemble.configure", lambda *_: None)

    def started(section: str = ANY_PORT, **settings: str) -> AbstractAsyncContextManager[Bench]:
        return bench(tmp_path, monkeypatch, gl=section, **settings)  # type: ignore[arg-type]

    return started


class Visitor:
    """Asks the listener of a bench where its last log line says that it is."""

    def __init__(self, it: Bench, **headers: str) -> None:
        self._it = it
        self._headers = headers

    async def get(self, path: str, method: str = "GET") -> httpx.Response:
        address = self._it.log.having("http.listening")[-1]["address"]
        unix = address.removeprefix("unix:") if address.startswith("unix:") else None
        base = "http://localhost" if unix else f"http://{address}"
        transport = httpx.AsyncHTTPTransport(uds=unix)
        async with httpx.AsyncClient(transport=transport, timeout=PATIENCE) as client:
            return await client.request(method, base + path, headers=self._headers)

    async def metrics(self) -> dict[tuple[str, ...], float]:
        """Name (without the prefix) and values of the labels, in the order of their names."""
        answer = await self.get("/metrics")
        assert answer.status_code == 200, answer.text
        return {
            (s.name.removeprefix(PREFIX), *(s.labels[name] for name in sorted(s.labels))): s.value
            for family in parsed(answer.text)
            for s in family.samples
        }


async def visitor(it: Bench, times: int = 1, **headers: str) -> Visitor:
    """One that asks when the listener listens."""
    await it.log.until("http.listening", times)
    return Visitor(it, **headers)


async def change(it: Bench, old: str, new: str) -> None:
    """Change the configuration's text, and let the running daemon take it as at SIGHUP."""
    text = it.config.path.read_text()
    assert old in text
    it.config.path.write_text(text.replace(old, new))
    await it.daemon._reload(it.tasks)


# -- what is answered ------------------------------------------------------------------------------


async def test_the_metrics_are_those_of_what_happened(start: Start) -> None:
    """One done, one failed, one held; uploads, records and the state of the tenant beside them."""
    async with start() as it, it.running():
        asks = await visitor(it)
        it.drop("a.csv", it.content(["A1", "A2", "A3"]))
        await it.log.until("drop.done")
        it.drop("bad.csv", b"nonsense\r\n1\r\n")
        await it.log.until("drop.failed")
        it.drop("twice.csv", it.content(["A1", "A2", "A3"]))
        await it.log.until("drop.held")
        found = await asks.metrics()
    assert found["drops_total", "orders", "done", "staged"] == 1
    assert found["drops_total", "orders", "failed", "invalid"] == 1
    assert found["drops_total", "orders", "held", "duplicate"] == 1
    assert found["drops_total", "orders", "held", "in_doubt"] == 0
    assert found["drop_seconds_count", "orders"] == 3
    assert found["records_total", "orders"] == 3
    assert found["uploads_total", "accepted"] == 1
    assert found["upload_seconds_count",] == 1
    assert found["uploads_in_flight",] == 0
    assert found["open_drops", "orders", "held"] == 1
    assert found["open_drops", "orders", "waiting"] == 0
    assert found["oldest_open_drop_seconds", "orders"] == 0
    assert found["stage_errors_open", "orders"] == 0
    assert found["tenant_up",] == 1
    assert found["token_expires_timestamp_seconds",] > SystemClock().now()
    assert found["service_restarts_total", "inbound"] == 0
    assert found["process_resident_memory_bytes",] > 0


async def test_what_is_open_is_measured(start: Start) -> None:
    """A drop that waits for its marker counts as waiting, with its age; one in work by its state."""
    keys = 'ready = "marker"\nreview = true'
    settings = simulator.Settings(staging_delay=3600.0)
    async with start(folders=folder(keys=keys), settings=settings) as it, it.running():
        asks = await visitor(it)
        it.drop("a.csv", it.content(["A1"]))
        await it.log.until("drop.seen")
        await it.daemon._status_files.refresh()
        found = await asks.metrics()
        assert found["open_drops", "orders", "waiting"] == 1
        assert found["oldest_open_drop_seconds", "orders"] > 0
        it.drop("a.csv.ok", b"")
        await it.log.until("upload.accepted")
        found = await asks.metrics()
        assert found["open_drops", "orders", "waiting"] == 0
        # The line is written before the drop has moved on.
        assert (
            found["open_drops", "orders", "sending"] + found["open_drops", "orders", "accepted"]
            == 1
        )
        assert found["oldest_open_drop_seconds", "orders"] > 0
        page = (await asks.get("/")).text
        assert "<td>a.csv</td>" in page


async def test_metrics_have_exactly_their_names_and_labels(start: Start) -> None:
    """The table in the code is what is exposed; beside it stand only the usual process_*."""
    async with start() as it, it.running():
        asks = await visitor(it)
        it.drop("a.csv", it.content(["A1"]))
        await it.log.until("drop.done")
        await it.instance.conditions.begin(PAUSED, message="m")
        text = (await asks.get("/metrics")).text
    families = {family.name: family for family in parsed(text)}
    ours = {name for name in families if not name.startswith("process_")}
    assert ours == {
        (PREFIX + m.name).removesuffix("_total" if m.sort is Sort.COUNTER else "") for m in METRICS
    }
    for metric in METRICS:
        family = families[
            (PREFIX + metric.name).removesuffix("_total" if metric.sort is Sort.COUNTER else "")
        ]
        assert family.type == metric.sort
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == set(metric.labels)


async def test_the_alerts_speak_of_metrics_that_are_there(start: Start) -> None:
    """Each metric in an expression is exposed; each label that it is asked for has that value."""
    expressions = re.findall(r"(?m)^ +expr: (.+)$", ALERTS.read_text())
    assert len(expressions) == ALERTS.read_text().count("- alert: ")
    named = re.findall(rf"({PREFIX}\w+)(?:\{{(\w+)(=~?)\"([^\"]+)\"\}})?", " ".join(expressions))
    async with start() as it, it.running():
        asks = await visitor(it)
        await it.instance.conditions.begin(SERVICE_FAILED, "x", message="m")
        text = (await asks.get("/metrics")).text
    exposed = [sample for family in parsed(text) for sample in family.samples]
    for name, label, how, value in named:
        if how == "" or name == f"{PREFIX}conditions":
            assert f"# TYPE {name} " in text, name
        else:
            assert any(s.name == name and s.labels[label] == value for s in exposed), (name, value)


async def test_the_status_is_that_of_the_command(start: Start) -> None:
    """Field by field what `revsyncd status --json` says beside a running daemon."""
    async with start() as it, it.running():
        asks = await visitor(it)
        it.drop("bad.csv", b"nonsense\r\n1\r\n")
        await it.log.until("drop.failed")
        answer = await asks.get("/api/status")
        clock = SystemClock()
        with Ledger.read(it.config.state_dir, clock.now) as ledger:
            command = overview(it.config, ledger, running=True, now=clock.now())
    assert answer.headers["content-type"] == "application/json"
    said = json.loads(answer.text)
    assert {**said, "at": ""} == {**command, "at": ""}
    assert said["settled"][0]["reason"] == "invalid"


async def test_hostile_names_come_to_no_harm(start: Start) -> None:
    """A file may be called anything: on the page it is text, in JSON a string, in metrics nothing."""
    name = "<script>alert(1)<b>\"'&\n\x1b[31m\u202e\udcff.csv"
    async with start() as it, it.running():
        asks = await visitor(it)
        it.drop(name, b"nonsense\r\n1\r\n")
        await it.log.until("drop.failed")
        page = await asks.get("/")
        status = await asks.get("/api/status")
        found = await asks.metrics()
    assert "<script" not in page.text
    assert "&lt;script&gt;alert(1)&lt;b&gt;&quot;&#x27;&amp;\\n\\u001b[31m" in page.text
    assert all(c.isprintable() or c == "\n" for c in page.text)
    assert status.json()["settled"][0]["file"].startswith("<script>alert(1)<b>\"'&\\n\\u001b")
    assert found["drops_total", "orders", "failed", "invalid"] == 1
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


async def test_nothing_can_be_done_here(start: Start) -> None:
    """Whatever the path, only GET and HEAD are answered."""
    async with start() as it, it.running():
        asks = await visitor(it)
        for path in PATHS:
            answer = await asks.get(path, "POST")
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
        assert [(await asks.get(path, "HEAD")).status_code for path in PATHS] == [200] * 5


async def test_other_paths_are_not_there(start: Start) -> None:
    """Neither files, nor what is nearly right."""
    async with start() as it, it.running():
        asks = await visitor(it)
        for path in ("/metrics/", "/favicon.ico", "//", "/%2e%2e/etc/passwd", "/api"):
            assert (await asks.get(path)).status_code == 404


# -- alive and ready -------------------------------------------------------------------------------


async def test_a_condition_is_a_reason_not_to_be_ready(start: Start) -> None:
    """With what to do, as long as it holds; what a person wants is none."""
    async with start() as it, it.running():
        asks = await visitor(it)
        conditions = it.instance.conditions
        await conditions.begin(PAUSED, "orders", message="close of October")
        assert (await asks.get("/readyz")).text == "ready\n"
        await conditions.begin(SERVICE_FAILED, "x", message="no space\nleft", hint="Free some.")
        answer = await asks.get("/readyz")
        assert answer.status_code == 503
        assert answer.text == "service.failed x: no space left. Next step: Free some.\n"
        assert (await asks.get("/healthz")).status_code == 200
        assert "service.failed x: no space left." in (await asks.get("/")).text
        await conditions.end(SERVICE_FAILED, "x")
        assert (await asks.get("/readyz")).status_code == 200
        it.instance.stopping = True
        assert (await asks.get("/readyz")).text == "stopping\n"


async def test_it_is_not_alive_without_signs_of_life(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nobody has shown progress for too long, both say so."""
    async with start() as it, it.running():
        asks = await visitor(it)
        monkeypatch.setattr("revsyncd.pipelines.pulse.LONGEST", -1.0)
        for path in ("/healthz", "/readyz"):
            answer = await asks.get(path)
            assert answer.status_code == 503
            assert re.search(r"(?m)^the ledger has shown no progress for \d+ s$", answer.text)


async def test_a_busy_ledger_holds_up_no_answer(start: Start) -> None:
    """While the one thread of the ledger is stuck, everything is read beside it."""
    async with start() as it, it.running(), anyio.create_task_group() as tasks:
        asks = await visitor(it)
        go_on = threading.Event()
        tasks.start_soon(it.instance.ledger.run, go_on.wait)
        try:
            assert [(await asks.get(path)).status_code for path in PATHS] == [200] * 5
        finally:
            go_on.set()


async def test_a_reading_that_takes_too_long_is_given_up(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asked is told; health is answered all the same, and afterwards all is as before."""
    go_on = threading.Event()
    monkeypatch.setattr(readings, "PATIENCE", 0.2)
    async with start() as it, it.running():
        asks = await visitor(it)
        original = Ledger.read

        def stuck(*_: object) -> object:
            go_on.wait(PATIENCE)
            raise TimeoutError

        monkeypatch.setattr(Ledger, "read", stuck)
        for path in ("/metrics", "/", "/api/status"):
            answer = await asks.get(path)
            assert answer.status_code == 503
            assert "the ledger can't be read now" in answer.text
        assert (await asks.get("/healthz")).status_code == 200
        go_on.set()

        def gone(*_: object) -> object:
            raise RevsyncdError("there is no ledger")

        monkeypatch.setattr(readings, "PATIENCE", PATIENCE)
        monkeypatch.setattr(Ledger, "read", gone)
        assert "there is no ledger" in (await asks.get("/metrics")).text
        assert it.log.having("service.traceback") == []
        monkeypatch.setattr(Ledger, "read", original)
        assert (await asks.get("/metrics")).status_code == 200


# -- what is counted -------------------------------------------------------------------------------


async def test_a_held_drop_whose_report_is_written_again_counts_once(start: Start) -> None:
    """The log says that it is filed again; it lies where it lay."""
    async with start() as it, it.running():
        asks = await visitor(it)
        for name in ("a.csv", "twice.csv"):
            it.drop(name, it.content(["A1"]))
            await it.log.until("drop.done")
        held = await it.log.until("drop.held")
        assert "again" not in held
        register = it.instance.register
        async with register.locked(held["drop"]):
            await register.note(held["drop"], filed=False)
        assert (await it.log.until("drop.held", 2))["again"] is True
        found = await asks.metrics()
        assert found["drops_total", "orders", "held", "duplicate"] == 1
        await it.ask("reject", held["drop"])
        await it.log.until("drop.failed")
        found = await asks.metrics()
        assert found["drops_total", "orders", "failed", "resolved"] == 1
        assert found["open_drops", "orders", "held"] == 0


async def test_what_is_not_logged_is_counted(start: Start) -> None:
    """At level "error" the log is silent, and the counters go on."""
    done = anyio.Event()
    end = hear(lambda event, _: done.set() if event == "drop.done" else None)
    async with start() as it, it.running():
        asks = await visitor(it)
        configure("error", "json", it.log)  # type: ignore[arg-type]
        it.drop("a.csv", it.content(["A1"]))
        with anyio.fail_after(PATIENCE):
            await done.wait()
        assert (await asks.metrics())["drops_total", "orders", "done", "staged"] == 1
        assert it.log.having("drop.done") == []
    end()


# -- who may ask -----------------------------------------------------------------------------------


async def test_a_page_of_somebody_else_reads_nothing(start: Start) -> None:
    """A name that leads to loopback but is not its own is refused, whatever is asked for."""
    async with start() as it, it.running():
        stranger = await visitor(it, Host="rebound.example")
        for path in (*PATHS, "/nowhere"):
            answer = await stranger.get(path)
            assert answer.status_code == 421
            assert "orders" not in answer.text


async def test_a_token_is_asked_for_and_taken_anew_at_a_reload(
    start: Start, tmp_path: Path
) -> None:
    """Without it there is no answer at all; a reload takes the one that is there then."""
    secret = tmp_path / "token"
    secret.write_text(f"{TOKEN}\n")
    secret.chmod(0o600)
    section = f'[http]\nlisten = "0.0.0.0:0"\ntoken = "file:{secret}"\n'
    async with start(section) as it, it.running():
        asks = await visitor(it, Authorization=f"Bearer {TOKEN}")
        assert [(await asks.get(path)).status_code for path in PATHS] == [200] * 5
        nobody = await visitor(it)
        for path in (*PATHS, "/nowhere"):
            assert (await nobody.get(path)).status_code == 401
        secret.write_text("another")
        await change(it, "settle_time", "review = true\nsettle_time")
        renewed = await visitor(it, 2, Authorization="Bearer another")
        assert (await renewed.get("/readyz")).status_code == 200
        assert (await asks.get("/readyz")).status_code == 401
        get_logger().info("library.message", message=f"token {TOKEN}, then another")
        assert TOKEN not in json.dumps(it.log.lines)
        assert it.log.having("library.message", message="token ***, then ***")


async def test_no_secret_is_ever_answered(start: Start, tmp_path: Path) -> None:
    """Neither the tenant's, nor a token, nor the listener's own stands in any answer."""
    async with start(f'{ANY_PORT}token = "env:BENCH_LISTENER"\n') as it:
        pytest.MonkeyPatch().setenv("BENCH_LISTENER", TOKEN)
        async with it.running():
            asks = await visitor(it, Authorization=f"Bearer {TOKEN}")
            it.drop("a.csv", it.content(["A1"]))
            await it.log.until("drop.done")
            said = "".join([(await asks.get(path)).text for path in PATHS])
    api = it.daemon._link._api.tokens.current
    assert api is not None
    for secret in (TOKEN, it.tenant.info["password"], it.tenant.info["username"], api.header_value):
        assert secret not in said


# -- where it listens ------------------------------------------------------------------------------


async def test_a_unix_socket(start: Start, tmp_path: Path) -> None:
    """With its mode, and gone when the daemon is."""
    path = tmp_path / "http.sock"
    section = f'[http]\nlisten = "unix:{path}"\nsocket_mode = "0600"\n'
    async with start(section) as it:
        async with it.running():
            asks = await visitor(it)
            assert [(await asks.get(name)).status_code for name in PATHS] == [200] * 5
            assert path.stat().st_mode & 0o777 == 0o600
        assert not path.exists()


async def test_the_daemon_works_on_when_it_cant_listen(start: Start, tmp_path: Path) -> None:
    """A place that is taken is told with what to do, and tried again; drops go on."""
    (tmp_path / "http.sock").write_text("precious")
    async with start(f'[http]\nlisten = "unix:{tmp_path}/http.sock"\n') as it, it.running():
        failed = await it.log.until("service.failed", service="http")
        assert "no socket is in its place" in failed["error"]
        assert failed["hint"]
        it.drop("a.csv", it.content(["A1"]))
        await it.log.until("drop.done")
        (tmp_path / "http.sock").unlink()
        asks = await visitor(it)
        assert (await asks.metrics())["service_restarts_total", "http"] >= 1


async def test_a_token_that_cant_be_read_opens_no_door(start: Start) -> None:
    """Nothing listens without the token that was asked for."""
    section = '[http]\nlisten = "0.0.0.0:0"\ntoken = "env:NOT_SET_ANYWHERE"\n'
    async with start(section) as it, it.running():
        failed = await it.log.until("service.failed", service="http")
        assert "env:NOT_SET_ANYWHERE" in failed["error"]
        assert it.log.having("http.listening") == []


async def test_a_reload_opens_moves_and_closes_it(start: Start, tmp_path: Path) -> None:
    """Counters go on from where they first began; what does not concern it does not touch it."""
    async with start("[http]\nenabled = false\n") as it, it.running():
        await change(it, "enabled = false", 'listen = "127.0.0.1:0"')
        asks = await visitor(it)
        it.drop("a.csv", it.content(["A1"]))
        await it.log.until("drop.done")
        await change(it, "settle_time", "review = true\nsettle_time")
        assert len(it.log.having("http.listening")) == 1
        assert (await asks.get("/healthz")).status_code == 200
        await change(it, "127.0.0.1:0", f"unix:{tmp_path}/http.sock")
        asks = await visitor(it, 2)
        assert (await asks.metrics())["drops_total", "orders", "done", "staged"] == 1
        await change(it, "[http]", "[http]\nenabled = false")
        assert not (tmp_path / "http.sock").exists()
        assert "http" not in it.daemon._supervisor.services
    assert log._HEARERS == []
