"""What the tenant says: sign-in, the mapping of every folder, batches, its clock; or why it says nothing."""

import socket
from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlsplit

from anyio import to_thread

from revsyncd.checkup import columns
from revsyncd.checkup.findings import Finding, found
from revsyncd.checkup.secret_places import as_the_unit, only_under_the_unit
from revsyncd.checkup.service import Service
from revsyncd.config import Config, Folder
from revsyncd.core.errors import (
    Forbidden,
    NotEnabled,
    NotTrusted,
    Redirected,
    SignInRefused,
    TenantError,
    TenantUnusable,
    Unreachable,
)
from revsyncd.ports import Journal, Tenant

FAR_OFF = 60.0  # seconds between two clocks; the tenant's Date is whole seconds
_PORTS = {"http": 80, "https": 443}

_CODES: tuple[tuple[type[TenantError], str], ...] = (
    (SignInRefused, "tenant.sign_in"),
    (NotEnabled, "tenant.not_enabled"),
    (Redirected, "tenant.redirected"),
    (NotTrusted, "tenant.tls"),
    (Unreachable, "tenant.unreachable"),
    (TenantError, "tenant.refused"),
)


def _unheard() -> float | None:
    """The clock of a tenant of which nothing is known."""
    return None


async def look_online(
    config: Config,
    tenant: Tenant,
    journal: Journal,
    clock_off: Callable[[], float | None] = _unheard,
) -> list[Finding]:
    """Sign in, fetch the mapping of every folder that takes the tenant's, and list batches for `[gl]`.

    `clock_off` gives the seconds that our clock is ahead of the tenant's, once it has answered.
    """
    service = Service.of(config)
    if only_under_the_unit(config):
        told = "the tenant was not asked: there is no $CREDENTIALS_DIRECTORY"
        return [found("tenant.not_asked", "tenant", told, command=as_the_unit(config, service))]
    findings = await _asked(config, tenant, journal, service)
    return [*findings, *_clock(clock_off())]


async def _asked(
    config: Config, tenant: Tenant, journal: Journal, service: Service
) -> list[Finding]:
    findings: list[Finding] = []
    fetching = [folder for folder in config.folders if folder.mapping is None]
    try:
        if not fetching:
            await tenant.probe()
        for folder in fetching:
            findings += await _template(folder, tenant, service)
        if config.gl.enabled:
            findings.append(await _batches(journal))
    except TenantError as error:
        return [*findings, await _failed(config, error, service)]
    return [Finding("tenant", f"signed in at {config.tenant.base_url}"), *findings]


async def _template(folder: Folder, tenant: Tenant, service: Service) -> list[Finding]:
    """One folder's mapping; what is refused for its template says nothing about the others."""
    subject = f"templates.{folder.name}"
    try:
        mapping = await tenant.mapping(folder.template_name)
    except Forbidden as error:
        return [found("template.unknown", subject, error.message, unit=service.unit)]
    told = f'"{folder.template_name}" has {len(mapping.columns)} columns'
    return [Finding(subject, told), *columns.against(folder, mapping)]


async def _batches(journal: Journal) -> Finding:
    """Whether the role may list batches; what is refused there says nothing about uploads."""
    try:
        rows = await journal.listed()
    except Forbidden as error:
        return found("gl.refused", "gl", f"batches can't be listed: {error.message}")
    except TenantUnusable as error:
        told = f"batches can't be listed: {error.message}"
        return found("tenant.refused", "gl", told, hint=error.hint)
    ready = sum(row.ready for row in rows)
    return Finding("gl", f"batches can be listed; ready to transfer: {ready}")


async def _failed(config: Config, error: TenantError, service: Service) -> Finding:
    """Why the tenant could not be asked, with a command that shows it."""
    proxy = config.tenant.proxy or ""
    silence = await to_thread.run_sync(_silent, proxy) if proxy else ""
    facts = {**_address(config.tenant.base_url), "unit": service.unit, "hint": error.hint}
    if proxy and isinstance(error, Unreachable):
        why = f"can't be reached ({silence})" if silence else "lets nothing through"
        told = f"the proxy {proxy} {why}: {error.message}"
        return found("tenant.proxy", "tenant.proxy", told, proxy=proxy, **facts)
    code = next(code for kind, code in _CODES if isinstance(error, kind))
    return found(code, "tenant", error.message, **facts)


def _address(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return {"url": url, "host": host, "address": f"{host}:{_port(url)}"}


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or _PORTS.get(parts.scheme, 443)


def _silent(url: str) -> str:
    """Why nobody answers at a proxy's address; empty where somebody does."""
    try:
        with closing(socket.create_connection((urlsplit(url).hostname, _port(url)), timeout=5)):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _clock(off: float | None) -> list[Finding]:
    if off is None:
        return []
    told = (
        f"this host's clock is {abs(off):,.0f} s {'ahead of' if off > 0 else 'behind'} the tenant's"
    )
    if abs(off) < FAR_OFF:
        return [Finding("clock", "it agrees with the tenant's")]
    return [found("clock.off", "clock", told)]
