"""The listener of the real daemon: kills, clients that hold on, and the same words as the command."""

import json
import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import httpx
from daemon import PATIENCE, Daemon, Launch, lines
from prometheus_client.parser import text_string_to_metric_families as parsed


def get(daemon: Daemon, path: str) -> httpx.Response:
    """Ask where the daemon says that it listens."""
    address = str(daemon.wait_for("http.listening")["address"])
    unix = address.removeprefix("unix:") if address.startswith("unix:") else None
    base = "http://localhost" if unix else f"http://{address}"
    with httpx.Client(transport=httpx.HTTPTransport(uds=unix), timeout=PATIENCE) as client:
        return client.get(base + path)


def test_a_port_of_the_real_daemon(launch: Launch) -> None:
    """Drops are settled and counted while clients hold on to the listener; it stops in order all the same."""
    daemon = launch(top={"http": {"listen": "127.0.0.1:0"}})
    host, _, port = str(daemon.wait_for("http.listening")["address"]).rpartition(":")
    with ExitStack() as stack:
        for _ in range(40):  # more than there are places
            client = stack.enter_context(socket.create_connection((host, int(port))))
            client.sendall(b"GET /metrics HTTP/1.1\r\nX-Slow: ")
        daemon.site.drop("a.csv", lines("L1", "L2"))
        assert daemon.settled("a.csv").ending == ("done", "staged")
        answer = get(daemon, "/metrics")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        found = {s.name: s.value for f in parsed(answer.text) for s in f.samples}
        assert found["revsyncd_records_total"] == 2
        assert get(daemon, "/readyz").text == "ready\n"
        said = get(daemon, "/api/status").json()
        command = json.loads(daemon.command("status", "--json").stdout)
        assert {**said, "at": ""} == {**command, "at": ""}
        assert "a.csv" in get(daemon, "/").text
        assert daemon.stop() == 0


def test_a_unix_socket_outlives_a_kill_but_not_a_stop(make: Launch, tmp_path: Path) -> None:
    """What a killed daemon left is replaced at the next start; SIGHUP with another mode takes it in force."""
    path = tmp_path / "http.sock"
    daemon = make(top={"http": {"listen": f"unix:{path}"}}).start()
    assert get(daemon, "/healthz").text == "alive\n"
    daemon.kill()
    assert path.is_socket()
    daemon.restart()
    assert get(daemon, "/healthz").text == "alive\n"
    daemon.site.top["http"]["socket_mode"] = "0600"
    daemon.site.configure()
    daemon.send(signal.SIGHUP)
    daemon.wait_for("http.listening", times=2)
    assert path.stat().st_mode & 0o777 == 0o600
    assert daemon.stop() == 0
    assert not path.exists()
