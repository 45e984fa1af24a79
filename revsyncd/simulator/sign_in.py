"""Signing in, both ways, and the look at the token of every other call."""

import base64
import binascii
import hmac
from urllib.parse import parse_qs

from . import answers
from .answers import JSON, Answer
from .call import Call
from .tenant import Tenant
from .tokens import Way

_FORM_LIMIT = 65_536


async def authenticate(tenant: Tenant, call: Call) -> Answer:
    """`POST /v1/authenticate`: Basic, role and clientname; the token is in a header of the answer."""
    if not call.header("role") or not call.header("clientname"):
        return _refused(
            tenant, answers.error(tenant.settings, 400, "role or clientname is missing")
        )
    who = tenant.credentials
    right = (f"{who.username}:{who.password}", who.role, who.client_name)
    given = (_basic(call.header("authorization")), call.header("role"), call.header("clientname"))
    if not _same("\n".join(given), "\n".join(right)):
        return _refused(tenant, answers.error(tenant.settings, 401, "Invalid credentials"))
    tenant.world.counts.sign_ins += 1
    settings = tenant.settings
    token = tenant.tokens.issue_jwt(who.username, settings.token_life, settings.clock_skew)
    done = answers.said(settings, {"status": "success", "Message": "Token Generated"})
    return Answer(200, done.body, JSON, (*done.headers, ("Revpro-Token", token)))


async def oauth_token(tenant: Tenant, call: Call) -> Answer:
    """`POST /oauth2/token`: client credentials in a form."""
    form = {name: values[-1] for name, values in parse_qs(_text(call)).items()}
    if form.get("grant_type") != "client_credentials":
        return _refused(tenant, answers.plain({"error": "unsupported_grant_type"}, 400))
    who = tenant.credentials
    given = f"{form.get('client_id', '')}\n{form.get('client_secret', '')}"
    if not _same(given, f"{who.client_id}\n{who.client_secret}"):
        told = {"error": "invalid_client", "error_description": "Client authentication failed"}
        return _refused(tenant, answers.plain(told, 401))
    tenant.world.counts.sign_ins += 1
    life = tenant.settings.oneid_life
    token = tenant.tokens.issue_opaque(life)
    return answers.plain({"access_token": token, "token_type": "bearer", "expires_in": int(life)})


def turned_away(tenant: Tenant, call: Call) -> Answer | None:
    """401 for a call without a token that is alive, shown in the way that fits it."""
    scheme, _, bearer = call.header("authorization").partition(" ")
    if scheme.lower() == "basic":
        tenant.world.violation("password", f"Basic authorization on {call.path}")
    if scheme.lower() == "bearer":
        alive = tenant.tokens.alive(bearer.strip(), Way.ONEID)
    else:
        alive = tenant.tokens.alive(call.header("token"), Way.TOKEN)
    return None if alive else answers.error(tenant.settings, 401, "Token is invalid or expired")


def _refused(tenant: Tenant, answer: Answer) -> Answer:
    tenant.world.counts.sign_ins_refused += 1
    return answer


def _basic(header: str) -> str:
    """`user:password` of a Basic header, "" when it is none."""
    scheme, _, encoded = header.partition(" ")
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return decoded if scheme.lower() == "basic" else ""


def _text(call: Call) -> str:
    return call.body.read(_FORM_LIMIT).decode("utf-8", "replace")


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), right.encode())
