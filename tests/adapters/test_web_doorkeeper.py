"""Who is answered."""

import pytest

from revsyncd.adapters.web import Doorkeeper, Question
from revsyncd.adapters.web.doorkeeper import names_this_host

TOKEN = "Tr0ub4dor&3"
OPEN = Doorkeeper(loopback=False)


def status(keeper: Doorkeeper, method: str = "GET", path: str = "/", **headers: str) -> int | None:
    refusal = keeper.refusal(Question(method, path, headers))
    return refusal.status if refusal else None


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:9464",
        "LocalHost:1",
        "127.0.0.1",
        "127.0.0.1:9464",
        "127.3.2.1",
        "[::1]",
        "[::1]:9464",
    ],
)
def test_names_of_this_host(host: str) -> None:
    """Any port: a tunnel has another than ours."""
    assert names_this_host(host)
    assert status(Doorkeeper(loopback=True), host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":9464",
        "evil.example",
        "evil.example:9464",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil-localhost",
        "user@localhost",
        "localhost:9464@evil.example",
        "localhost:evil.example",
        "localhost, evil.example",
        "10.0.0.1",
        "0.0.0.0",  # noqa: S104  (a name to be refused)
        "0x7f.1",
        "2130706433",
        "127.1",
        "[::1",
        "[::1]evil.example",
        "[::]:9464",
        "::1",
        "[localhost]x",
        "localhost ",
    ],
)
def test_names_that_may_be_anybodys(host: str) -> None:
    """A page under such a name could read the answers, had its owner let it lead to 127.0.0.1."""
    assert not names_this_host(host)
    assert status(Doorkeeper(loopback=True), host=host) == 421
    assert status(OPEN, host=host) is None


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        TOKEN,
        f"Basic {TOKEN}",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.lower()}",
        f"Bearer {TOKEN} {TOKEN}",
        "Bearer \xff",
    ],
)
def test_a_wrong_token(authorization: str) -> None:
    """It is refused, whatever is asked for, and told which header is wanted."""
    keeper = Doorkeeper(loopback=False, token=TOKEN)
    refusal = keeper.refusal(Question("GET", "/healthz", {"authorization": authorization}))
    assert refusal is not None
    assert refusal.status == 401
    assert dict(refusal.headers)["WWW-Authenticate"].startswith("Bearer")
    assert TOKEN.encode() not in refusal.body
    assert TOKEN not in repr(keeper)


def test_the_right_token() -> None:
    """The scheme's case does not matter; on loopback the host is looked at all the same."""
    keeper = Doorkeeper(loopback=True, token=TOKEN)
    for scheme in ("Bearer", "bearer"):
        assert status(keeper, host="localhost", authorization=f"{scheme} {TOKEN}") is None
    assert status(keeper, host="evil.example", authorization=f"Bearer {TOKEN}") == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "get"])
def test_other_methods(method: str) -> None:
    """Nothing can be done here, only looked at."""
    refusal = OPEN.refusal(Question(method, "/"))
    assert refusal is not None
    assert (refusal.status, dict(refusal.headers)) == (405, {"Allow": "GET, HEAD"})


@pytest.mark.parametrize("path", ["http://localhost/", "*", "metrics", ""])
def test_what_is_no_path(path: str) -> None:
    """A whole URL would name a host beside the one that was looked at."""
    assert status(OPEN, path=path) == 400
