"""The tenant's API over HTTP: `connect` puts the pieces together."""

from urllib.parse import unquote, urlsplit

from revsyncd.adapters.revenue_api.client import RevenueApi
from revsyncd.adapters.revenue_api.settings import (
    ApiSettings,
    Credentials,
    OneIdCredentials,
    TokenCredentials,
)
from revsyncd.adapters.revenue_api.sign_in import SignInCall
from revsyncd.adapters.revenue_api.transport import Transport, trust
from revsyncd.adapters.revenue_api.wire import Wire
from revsyncd.adapters.token import Hooks, TokenKeeper
from revsyncd.core.answer_words import AnswerWords
from revsyncd.ports import Clock

__all__ = [
    "ApiSettings",
    "Hooks",
    "OneIdCredentials",
    "RevenueApi",
    "TokenCredentials",
    "connect",
]


def connect(
    settings: ApiSettings,
    credentials: Credentials,
    words: AnswerWords,
    clock: Clock,
    hooks: Hooks | None = None,
) -> RevenueApi:
    """A client that has not called anybody yet; its `tokens.run()` renews the token ahead.

    Raises ConfigError when `ca_file` can't be used. Close it with `aclose`.
    """
    hooks = hooks or Hooks()
    if password := urlsplit(settings.proxy).password:
        hooks.remember_secret(unquote(password))
    trusted = trust(settings.ca_file)
    transport = Transport(settings, trusted, clock)
    sign_in = SignInCall(settings.api, credentials, transport, hooks.remember_secret)
    tokens = TokenKeeper(sign_in, clock, hooks)
    return RevenueApi(settings, words, tokens, transport, Wire(settings, trusted, clock))
