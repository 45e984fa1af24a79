import os
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from made_drops import claim, opened, tree

from revsyncd.checkup import Finding, look, look_online
from revsyncd.checkup.findings import KINDS, table
from revsyncd.config import Config, load
from revsyncd.core.batch import Listed
from revsyncd.core.errors import Forbidden, SignInRefused, TenantError, TenantUnusable
from revsyncd.core.template import ColumnType, MappedColumn, Mapping
from revsyncd.ports import Journal, Tenant

ROOT = Path(__file__).parents[1]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("REVSYNCD_TEST_USER", "erp")
    monkeypatch.setenv("REVSYNCD_TEST_PASSWORD", "top-secret")
    return tree(tmp_path)


def wrong(findings: list[Finding]) -> list[Finding]:
    """What has to be mended; nothing of it without a next step."""
    found = [finding for finding in findings if not finding.ok]
    assert all(finding.message and finding.next_step for finding in found)
    return found


def subjects(findings: list[Finding]) -> list[str]:
    return [finding.subject for finding in findings]


def test_all_right(config: Config) -> None:
    """A new tree is right, and everything that was looked at is told; nothing stays that was made."""
    before = sorted(config.root.rglob("*"))
    findings = look(config)
    assert wrong(findings) == []
    assert subjects([finding for finding in findings if not finding.code]) == [
        "config",
        "root",
        "state_dir",
        "templates.transactions",
        "templates.events",
        "root",
        "tenant.username",
        "tenant.password",
        "ledger",
    ]
    assert sorted(config.root.rglob("*")) == before
    assert list(config.state_dir.iterdir()) == []


def test_no_secret_is_told(config: Config) -> None:
    """That a secret can be read is told, never what it is."""
    assert "top-secret" not in repr(look(config))


def test_a_missing_inbox(config: Config) -> None:
    """A missing inbox concerns its folder alone; what the daemon makes by itself may be missing."""
    (config.root / "events" / "inbox").rmdir()
    (config.root / "transactions" / "done").rmdir()
    [finding] = wrong(look(config))
    assert finding.subject == "templates.events"
    assert finding.message.endswith("inbox is not there")


def test_a_file_where_a_directory_should_be(config: Config) -> None:
    """It is told as what it is."""
    (config.root / "events" / "held").rmdir()
    (config.root / "events" / "held").write_text("")
    [finding] = wrong(look(config))
    assert finding.message.endswith("held is not a directory")


