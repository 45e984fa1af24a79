"""The tenant as configured now: the API's client, replaced whole when the configuration is reloaded.

An upload that is on its way keeps the client with which it began.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import anyio

from revsyncd.adapters.clock import SystemClock
from revsyncd.adapters.log import get_logger, redact
from revsyncd.adapters.revenue_api import (
    ApiSettings,
    Hooks,
    OneIdCredentials,
    RevenueApi,
    TokenCredentials,
    connect,
)
from revsyncd.config import Config, SecretRef, resolve
from revsyncd.core.answer_words import AnswerWords
from revsyncd.core.batch import Listed
from revsyncd.core.errors import ConfigError, SignInRefused
from revsyncd.core.report import utc
from revsyncd.core.template import Kind, Mapping
from revsyncd.core.verdict import Judgement, Route, StatusReading
from revsyncd.pipelines.register import Wake
from revsyncd.ports import Clock, Download, Release, StageErrorRow, Upload

log = get_logger()


class TenantLink:
    """Implements `ports.Tenant` and `ports.Journal` by the client of the moment."""

    def __init__(self, config: Config, clock: Clock) -> None:
        """Call nobody yet. Raises ConfigError when `ca_file` can't be used."""
        self._clock = clock
        self._replaced = Wake()
        self._old: list[RevenueApi] = []
        self.token_expires: float | None = None  # seconds since the epoch
        self.changed = Wake()  # nudged when there is a new token
        self._api = self.connect(config)

    @classmethod
    @asynccontextmanager
    async def to(cls, config: Config, clock: Clock) -> AsyncIterator[Self]:
        """A link whose connections are closed at the end."""
        link = cls(config, clock)
        try:
            yield link
        finally:
            for api in (*link._old, link._api):
                await api.aclose()

    def renew(self, api: RevenueApi) -> None:
        """Use another client, that `connect` made, from the next call on."""
        self._old.append(self._api)
        self._api = api
        self._lost()
        self._replaced.nudge()

    def retry_now(self) -> None:
        """Sign in at the next call, however lately that was refused."""
        self._api.tokens.retry_now()

    @property
    def clock_off(self) -> float | None:
        """Seconds that our clock is ahead of the tenant's; None as long as it has not said."""
        return self._api.clock_off

    async def keep_token(self) -> None:
        """The service that renews the token ahead, of whichever client is in use."""
        while True:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._api.tokens.run)
                await self._replaced.wait()
                tasks.cancel_scope.cancel()

    async def mapping(self, template_name: str) -> Mapping:
        """See `ports.Tenant`."""
        return await self._api.mapping(template_name)

    async def upload(self, upload: Upload, release: Release) -> Judgement:
        """See `ports.Tenant`."""
        return await self._api.upload(upload, release)

    async def status(self, route: Route, request_id: int | str, records: int) -> StatusReading:
        """See `ports.Tenant`."""
        return await self._api.status(route, request_id, records)

    async def stage_errors(self, kind: Kind) -> list[StageErrorRow]:
        """See `ports.Tenant`."""
        return await self._api.stage_errors(kind)

    async def probe(self) -> None:
        """See `ports.Tenant`."""
        await self._api.probe()

    async def listed(self) -> list[Listed]:
        """See `ports.Journal`."""
        return await self._api.journal.listed()

    async def download(self, source: str, batch: Listed, path: Path, most: int) -> Download:
        """See `ports.Journal`."""
        return await self._api.journal.download(source, batch, path, most)

    async def confirm(self, batch: str) -> None:
        """See `ports.Journal`."""
        await self._api.journal.confirm(batch)

    def connect(self, config: Config) -> RevenueApi:
        """A client for a configuration, not in use yet. Raises ConfigError."""
        answers = config.tenant.answers
        words = AnswerWords.of(answers.staged, answers.refused, answers.doubt)
        hooks = Hooks(self._renewed, _refused, redact, self._lost)
        return connect(settings(config), credentials(config), words, self._clock, hooks)

    def _renewed(self, expires: float) -> None:
        log.info("token.renewed", expires=utc(expires))
        self.token_expires = expires
        self.changed.nudge()

    def _lost(self) -> None:
        self.token_expires = None
        self.changed.nudge()


def _refused(error: SignInRefused) -> None:
    log.warning("token.refused", error=error.message, hint=error.hint)


def settings(config: Config) -> ApiSettings:
    """What the API's client is told of the configuration."""
    tenant = config.tenant
    first = config.folders[0].template_name if config.folders else ""
    return ApiSettings(
        base_url=tenant.base_url,
        connect_timeout=tenant.connect_timeout,
        read_timeout=tenant.read_timeout,
        upload_timeout=tenant.upload_timeout,
        proxy=tenant.proxy or "",
        ca_file=str(tenant.ca_file or ""),
        probe_template=first,
    )


def credentials(config: Config) -> TokenCredentials | OneIdCredentials:
    """Where the secrets of the chosen `auth` come from, each time they are needed."""
    tenant, refs = config.tenant, config.tenant.secrets()
    if tenant.auth == "oneid":
        return OneIdCredentials(
            _secret(refs["client_id"]), _secret(refs["client_secret"]), tenant.token_url
        )
    return TokenCredentials(
        _secret(refs["username"]), _secret(refs["password"]), tenant.role, tenant.client_name
    )


def _secret(ref: SecretRef | None) -> Callable[[], str]:
    def reveal() -> str:
        if ref is None:
            raise ConfigError(["tenant: a secret of the chosen auth is missing"])
        return resolve(ref).reveal()

    return reveal


@asynccontextmanager
async def open_tenant(config: Config) -> AsyncIterator[TenantLink]:
    """The tenant for a command, signed in when it is first called."""
    async with TenantLink.to(config, SystemClock()) as link:
        yield link
