"""The search for secrets finds them; and what holds one shows it in no repr."""

from pathlib import Path

import canaries
import pytest
from strict_books import BASIC, CLIENT_SECRET, PASSWORD

from revsyncd.adapters.revenue_api.settings import ApiSettings
from revsyncd.adapters.revenue_api.transport import Call
from revsyncd.adapters.token import Grant, Token
from revsyncd.config import Secret

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjE3MDAwMDAwMDB9.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


@pytest.mark.parametrize(
    "text",
    [PASSWORD, CLIENT_SECRET, BASIC, f"token: {JWT}", f"https://x/y?a=1&signature={'0a' * 16}"],
)
def test_a_secret_on_disk_is_found(text: str, tmp_path: Path) -> None:
    """Wherever in a file it stands; what was planted is removed, for the whole tree is searched later."""
    path = tmp_path / "below" / "report.json"
    path.parent.mkdir()
    path.write_text(f"some words {text} and more")
    try:
        [where] = canaries.found(tmp_path)
    finally:
        path.unlink()
    assert where.startswith("below/report.json: at byte ")
    assert text not in where
    assert list(canaries.found(tmp_path)) == []


@pytest.mark.parametrize(
    "holder",
    [
        Secret("hunter2"),
        Grant("token", "hunter2", 1.0),
        Token("token", "hunter2", 1.0, 1.0),
        Call(
            "POST", "https://x/y", headers={"token": "hunter2"}, form={"client_secret": "hunter2"}
        ),
        ApiSettings("https://x", proxy="http://me:hunter2@proxy"),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_no_repr_shows_a_secret(holder: object) -> None:
    """Tracebacks and debuggers print reprs."""
    assert "hunter2" not in f"{holder!r} {holder} {[holder]}"
