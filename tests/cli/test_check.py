import json
from collections.abc import Callable

import pytest
from click.testing import Result
from made_drops import tree
from strict_books import PASSWORD, USERNAME
from strict_tenant import StrictTenant

from revsyncd.config import Config

Revsyncd = Callable[..., Result]


def test_all_right(revsyncd: Revsyncd, config: Config) -> None:
    """Everything that was looked at, and that it is right."""
    result = revsyncd("check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "all is right"
    assert "ok     templates.events: " in result.stdout


def test_something_wrong(
    revsyncd: Revsyncd, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each problem on stderr, with its remedy; the rest is looked at all the same."""
    monkeypatch.delenv("REVSYNCD_TEST_USER")
    (config.root / "events" / "inbox").rmdir()
    result = revsyncd("check")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "2 problems found"
    lines = result.stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["error", "next step"] * 2


def test_json(revsyncd: Revsyncd, config: Config) -> None:
    """The same for programs, with the verdict first."""
    data = json.loads(revsyncd("check", "--json").stdout)
    assert (data["ok"], data["config"]) == (True, str(config.path))
    assert {"subject", "message", "next_step", "ok", "code"} == data["findings"][0].keys()
    (config.root / "events" / "inbox").rmdir()
    result = revsyncd("check", "--json")
    assert (result.exit_code, json.loads(result.stdout)["ok"]) == (1, False)


def test_json_of_a_broken_configuration(revsyncd: Revsyncd, config: Config) -> None:
    """JSON stays JSON; every problem is a finding."""
    config.path.write_text("nonsense = 1")
    result = revsyncd("check", "--json")
    data = json.loads(result.stdout)
    assert (result.exit_code, result.stderr, data["ok"]) == (78, "", False)
    assert len(data["findings"]) >= 3


def test_unreachable(revsyncd: Revsyncd, config: Config) -> None:
    """Without a tenant the rest is told, and who did not answer."""
    result = revsyncd("check", "--online")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: tenant: ")


def test_online(
    revsyncd: Revsyncd,
    config: Config,
    strict_tenant: StrictTenant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The tenant is signed in to once, and each mapping that it has to give is fetched."""
    monkeypatch.setenv("REVSYNCD_TEST_USER", USERNAME)
    monkeypatch.setenv("REVSYNCD_TEST_PASSWORD", PASSWORD)
    tree(config.path.parent, base_url=strict_tenant.base_url)
    result = revsyncd("check", "--online")
    assert (result.exit_code, result.stderr) == (0, "")
    assert 'ok     templates.events: "Event Upload" has' in result.stdout
    assert strict_tenant.violations == []
    monkeypatch.setenv("REVSYNCD_TEST_PASSWORD", "wrong")
    assert revsyncd("check", "--online").exit_code == 1
