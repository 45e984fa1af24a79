"""The `[http]` listener of a daemon: what is answered on which path.

Loaded by `run` when `[http]` is first configured, so that an idle daemon without it stays small.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from revsyncd.adapters.log import get_logger, hear, redact
from revsyncd.adapters.metrics import CONTENT_TYPE, Exposition
from revsyncd.adapters.web import Answer, Doorkeeper, Question, open_door, serve
from revsyncd.config import HttpSettings, resolve
from revsyncd.core.errors import RevsyncdError
from revsyncd.core.metrics import changes, series
from revsyncd.pipelines import status_page
from revsyncd.pipelines.readings import Readings
from revsyncd.pipelines.vitals import Vitals

log = get_logger()

_HTML = "text/html; charset=utf-8"
_JSON = "application/json"


class Listener:
    """Counts from the moment at which it is made until `close`; answers while `run` runs."""

    def __init__(self, vitals: Vitals) -> None:
        """Begin to count."""
        self._vitals = vitals
        self._readings = Readings(vitals)
        self._exposition = Exposition()
        self._paths: Mapping[str, Callable[[], Awaitable[Answer]]] = {
            "/": self._page,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
            "/api/status": self._status,
        }
        self.close = hear(self._count)

    async def run(self) -> None:
        """Answer under the configuration of this moment. Raises RevsyncdError, ConfigError."""
        settings = self._vitals.instance.config.http
        doorkeeper = Doorkeeper(settings.listen.loopback, token(settings))

        async def reply(question: Question) -> Answer:
            return doorkeeper.refusal(question) or await self._answer(question)

        with open_door(settings.listen, settings.socket_mode) as door:
            log.info("http.listening", address=_address(settings, door.getsockname()))
            await serve(door, reply)

    def _count(self, event: str, facts: Mapping[str, Any]) -> None:
        for change in changes(event, facts):
            self._exposition.count(change)

    async def _answer(self, question: Question) -> Answer:
        answer = self._paths.get(question.path)
        if answer is None:
            return _plain(404, [f"there are only {' '.join(self._paths)}"])
        try:
            return await answer()
        except (TimeoutError, RevsyncdError) as error:
            return _plain(503, [f"the ledger can't be read now: {error or 'it does not answer'}"])

    async def _healthz(self) -> Answer:
        missing = self._vitals.pulse.missing()
        return _plain(503, missing) if missing else _plain(200, ["alive"])

    async def _readyz(self) -> Answer:
        reasons = self._vitals.not_ready()
        return _plain(503, reasons) if reasons else _plain(200, ["ready"])

    async def _metrics(self) -> Answer:
        samples = await self._readings.samples()
        folders = tuple(self._vitals.instance.config.templates)
        for change in series(folders, tuple(self._vitals.services())):
            self._exposition.count(change)
        return Answer(200, self._exposition.render(samples), CONTENT_TYPE)

    async def _status(self) -> Answer:
        seen = await self._readings.seen()
        return Answer(200, f"{json.dumps(seen.status, indent=2)}\n".encode(), _JSON)

    async def _page(self) -> Answer:
        seen, it = await self._readings.seen(), self._vitals.instance
        page = status_page.render(
            seen.status, seen.waiting, self._vitals.not_ready(), it.config.zone
        )
        policy = (("Content-Security-Policy", status_page.POLICY),)
        return Answer(200, page.encode("utf-8", "backslashreplace"), _HTML, policy)


def token(settings: HttpSettings) -> str | None:
    """The token as it is now, never to be logged. Raises ConfigError when it can't be read."""
    if settings.token is None:
        return None
    secret = resolve(settings.token).reveal()
    redact(secret)
    return secret


def _address(settings: HttpSettings, bound: Any) -> str:
    if settings.listen.path is not None:
        return str(settings.listen)
    host, port = bound[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _plain(status: int, lines: list[str]) -> Answer:
    text = "".join(f"{line}\n" for line in lines)
    return Answer(status, text.encode("utf-8", "backslashreplace"))