def test_permissions(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory in which we may not write is named, with who may not."""
    inbox = config.root / "events" / "inbox"
    real = os.access
    # Root, as which tests may run, may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: path != inbox and real(path, mode))
    [finding] = wrong(look(config))
    assert finding.subject == "templates.events"
    assert f"may not read and write {inbox}" in finding.message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_root_for_another_user(config: Config) -> None:
    """What root may do says nothing about the service's user."""
    os.chown(config.state_dir, 1, -1)
    [finding] = wrong(look(config))
    assert "sudo -u daemon" in finding.next_step


def test_a_mount_below_the_root(config: Config, tmp_path: Path) -> None:
    """Two mounts of one disk have one device number, but no rename leads from one to the other."""
    mounts = tmp_path / "mountinfo"
    line = "36 35 98:0 / {} rw,noatime - ext3 /dev/root rw\n"
    inside = f"{config.root}/events/in\\040box"
    mounts.write_text(
        "".join(line.format(at) for at in ("/", config.root, inside, f"{config.root}2"))
    )
    [finding] = wrong(look(config, mounts))
    assert f"{config.root}/events/in box is another file system or mount" in finding.message
    assert wrong(look(config, tmp_path / "none")) == []


def test_a_link_to_another_file_system(config: Config) -> None:
    """What a link leads to counts."""
    done = config.root / "events" / "done"
    done.rmdir()
    done.symlink_to("/proc")
    findings = wrong(look(config))
    assert any("done is another file system" in finding.message for finding in findings)


def test_secrets(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that can't be read is named by its key."""
    monkeypatch.delenv("REVSYNCD_TEST_PASSWORD")
    [finding] = wrong(look(config))
    assert finding.subject == "tenant.password"
    assert "REVSYNCD_TEST_PASSWORD" in finding.message


def test_the_listeners_token(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked for where there is a listener, and only there."""
    text = config.path.read_text()
    section = '[http]\ntoken = "env:REVSYNCD_TEST_LISTENER"\n'
    config.path.write_text(text + section)
    [finding] = wrong(look(load(config.path)))
    assert finding.subject == "http.token"
    config.path.write_text(f"{text}{section}enabled = false\n")
    assert wrong(look(load(config.path))) == []


@pytest.mark.parametrize("content", [None, "nonsense"])
def test_trust(tmp_path: Path, config: Config, content: str | None) -> None:
    """A file of trust anchors is read before the tenant is called."""
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    text = config.path.read_text().replace("[tenant]", '[tenant]\nca_file = "ca.pem"')
    config.path.write_text(text)
    assert subjects(wrong(look(load(config.path)))) == ["tenant.ca_file"]


def test_the_ledger(config: Config) -> None:
    """A ledger that a start would refuse is found, while one in use is in nobody's way."""
    with opened(config) as ledger:
        claim(config, ledger, "a.csv")
        assert wrong(look(config)) == []
    (config.state_dir / "ledger.sqlite3").unlink()
    [finding] = wrong(look(config))
    assert finding.subject == "ledger"


def test_columns_of_a_mapping_file(tmp_path: Path, config: Config) -> None:
    """A column that the configuration names and the template lacks, with what may be meant."""
    more = 'keep_together = ["doc line id "]\nchecks.required = ["Amuont", "Amount"]\nchecks.unique = ["X"]'
    first, second = wrong(look(tree(tmp_path, more=more)))
    assert first.subject == "templates.transactions.checks.required"
    assert 'no column "Amuont"; did you mean "Amount"?' in first.message
    assert 'no column "X"' in second.message


class OneTemplate:
    """A tenant that knows one template, as far as the checks ask it."""

    def __init__(self, known: str, error: TenantError) -> None:
        self.known, self.error = known, error
        self.probed = False

    async def mapping(self, template_name: str) -> Mapping:
        """The template's, or the error."""
        if template_name != self.known:
            raise self.error
        return Mapping("DD-MON-YYYY", (MappedColumn("Id", "ID", ColumnType.CHARACTER),))

    async def probe(self) -> None:
        """Noted."""
        self.probed = True


async def test_a_date_mask_that_cant_be_checked(tmp_path: Path) -> None:
    """Every drop of the folder would wait for it, so it is found before the first."""

    class Dated(OneTemplate):
        async def mapping(self, template_name: str) -> Mapping:
            return Mapping("Q-YYYY", (MappedColumn("Id", "ID", ColumnType.DATE),))

    findings = wrong(await asked(online(tmp_path), Dated("", Forbidden(""))))
    [first, second] = [finding for finding in findings if finding.code == "template.date_mask"]
    assert (first.subject, second.subject) == ("templates.transactions", "templates.events")
    assert "[templates.transactions.csv]" in first.next_step


class Batches:
    """A journal that lists these rows, or refuses."""

    def __init__(self, *rows: Listed, error: Exception | None = None) -> None:
        self.rows, self.error = list(rows), error

    async def listed(self) -> list[Listed]:
        """The rows, or the error."""
        if self.error is not None:
            raise self.error
        return self.rows


async def asked(
    config: Config, tenant: OneTemplate, batches: Batches | None = None
) -> list[Finding]:
    """What `check --online` finds."""
    journal = cast("Journal", batches or Batches(error=AssertionError("it was not to be asked")))
    return await look_online(config, cast("Tenant", tenant), journal)


def online(tmp_path: Path) -> Config:
    """Both folders take the tenant's mapping, and each names a column."""
    config = tree(tmp_path, more='checks.unique = ["Id"]')
    text = config.path.read_text().replace('mapping = "mapping.toml"', "")
    config.path.write_text(text + 'checks.unique = ["Other"]\n')
    return load(config.path)


async def test_online(tmp_path: Path) -> None:
    """Each folder's mapping is fetched; one unknown template says nothing about the others."""
    error = Forbidden("no such template", hint="compare the names")
    config = online(tmp_path)
    findings = await asked(config, OneTemplate("Event Upload", error))
    assert subjects(findings) == [
        "tenant",
        "templates.transactions",
        "templates.events",
        "templates.events.checks.unique",
    ]
    assert subjects(wrong(findings)) == ["templates.transactions", "templates.events.checks.unique"]


async def test_sign_in_refused(tmp_path: Path) -> None:
    """What concerns the tenant is told once."""
    error = SignInRefused("wrong password", hint="mend it")
    findings = await asked(online(tmp_path), OneTemplate("", error))
    [finding] = wrong(findings)
    assert (finding.subject, finding.message, finding.next_step) == (
        "tenant",
        "wrong password",
        "mend it; then `revsyncd check --online`",
    )


async def test_nothing_to_fetch(tmp_path: Path) -> None:
    """With mapping files alone the tenant is probed."""
    config = tree(tmp_path)
    text = config.path.read_text().replace('ready = "marker"', 'mapping = "mapping.toml"')
    config.path.write_text(text)
    tenant = OneTemplate("", Forbidden(""))
    assert wrong(await asked(load(config.path), tenant)) == []
    assert tenant.probed


def with_batches(config: Config) -> Config:
    """The same with a `[gl]`."""
    config.path.write_text(config.path.read_text() + '[gl]\nconfirm = "written"\n')
    return load(config.path)


async def test_batches_are_listed(config: Config) -> None:
    """Where there is a `[gl]`: that they can be, and how many wait."""
    row = Listed("1", "a", "Ready to Transfer", "x", "2")
    tenant = OneTemplate("Event Upload", Forbidden("x", hint="y"))
    batches = Batches(row, replace(row, status="NEW"))
    findings = await asked(with_batches(config), tenant, batches)
    assert [f.message for f in findings if f.subject == "gl"] == [
        "batches can be listed; ready to transfer: 1"
    ]


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (Forbidden("GET /v1/journal/list: HTTP 403"), "Webservices Outbound privilege"),
        (TenantUnusable("GET /v1/journal/list: HTTP 405", hint="ask Support"), "ask Support"),
    ],
)
async def test_batches_that_cant_be_listed(config: Config, error: TenantError, step: str) -> None:
    """A role without the privilege, or an API that is not enabled, is found before period close."""
    tenant = OneTemplate("Event Upload", Forbidden("x", hint="y"))
    findings = await asked(with_batches(config), tenant, Batches(error=error))
    [finding] = [f for f in wrong(findings) if f.subject == "gl"]
    assert error.message in finding.message
    assert step in finding.next_step
    assert "templates.events" in subjects(findings)


def test_the_manual_has_every_finding() -> None:
    """The table in docs/check.md is `revsyncd.checkup.findings.table()`, line by line."""
    manual = (ROOT / "docs" / "check.md").read_text()
    assert "\n".join(table()) in manual


def test_every_kind_is_found_somewhere() -> None:
    """A code that nothing tells would be a promise that nobody keeps."""
    sources = [
        *(ROOT / "revsyncd" / "checkup").glob("*.py"),
        ROOT / "revsyncd" / "cli" / "check.py",
    ]
    told = "".join(path.read_text() for path in sources if path.name != "findings.py")
    assert [code for code in KINDS if f'"{code}"' not in told] == []
