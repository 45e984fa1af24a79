"""What `revsyncd check --online` says of a tenant that answers wrongly, from elsewhere or not at all."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from made_drops import tree
from raw_tenant import Peer, Script, raw_tenant

from revsyncd import simulator
from revsyncd.assemble import open_tenant
from revsyncd.checkup import Finding, look_online
from revsyncd.config import Config, load


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets of the tree."""
    monkeypatch.setenv("REVSYNCD_TEST_USER", "erp")
    monkeypatch.setenv("REVSYNCD_TEST_PASSWORD", "top-secret")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


async def found(config: Config) -> dict[str, Finding]:
    """What is told, by code."""
    async with open_tenant(config) as link:
        findings = await look_online(config, link, link, lambda: link.clock_off)
    told = {finding.code: finding for finding in findings if finding.code}
    assert all(finding.next_step for finding in told.values())
    return told


def asking(home: Path, base_url: str, tenant: str = "") -> Config:
    """Both folders take the tenant's mapping; `tenant` is added to its section."""
    config = tree(home, base_url=base_url)
    text = config.path.read_text().replace('mapping = "mapping.toml"', "")
    config.path.write_text(text.replace("[tenant]", f"[tenant]\n{tenant}"))
    return load(config.path)


def answering(status: int, **headers: str) -> Script:
    """A script that answers every call so."""

    async def script(peer: Peer) -> None:
        await peer.all()
        await peer.answer(status, {"message": "no"}, **headers)

    return script


async def test_a_base_url_that_redirects(tmp_path: Path) -> None:
    """The host that it leads to is named, and where the whole address is to be seen."""
    async with raw_tenant(answering(301, Location="https://one.example.com/x?key=1")) as tenant:
        config = asking(tmp_path, tenant.base_url)
        finding = (await found(config))["tenant.redirected"]
        assert "one.example.com" in finding.message
        assert "key=1" not in finding.message
        assert f"curl -sI {tenant.base_url}" in finding.next_step
        assert "systemctl restart revsyncd@config" in finding.next_step


async def test_an_api_that_is_not_enabled(tmp_path: Path) -> None:
    """405 is for Zuora Support, not for anybody here."""
    async with raw_tenant(answering(405)) as tenant:
        finding = (await found(asking(tmp_path, tenant.base_url)))["tenant.not_enabled"]
        assert "HTTP 405" in finding.message
        assert "Zuora Support" in finding.next_step


async def test_a_certificate_that_nobody_trusts(tmp_path: Path) -> None:
    """The command that shows the certificate has host and port filled in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    async with raw_tenant(answering(200), tls=context) as tenant:
        finding = (await found(asking(tmp_path, tenant.base_url)))["tenant.tls"]
        assert f"s_client -connect localhost:{tenant.port} -servername localhost" in (
            finding.next_step
        )


async def test_nobody_answers(tmp_path: Path) -> None:
    """Without a proxy it is the tenant that is out of reach."""
    finding = (await found(asking(tmp_path, "http://127.0.0.1:9")))["tenant.unreachable"]
    assert "getent hosts 127.0.0.1" in finding.next_step


async def test_a_proxy_that_nobody_answers_at(tmp_path: Path) -> None:
    """It is named as the proxy's fault, whatever the tenant's address is."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listened at
        proxy = f"http://127.0.0.1:{taken.getsockname()[1]}"
        config = asking(tmp_path, "https://acme.example.com", f'proxy = "{proxy}"')
        finding = (await found(config))["tenant.proxy"]
        assert (finding.subject, finding.ok) == ("tenant.proxy", False)
        assert f"curl -v --proxy {proxy} https://acme.example.com" in finding.next_step


async def test_a_proxy_that_lets_nothing_through(tmp_path: Path) -> None:
    """It answers, but not for the tenant: still the proxy, and the command that shows it."""
    tried = asyncio.Event()  # whether anybody is there at all

    async def refusing(peer: Peer) -> None:
        try:
            await peer.head()
        except asyncio.IncompleteReadError:
            tried.set()
        else:
            await peer.answer(403)

    async with raw_tenant(refusing) as proxy:
        keys = f'proxy = "{proxy.base_url}"'
        finding = (await found(asking(tmp_path, "https://acme.example.com", keys)))["tenant.proxy"]
        assert "lets nothing through" in finding.message
        assert f"--proxy {proxy.base_url}" in finding.next_step
        await tried.wait()


@pytest.fixture
async def tenant(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[simulator.Tenant]:
    """A simulator whose clock runs 600 seconds ahead, which lets us in."""
    async with simulator.serve(simulator.Settings(clock_skew=600.0), data=None) as tenant:
        monkeypatch.setenv("REVSYNCD_TEST_USER", tenant.info["username"])
        monkeypatch.setenv("REVSYNCD_TEST_PASSWORD", tenant.info["password"])
        yield tenant


def signed_in(tmp_path: Path, tenant: simulator.Tenant) -> Config:
    """A tree in front of the simulator."""
    config = asking(tmp_path, tenant.info["base_url"])
    names = {key: tenant.info[key] for key in ("role", "client_name")}
    text = config.path.read_text().replace('role = "Revpro API Role"', "")
    keys = "".join(f'{key} = "{value}"\n' for key, value in names.items())
    config.path.write_text(text.replace("[tenant]", f"[tenant]\n{keys}"))
    return load(config.path)


async def test_a_clock_that_is_far_off(tmp_path: Path, tenant: simulator.Tenant) -> None:
    """The Date of any answer tells, and how far."""
    told = await found(signed_in(tmp_path, tenant))
    assert list(told) == ["clock.off"]
    assert "behind the tenant's" in told["clock.off"].message
    assert "timedatectl" in told["clock.off"].next_step


async def test_the_clock_is_told_of_a_refused_sign_in_too(
    tmp_path: Path, tenant: simulator.Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal is an answer with a Date."""
    monkeypatch.setenv("REVSYNCD_TEST_PASSWORD", "wrong")
    assert list(await found(signed_in(tmp_path, tenant))) == ["tenant.sign_in", "clock.off"]


async def test_a_template_that_does_not_exist(tmp_path: Path, tenant: simulator.Tenant) -> None:
    """It is told for its folder, and the other's is fetched."""
    config = signed_in(tmp_path, tenant)
    config.path.write_text(config.path.read_text().replace("Transaction Upload", "Transactions"))
    told = await found(load(config.path))
    assert told["template.unknown"].subject == "templates.transactions"
    assert "letter by letter" in told["template.unknown"].next_step


async def test_credentials_that_only_the_unit_has(tmp_path: Path) -> None:
    """Nobody is asked without them; the command that has them is named."""
    config = asking(tmp_path, "http://127.0.0.1:9")
    text = config.path.read_text()
    config.path.write_text(text.replace("env:REVSYNCD_TEST_PASSWORD", "credential:password"))
    told = await found(load(config.path))
    assert list(told) == ["tenant.not_asked"]
    assert "sudo systemd-run" in told["tenant.not_asked"].next_step
    assert "--online" in told["tenant.not_asked"].next_step
