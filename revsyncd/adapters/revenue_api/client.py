"""The tenant's API as the pipelines use it. Uploads become judgements, other calls raise TenantError."""

from http import HTTPStatus
from urllib.parse import quote

import anyio.to_thread

from revsyncd.adapters.revenue_api.body import Frame, WithheldBody
from revsyncd.adapters.revenue_api.journal import JournalApi
from revsyncd.adapters.revenue_api.listings import read_mapping, read_stage_errors
from revsyncd.adapters.revenue_api.settings import ApiSettings
from revsyncd.adapters.revenue_api.signed_in import AGENT, SignedInCalls
from revsyncd.adapters.revenue_api.transport import LARGE, SMALL, Call, Transport
from revsyncd.adapters.revenue_api.wire import Line, Wire
from revsyncd.adapters.token import Token, TokenKeeper
from revsyncd.core.answer_words import AnswerWords, says_nothing_is_known
from revsyncd.core.answers import Answer, Form, Tone, read
from revsyncd.core.errors import Busy, Forbidden, TenantError, Unreachable
from revsyncd.core.status_reading import judge_status
from revsyncd.core.template import Kind, Mapping
from revsyncd.core.verdict import (
    NEEDS_TEMPLATE,
    Judgement,
    Route,
    StatusReading,
    Verdict,
    judge_upload,
)
from revsyncd.ports import NotReleased, Release, StageErrorRow, Upload

_KINDS = {Kind.EVENT: "event"}  # bundles are lists of transactions


class TokenTooOld(NotReleased):
    """The token of this request might expire before its answer comes."""


