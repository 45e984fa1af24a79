"""How secrets are recognised, and what is none."""

import base64
import json

import pytest

from revsyncd.core.audit_secrets import Needles, basic

NEEDLES = Needles([("tenant.password", 'pass "wörd" / 1'), ("tenant.short", "abc")])
HEAD = base64.urlsafe_b64encode(json.dumps({"alg": "HS256"}).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        'my pass "wörd" / 1.',
        json.dumps('pass "wörd" / 1'),
        "x=pass%20%22w%C3%B6rd%22%20%2F%201&",
        base64.b64encode('pass "wörd" / 1'.encode()).decode(),
    ],
)
def test_a_secret_in_any_form(text: str) -> None:
    """As it is, in JSON, in a URL, in base64."""
    assert NEEDLES.find(text.encode()) == "tenant.password"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"token {HEAD}.abcdefghijkl.abcdefghijkl", "a token"),
        ("https://x/y?X-Amz-Signature=0123456789abcdef", "the signature of a URL"),
        ("eyJhbGciOiJub25.abcdefghijkl.abcdefghijkl", ""),  # no JSON in front
        ("https://x/y?Signature=***", ""),
        ("abc", ""),  # too short to mean anything
        ("pass word", ""),
    ],
)
def test_shapes(text: str, kind: str) -> None:
    """Tokens and signatures are known by their shape, and nothing else is."""
    assert NEEDLES.find(text.encode()) == kind


def test_the_header_of_a_sign_in() -> None:
    """Name and password together, as HTTP sends them."""
    needles = Needles([("tenant.sign-in", basic("erp", "top-secret"))])
    assert needles.find(b"Basic ZXJwOnRvcC1zZWNyZXQ=") == "tenant.sign-in"
