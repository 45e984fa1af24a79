"""A daemon on a site of its own in front of a strict tenant; what no run may do is checked after it."""

import base64
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from audit import Held, require_clean
from daemon import Daemon, Launch, Site
from sftp_host import SftpHost, sftp_host
from strict_books import BASIC, CLIENT_SECRET, PASSWORD
from strict_tenant import StrictTenant
from wire import Wire


@pytest.fixture
def tenant(request: pytest.FixtureRequest) -> Iterator[StrictTenant]:
    """A strict tenant that must have nothing to complain of in the end; the parameter is `auth`."""
    with StrictTenant(auth=getattr(request, "param", "token")) as tenant:
        yield tenant
        assert tenant.violations == []
        assert tenant.most_uploads_at_once <= 2


@pytest.fixture
def wire(tenant: StrictTenant) -> Iterator[Wire]:
    """A wire to the tenant that can be cut; the daemon is led over it."""
    with Wire(tenant) as wire:
        yield wire


@pytest.fixture
def make(tenant: StrictTenant, tmp_path: Path) -> Iterator[Launch]:
    """A daemon, not yet started, with these folders, each a table of `[templates.*]`; else "orders"."""
    with ExitStack() as stack:

        def made(folders: dict[str, Any] | None = None, **settings: Any) -> Daemon:
            site = Site(tmp_path, tenant.introduction(), folders or {"orders": {}}, **settings)
            site.prepare()
            daemon = Daemon(site, tenant)
            stack.callback(nothing_ill, daemon, tenant)
            stack.callback(daemon.end)
            return daemon

        yield made


@pytest.fixture
def launch(make: Launch) -> Launch:
    """The same, started and ready."""

    def launched(folders: dict[str, Any] | None = None, **settings: Any) -> Daemon:
        return make(folders, **settings).start()

    return launched


def nothing_ill(daemon: Daemon, tenant: StrictTenant) -> None:
    """No fault in the log, no secret in any line or file of the site, no broken promise."""
    assert daemon.faults() == []
    assert leaks(daemon, tenant) == []
    require_clean(daemon.site.config, map(Held.of_strict, tenant.stored))


def leaks(daemon: Daemon, tenant: StrictTenant) -> list[str]:
    """Where a password, a token or a signature can be read: names of files, or "log"."""
    tokens = [*tenant.books._tokens, *tenant.books._ended]
    signatures = tenant.books.journal._signatures
    secrets = [BASIC, PASSWORD, CLIENT_SECRET, *tokens, *signatures]
    forms = [form for s in secrets for form in (s.encode(), base64.b64encode(s.encode()))]
    found = {"log": "\n".join(daemon.lines).encode()}
    for place, _, names in os.walk(daemon.site.home):
        files = [Path(place, name) for name in names]
        found |= {str(path): path.read_bytes() for path in files if path.is_file()}
    return [name for name, content in found.items() if any(form in content for form in forms)]


@pytest.fixture(scope="session")
def host() -> Iterator[SftpHost]:
    """A host as docs/sftp.md describes it, with its accounts; each daemon finds a new instance on it."""
    with sftp_host() as host:
        yield host
