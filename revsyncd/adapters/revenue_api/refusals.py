"""Answers to calls that may be repeated, as errors with a hint for the person who reads them."""

from http import HTTPStatus
from urllib.parse import urlsplit

from revsyncd.core.answers import Answer, Form, Reading, read, without_urls
from revsyncd.core.errors import (
    Busy,
    Forbidden,
    NotEnabled,
    Redirected,
    SignInRefused,
    TenantError,
    Unreachable,
)
from revsyncd.core.pace import retry_after
from revsyncd.core.verdict import NEEDS_ADDRESS, NEEDS_ENABLING, NEEDS_PRIVILEGES

NEEDS_CREDENTIALS = (
    "check username, password, role and client_name (or client_id and client_secret) with the "
    "tenant's administrator"
)
MEND_SECRETS = (
    "mend what it names; `revsyncd check`, run as the service's user, says when it is right"
)
_PATIENCE = "nothing to do: it is tried again by itself"
_ASK_SUPPORT = "if it lasts, give Zuora Support the time and this message"


def error_of(answer: Answer, name: str) -> TenantError | None:
    """The error that an answer means; None when it is 2xx or 400 in a body that can be read.

    What a 400 means depends on the call: an unknown template, or that there is nothing.
    """
    reading = read(answer)
    told = _told(answer, reading, name)
    return _by_status(answer, told) or _by_body(answer, reading, told)


def _by_status(answer: Answer, told: str) -> TenantError | None:
    match answer.status:
        case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.SERVICE_UNAVAILABLE:
            return Busy(told, hint=_PATIENCE, retry_after=_wish(answer))
        case HTTPStatus.UNAUTHORIZED:
            return SignInRefused(told, hint=NEEDS_CREDENTIALS)
        case HTTPStatus.FORBIDDEN | HTTPStatus.NOT_FOUND:
            return Forbidden(told, hint=NEEDS_PRIVILEGES)
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return NotEnabled(told, hint=NEEDS_ENABLING)
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        return Redirected(f"{told}{_elsewhere(answer)}", hint=NEEDS_ADDRESS)
    return None


def _by_body(answer: Answer, reading: Reading, told: str) -> TenantError | None:
    if reading.form is Form.HTML:
        return Busy(told, hint=_PATIENCE, retry_after=_wish(answer))
    if reading.form is Form.UNREADABLE:
        return Unreachable(told, hint=_ASK_SUPPORT)
    if answer.is_2xx or answer.status == HTTPStatus.BAD_REQUEST:
        return None
    return Unreachable(told, hint=_ASK_SUPPORT)


def _told(answer: Answer, reading: Reading, name: str) -> str:
    seen = {
        Form.HTML: f"a web page {reading.message!r}" if reading.message else "a web page",
        Form.EMPTY: "",
        Form.UNREADABLE: "a cut or unreadable answer",
    }.get(reading.form, without_urls(reading.message))
    tracking = f" [{answer.tracking}]" if answer.tracking else ""
    return f"{name}: HTTP {answer.status}{': ' if seen else ''}{seen}{tracking}"


def _wish(answer: Answer) -> float | None:
    header = answer.headers.get
    return retry_after(header("retry-after"), answer.received_at, header("date"))


def _elsewhere(answer: Answer) -> str:
    """The host that a redirect names; its path and query may hold secrets."""
    try:
        host = urlsplit(answer.headers.get("location", "")).hostname
    except ValueError:
        host = None
    return f", to {host}" if host else ""
