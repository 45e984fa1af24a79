"""Tokens: JWTs for the tenant's own sign-in, opaque ones for OneID. Only those issued here count."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from enum import StrEnum


class Way(StrEnum):
    """How a token was got, and so how it must be shown."""

    TOKEN = "token"  # noqa: S105  (a header's name): `token: …`
    ONEID = "oneid"  # `Authorization: Bearer …`


class Tokens:
    """Issues tokens and knows which are alive."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since the epoch."""
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._alive: dict[str, tuple[Way, float]] = {}

    def issue_jwt(self, user: str, life: float, skew: float = 0.0) -> str:
        """A signed JWT that dies after `life` seconds; `skew` shifts what its iat and exp say."""
        issued = int(self._clock() + skew)
        expires = int(issued + life) if life == int(life) else issued + life
        claims = {"sub": user, "jti": secrets.token_hex(8), "iat": issued, "exp": expires}
        signed = ".".join((_encoded({"alg": "HS256", "typ": "JWT"}), _encoded(claims)))
        signature = hmac.new(self._key, signed.encode(), hashlib.sha256).digest()
        return self._remember(f"{signed}.{_base64(signature)}", Way.TOKEN, life)

    def issue_opaque(self, life: float) -> str:
        """An access token whose life stands beside it, in `expires_in`."""
        return self._remember(secrets.token_urlsafe(24), Way.ONEID, life)

    def alive(self, token: str, way: Way) -> bool:
        """Whether the token was issued for this way and has not expired."""
        known = self._alive.get(token)
        return known is not None and known[0] is way and known[1] > self._clock()

    def expire_all(self) -> int:
        """End every token now; how many there were."""
        ended = len(self._alive)
        self._alive.clear()
        return ended

    def _remember(self, token: str, way: Way, life: float) -> str:
        now = self._clock()
        self._alive = {t: known for t, known in self._alive.items() if known[1] > now}
        self._alive[token] = (way, now + life)
        return token


def _encoded(value: dict[str, object]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
