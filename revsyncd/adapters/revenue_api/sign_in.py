"""Signing in: a user's Revpro-Token, or OAuth 2.0 client credentials. Source: docs/revenue-api.md, 2."""

import base64
import binascii
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from revsyncd.adapters.revenue_api.refusals import MEND_SECRETS, NEEDS_CREDENTIALS, error_of
from revsyncd.adapters.revenue_api.settings import (
    Credentials,
    OneIdCredentials,
    Secret,
    TokenCredentials,
)
from revsyncd.adapters.revenue_api.transport import Call, Transport
from revsyncd.adapters.token import Grant
from revsyncd.core.answers import Answer, Fields, read, scalar_text
from revsyncd.core.errors import (
    Forbidden,
    RevsyncdError,
    SignInRefused,
    TenantUnusable,
    Unreachable,
)
from revsyncd.core.verdict import NEEDS_ADDRESS

DEFAULT_LIFE = 1800.0  # seconds; the tenant's default
SHORTEST_LIFE = 1.0
LONGEST_LIFE = 7 * 86_400.0

Remember = Callable[[str], None]


class SignInCall:
    """One sign-in each time it is awaited, with the credentials as they are at that moment."""

    def __init__(
        self, api: str, credentials: Credentials, transport: Transport, remember_secret: Remember
    ) -> None:
        """`api` is the address of the tenant's API; `remember_secret` is told what logs must hide."""
        self._api = api
        self._credentials = credentials
        self._transport = transport
        self._remember = remember_secret

    async def __call__(self) -> Grant:
        """Sign in. Raises SignInRefused, or another TenantError when nobody could say yes or no."""
        credentials = self._credentials
        if isinstance(credentials, TokenCredentials):
            answer = await self._transport.call(self._with_password(credentials))
            return self._granted(answer, "revpro-token", "token", "")
        answer = await self._transport.call(self._with_client(credentials))
        return self._granted(answer, "", "Authorization", "Bearer ")

    def _with_password(self, credentials: TokenCredentials) -> Call:
        user, password = self._secret(credentials.username), self._secret(credentials.password)
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        for secret in (password, basic):
            self._remember(secret)
        headers: dict[str, str] = {
            "Authorization": f"Basic {basic}",
            "role": credentials.role,
            "clientname": credentials.client_name,
        }
        return Call("POST", f"{self._api}/v1/authenticate", headers=headers)

    def _with_client(self, credentials: OneIdCredentials) -> Call:
        secret = self._secret(credentials.client_secret)
        self._remember(secret)
        form = {
            "client_id": self._secret(credentials.client_id),
            "client_secret": secret,
            "grant_type": "client_credentials",
        }
        return Call("POST", credentials.token_url, form=form)

    def _secret(self, resolve: Secret) -> str:
        try:
            return resolve()
        except (RevsyncdError, OSError, KeyError, ValueError) as error:
            hint = error.hint if isinstance(error, RevsyncdError) else ""
            told = f"a credential can't be read: {error}"
            raise SignInRefused(told, hint=hint or MEND_SECRETS) from error

    def _granted(self, answer: Answer, header: str, name: str, prefix: str) -> Grant:
        """The token out of the answer's header, or of its body where there is none."""
        _refuse(answer)
        fields = read(answer).top
        token = answer.headers.get(header, "").strip() or _token_in(fields)
        if not token or not token.isascii() or not token.isprintable():
            raise _without_token(answer)
        self._remember(token)
        return Grant(name, prefix + token, _life(token, fields))


def _refuse(answer: Answer) -> None:
    error = error_of(answer, "sign-in")
    if answer.status == HTTPStatus.NOT_FOUND and error is not None:
        raise TenantUnusable(error.message, hint=NEEDS_ADDRESS)
    if isinstance(error, Forbidden):
        raise SignInRefused(error.message, hint=error.hint)
    if error is not None:
        raise error
    if answer.status == HTTPStatus.BAD_REQUEST:
        told = read(answer).message or "HTTP 400"
        raise SignInRefused(f"sign-in: {told}", hint=NEEDS_CREDENTIALS)


def _without_token(answer: Answer) -> SignInRefused | Unreachable:
    reading = read(answer)
    if reading.has_words and reading.tone == "error":
        return SignInRefused(f"sign-in: {reading.message}", hint=NEEDS_CREDENTIALS)
    return Unreachable(
        f"sign-in: HTTP {answer.status} without a token",
        hint="check base_url and auth: this answer is not what a Zuora Revenue tenant gives",
    )


def _token_in(fields: Fields) -> str:
    value = fields.first("access_token", "revpro-token", "token")
    return value.strip() if isinstance(value, str) else ""


def _life(token: str, fields: Fields) -> float:
    """Seconds: `expires_in`, else the JWT's exp - iat (so no clock matters), else the default."""
    told = _seconds(scalar_text(fields.first("expires_in")))
    life = told or _jwt_life(token)
    return min(max(life, SHORTEST_LIFE), LONGEST_LIFE) if life else DEFAULT_LIFE


def _jwt_life(token: str) -> float | None:
    claims = _claims(token)
    expires, issued = (_seconds(scalar_text(claims.get(name))) for name in ("exp", "iat"))
    return expires - issued if expires and issued and expires > issued else None


def _claims(token: str) -> dict[str, Any]:
    parts = token.split(".")
    if len(parts) < 2:  # noqa: PLR2004 (header and payload)
        return {}
    try:
        payload = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = json.loads(base64.urlsafe_b64decode(payload))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 < seconds < float("inf") else None
