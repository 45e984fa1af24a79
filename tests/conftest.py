"""Fixtures of the independent counterparts: a strict tenant and a real SFTP server."""

from collections.abc import Iterator

import pytest
from sftp_server import SftpServer, skip_unless_sshd_can_run
from strict_tenant import StrictTenant


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
