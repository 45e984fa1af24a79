import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from click.testing import Result
from made_drops import opened

from revsyncd.config import Config

Revsyncd = Callable[..., Result]


@contextmanager
def daemon(config: Config) -> Iterator[subprocess.Popen[str]]:
    """A running daemon that said that it is ready."""
    arguments = [sys.executable, "-m", "revsyncd", "run", "--config", str(config.path)]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any(json.loads(line)["event"] == "daemon.ready" for line in lines)
        try:
            yield process
        finally:
            process.kill()


def test_a_running_daemon_is_asked_and_stops_well(revsyncd: Revsyncd, config: Config) -> None:
    """It answers a word at once, `status` sees it, and SIGTERM ends it with 0."""
    with daemon(config) as process:
        paused = revsyncd("pause", "events", "--reason", "period close")
        assert (paused.exit_code, paused.stderr) == (0, "")
        data = json.loads(revsyncd("status", "--json").stdout)
        assert (data["running"], data["needs_a_person"]) == (True, ["events"])
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    data = json.loads(revsyncd("status", "--json").stdout)
    assert (data["running"], data["needs_a_person"]) == (False, ["events"])


def test_a_second_daemon(config: Config) -> None:
    """Refuses to start, naming what is in the way: 1, as everything fatal."""
    with opened(config):
        done = subprocess.run(
            [sys.executable, "-m", "revsyncd", "run", "--config", str(config.path)],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    error, step = done.stderr.splitlines()
    assert "another revsyncd" in error
    assert step.startswith("next step: ")
