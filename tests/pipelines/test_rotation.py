"""Secrets that change while the daemon runs: a `file:` needs no restart."""

from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from bench import PATIENCE, Bench, bench

from revsyncd.config import load
from revsyncd.core.pace import Pace

SLOW = Pace(first=600, factor=1, most=600)


@pytest.fixture(autouse=True)
def keep_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload leaves the bench's log in place."""
    monkeypatch.setattr("revsyncd.assemble.configure", lambda *_: None)


def keep_in_file(it: Bench, password: str) -> None:
    """The password as a file of its own, replaced in one step."""
    path = it.base / "password"
    path.with_suffix(".new").write_text(f"{password}\n")
    path.with_suffix(".new").chmod(0o600)
    path.with_suffix(".new").rename(path)


def rotate(it: Bench, password: str) -> None:
    """At the tenant: the old password is no good any more, nor is any token."""
    it.tenant.credentials = replace(it.tenant.credentials, password=password)
    it.tenant.tokens.expire_all()


async def recorded(it: Bench, *, token: bool) -> None:
    """Until commands read from the ledger that there is a token, or that there is none."""
    with anyio.fail_after(PATIENCE):
        while bool(it.instance.ledger.book.meta("token_expires")) is not token:  # noqa: ASYNC110  (a row wakes nobody)
            await anyio.sleep(0.02)


async def signed_in(it: Bench) -> None:
    """A first drop has brought a token."""
    it.drop("a.csv", it.content(["A1"]))
    await it.log.until("drop.done", file="a.csv")


def with_a_file(it: Bench) -> None:
    """The configuration reads the password from a file."""
    keep_in_file(it, it.tenant.credentials.password)
    text = it.config.path.read_text()
    it.config.path.write_text(text.replace("env:BENCH_PASSWORD", f"file:{it.base}/password"))
    it.config = load(it.config.path)


async def test_a_replaced_file_is_used_at_the_next_sign_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is refused, and nobody has to say anything."""
    async with bench(tmp_path, monkeypatch) as it:
        with_a_file(it)
        async with it.running():
            await signed_in(it)
            keep_in_file(it, "another")
            rotate(it, "another")
            it.drop("b.csv", it.content(["B1"]))
            await it.log.until("drop.done", file="b.csv")
            assert len(it.log.having("token.renewed")) == 2
            assert not it.log.having("token.refused")


async def test_a_file_that_is_replaced_late_is_used_after_a_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, however long the pause after the refusal is; until then no token is shown as valid."""
    monkeypatch.setattr("revsyncd.pipelines.tenant_gate.PROBES", SLOW)
    async with bench(tmp_path, monkeypatch) as it:
        with_a_file(it)
        async with it.running():
            it.instance.tenant._api.tokens._pace = SLOW  # type: ignore[attr-defined]
            await signed_in(it)
            await recorded(it, token=True)
            rotate(it, "another")
            it.drop("b.csv", it.content(["B1"]))
            await it.log.until("token.refused")
            await it.log.until("tenant.paused")
            assert it.instance.tenant.token_expires is None  # type: ignore[attr-defined]
            keep_in_file(it, "another")
            await it.reload("", "")
            await it.log.until("tenant.resumed")
            await it.log.until("drop.done", file="b.csv")
            await recorded(it, token=True)


async def test_a_new_process_shows_no_token_of_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lived in that one's memory."""
    async with bench(tmp_path, monkeypatch) as it:
        async with it.running():
            await signed_in(it)
            await recorded(it, token=True)
        rotate(it, "another")
        async with it.running():
            await it.log.until("token.refused")
            await recorded(it, token=False)
