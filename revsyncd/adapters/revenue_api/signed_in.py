"""Calls with a token: one renewal and one repeat after a 401, errors by what the answer means."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus

from revsyncd import __version__
from revsyncd.adapters.revenue_api.refusals import error_of
from revsyncd.adapters.revenue_api.settings import ApiSettings
from revsyncd.adapters.revenue_api.transport import Call, Stream, Transport
from revsyncd.adapters.token import Token, TokenKeeper
from revsyncd.core.answers import Answer

AGENT = f"revsyncd/{__version__}"

Also = Callable[[Answer], bool]


def _none(_: Answer) -> bool:
    return False


class SignedInCalls:
    """Makes calls below the API's root with the shared token."""

    def __init__(self, settings: ApiSettings, tokens: TokenKeeper, transport: Transport) -> None:
        """All calls share `tokens`."""
        self.tokens = tokens
        self._settings = settings
        self._transport = transport

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """The answer to a plain GET. Raises TenantError."""
        return await self.call(Call("GET", path, params=params or {}))

    async def call(self, call: Call, *, also: Also = _none) -> Answer:
        """The answer to a call whose `url` is a path below the API's root. Raises TenantError.

        Answers that `also` takes are no errors.
        """
        token = await self.tokens.token()
        answer = await self._transport.call(self._whole(call, token))
        if answer.status == HTTPStatus.UNAUTHORIZED:
            token = await self.tokens.renew(token)
            answer = await self._transport.call(self._whole(call, token))
        error = None if also(answer) else error_of(answer, f"{call.method} {call.url}")
        if error is not None:
            raise error
        return answer

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[Stream]:
        """GET something large; whatever its status, its body is still to come."""
        call = Call("GET", path, {"Accept": "*/*", "Accept-Encoding": "identity"})
        token = await self.tokens.token()
        async with self._transport.stream(self._whole(call, token)) as first:
            if first.status != HTTPStatus.UNAUTHORIZED:
                yield first
                return
        token = await self.tokens.renew(token)
        async with self._transport.stream(self._whole(call, token)) as again:
            yield again

    def _whole(self, call: Call, token: Token) -> Call:
        headers = {
            "Accept": "application/json",
            "User-Agent": AGENT,
            **call.headers,
            token.header_name: token.header_value,
        }
        return replace(call, url=self._settings.api + call.url, headers=headers)