class RevenueApi:
    """Implements `ports.Tenant`."""

    def __init__(
        self,
        settings: ApiSettings,
        words: AnswerWords,
        tokens: TokenKeeper,
        transport: Transport,
        wire: Wire,
    ) -> None:
        """All calls share `tokens`; see `revenue_api.connect` for how the pieces are put together."""
        self.tokens = tokens
        self._settings = settings
        self._words = words
        self._transport = transport
        self._calls = SignedInCalls(settings, tokens, transport)
        self.journal = JournalApi(self._calls, transport)
        self._wire = wire

    @property
    def clock_off(self) -> float | None:
        """Seconds that our clock is ahead of the tenant's, to about a second; None if it never said."""
        return self._transport.clock_off

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def upload(self, upload: Upload, release: Release) -> Judgement:
        """Send one part. Raises only what `release` raises, NoSpace when the disk fails, and Damaged.

        SIGN_IN means that the token was renewed meanwhile: repeat once. A second SIGN_IN in a row
        is a tenant that accepts none.
        """
        try:
            token = await self.tokens.token(min_life=self._settings.upload_timeout)
        except TenantError as error:
            return _not_signed_in(error)
        try:
            judgement = await self._send(upload, release, token)
        except TokenTooOld as stays:
            return await self._renewed(token, Judgement(Verdict.RETRY, str(stays)))
        except NotReleased as stays:
            return Judgement(Verdict.RETRY, str(stays) or "the last chunk was kept back")
        if judgement.verdict is Verdict.SIGN_IN:
            return await self._renewed(token, judgement)
        return judgement

    async def mapping(self, template_name: str) -> Mapping:
        """The template's columns. Raises Forbidden when the tenant does not know the template."""
        params = {"templatename": template_name}
        answer = await self._calls.get("/v1/upload/mapping", params)
        reading = read(answer)
        mapping = read_mapping(reading) if answer.is_2xx else None
        if mapping is not None:
            return mapping
        told = reading.message or f"HTTP {answer.status}"
        if answer.is_2xx and answer.body.strip() and reading.tone is not Tone.ERROR:
            raise Unreachable(f"the mapping of {template_name!r} can't be read: {told}")
        raise Forbidden(
            f"the tenant gives no mapping of the template {template_name!r}: {told}",
            hint=NEEDS_TEMPLATE,
        )

    async def status(self, route: Route, request_id: int | str, records: int) -> StatusReading:
        """Look once at the status of an accepted upload."""
        number = quote(str(request_id), safe="")
        if route is Route.FILE:
            answer = await self._calls.call(
                Call("GET", f"/v1/fileupload/status/{number}"), also=_unknown
            )
        else:
            params = {"id": str(request_id)}
            answer = await self._calls.call(
                Call("GET", "/v1/csv/upload/status", params=params), also=_unknown
            )
        return judge_status(answer, self._words, request_id=request_id, records=records)

    async def stage_errors(self, kind: Kind) -> list[StageErrorRow]:
        """Every line of the tenant that is in error now, of one kind."""
        path = f"/v1/stage/error/{_KINDS.get(kind, 'transaction')}"
        answer = await self._calls.call(Call("GET", path, limit=LARGE))
        if len(answer.body) > SMALL:  # a long list would hold up everything else
            return await anyio.to_thread.run_sync(_stage_errors, answer, path)
        return _stage_errors(answer, path)

    async def probe(self) -> None:
        """Sign in where that is needed, and ask for one mapping; raises TenantError.

        That the tenant does not know this template is an answer too.
        """
        if not self._settings.probe_template:
            await self.tokens.token()
            return
        params = {"templatename": self._settings.probe_template}
        await self._calls.get("/v1/upload/mapping", params)

    async def _send(self, upload: Upload, release: Release, token: Token) -> Judgement:
        line = Line()
        frame = Frame.of(upload.route, upload.file_name)

        async def gate() -> None:
            await line.ready()
            left = self.tokens.left(token)
            if left < token.reserve(self._settings.upload_timeout):
                raise TokenTooOld(f"the token has only {left:.0f} s left for an answer")

        body = WithheldBody(upload, frame, gate, release)
        url, headers = self._departure(upload, frame, body.length, token)
        answer = await self._wire.post(line, url, headers, body)
        return judge_upload(upload.route, answer, self._words, released=body.released)

    def _departure(
        self, upload: Upload, frame: Frame, length: int, token: Token
    ) -> tuple[str, list[tuple[bytes, bytes]]]:
        path = "/v1/upload/file" if upload.route is Route.FILE else "/v1/csv/upload"
        url = self._settings.api + path
        headers = {
            "Content-Type": frame.content_type,
            "Content-Length": str(length),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "close",
            "User-Agent": AGENT,
            token.header_name: token.header_value,
            "templatename": upload.template_name,
        }
        if upload.route is Route.CSV:
            headers["filename"] = upload.file_name
        return url, [(name.encode("ascii"), value.encode()) for name, value in headers.items()]

    async def _renewed(self, token: Token, judgement: Judgement) -> Judgement:
        """Have another token ready before the upload is repeated; without one, say why."""
        try:
            await self.tokens.renew(token)
        except TenantError as error:
            return _not_signed_in(error)
        return judgement


def _not_signed_in(error: TenantError) -> Judgement:
    """Nothing was sent, for want of a token."""
    if isinstance(error, Busy):
        wait = error.retry_after
        return Judgement(Verdict.WAIT, error.message, retry_after=wait, hint=error.hint)
    verdict = Verdict.RETRY if isinstance(error, Unreachable) else Verdict.PAUSE_TENANT
    return Judgement(verdict, error.message, hint=error.hint)


def _unknown(answer: Answer) -> bool:
    """A 404 may also mean that there is no such row."""
    return answer.status == HTTPStatus.NOT_FOUND and says_nothing_is_known(read(answer).words)


def _stage_errors(answer: Answer, path: str) -> list[StageErrorRow]:
    """The rows; none only where the tenant says so, else all errors would look as if they were gone."""
    reading = read(answer)
    if answer.status == HTTPStatus.NO_CONTENT or says_nothing_is_known(reading.words):
        return []
    listed = reading.rows or reading.tone is not Tone.ERROR
    if answer.is_2xx and reading.form is Form.JSON and listed:
        return read_stage_errors(reading)
    raise Unreachable(f"GET {path}: HTTP {answer.status}: {reading.message or 'no list'}")
