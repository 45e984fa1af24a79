"""Fixtures of the independent counterparts: a strict tenant and a real SFTP server."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import canaries
import pytest
from hypothesis import settings
from sftp_server import SftpServer, skip_unless_sshd_can_run
from strict_tenant import StrictTenant

from revsyncd.adapters import log

pytest_plugins = ["prove.counting"]

# How long an example takes says something about the machine's load, and nothing about the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def unconfigured_log() -> Iterator[None]:
    """Whatever a test makes of the log, the next finds it as a command does: errors, to stderr."""
    yield
    log._configure("error", json_lines=False, stream=lambda: sys.stderr)


@pytest.fixture(scope="session", autouse=True)
def no_secret_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """After the last test: no password, token or signed address stands in any file that tests left."""
    yield
    assert list(canaries.found(tmp_path_factory.getbasetemp())) == []


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What was brought to disk since: the paths, in order."""
    paths: list[Path] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        fsync(descriptor)
        paths.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(os, "fsync", noting)
    return paths


@pytest.fixture
def strict_tenant() -> Iterator[StrictTenant]:
    """A strict tenant with token sign-in, served from a thread."""
    with StrictTenant() as tenant:
        yield tenant


@pytest.fixture
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    """An sshd on loopback that the current user may write through; skips where there is none."""
    sshd = skip_unless_sshd_can_run()
    with SftpServer(sshd, tmp_path_factory.mktemp("sshd")) as server:
        yield server


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where everything is installed a skip is a failure: it would hide one."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter is not None else []
    if skipped and os.environ.get("REVSYNCD_TEST_NO_SKIPS") and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
