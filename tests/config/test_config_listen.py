"""Where the daemon may be told to listen, and what that asks for."""

from pathlib import Path

import pytest

from revsyncd.config import Listen
from revsyncd.config.listen import listen
from revsyncd.config.values import Unusable


@pytest.mark.parametrize(
    ("text", "place", "loopback", "needs_token"),
    [
        ("127.0.0.1:9464", Listen("127.0.0.1", 9464), True, False),
        ("127.9.9.9:1", Listen("127.9.9.9", 1), True, False),
        ("localhost:0", Listen("127.0.0.1", 0), True, False),
        ("[::1]:9464", Listen("::1", 9464), True, False),
        ("0.0.0.0:9464", Listen("0.0.0.0", 9464), False, True),  # noqa: S104  (it is what is read)
        ("[::]:9464", Listen("::", 9464), False, True),
        ("10.1.2.3:65535", Listen("10.1.2.3", 65535), False, True),
        ("unix:/run/x/http.sock", Listen(path=Path("/run/x/http.sock")), False, False),
    ],
)
def test_places(text: str, place: Listen, loopback: bool, needs_token: bool) -> None:  # noqa: FBT001  (pytest hands them over)
    """What may be written, and who can reach it; a place that others can reach is never called ours."""
    found = listen(text)
    assert found == place
    assert (found.loopback, found.needs_token) == (loopback, needs_token)
    assert listen(str(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "9464",
        ":9464",
        "*:9464",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "metrics.example:9464",
        "127.1:9464",
        "::1:9464",
        "[127.0.0.1]:9464",
        "[::ffff:127.0.0.1]:9464",
        "http://127.0.0.1:9464",
        "unix:",
        "unix:http.sock",
        "unix:@abstract",
        "unix:/run/x/",
        "unix:/" + "x" * 107,
    ],
)
def test_what_is_no_place(text: str) -> None:
    """Names, which may come to mean another address, are refused like what is no place at all."""
    with pytest.raises(Unusable):
        listen(text)
