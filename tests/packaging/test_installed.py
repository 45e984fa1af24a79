"""The package's life on a clean host with systemd: installed, used, killed, upgraded, removed, purged.

One host for all; the tests follow each other as they do in life.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from clean_root import BootedRoot

pytestmark = pytest.mark.packaging
LABELS = ("Doc Line Id", "Type", "Doc Date", "Cstmr Nm", "Curr", "Ord Qty", "Ext Sll Prc")
SSHD = """
Match User erp
    ForceCommand internal-sftp -u 0027
"""
TREE = "/srv/revsync/{0}/root/transactions"


def content(labels: list[str], line_id: str) -> str:
    """A file with one good record for the simulator's "Transaction Upload"."""
    values = {"Doc Line Id": line_id, "Type": "SO", "Doc Num": "D1", "Cstmr Nm": "Müller"}
    values |= {"Start Date": "01-JAN-2026", "End Date": "31-DEC-2026", "Curr": "USD"}
    values |= {"Ext Sll Prc": "10.00", "Doc Date": "01-JAN-2026", "Ord Qty": "1"}
    return "\r\n".join([",".join(labels), ",".join(values.get(x, "") for x in labels), ""])


class Host:
    """What an administrator and an ERP do on the host."""

    def __init__(self, root: BootedRoot) -> None:
        self.root = root
        self.tenant: dict[str, str] = {}
        self.labels: list[str] = []

    def start_tenant(self) -> None:
        """The stand-in that the package brings, as a service of its own."""
        run = "systemd-run --unit=tenant -q /usr/bin/revsyncd simulate --data /var/tmp/tenant"
        self.root.run(*run.split())
        told = self.root.until(r"base_url", "journalctl", "-u", "tenant", "-o", "cat", "--no-pager")
        line = next(line for line in told.splitlines() if '"base_url"' in line)
        self.tenant = json.loads(line)
        self.labels = list(self.tenant["templates"]["Transaction Upload"])  # type: ignore[index]

    def configure(self, name: str) -> None:
        """As README.Debian says, with encrypted credentials."""
        run = self.root.run
        tree = f"/srv/revsync/{name}"
        run("install", "-d", "-o", "revsyncd", "-g", "revsyncd", "-m", "2751", tree)
        run("runuser", "-u", "revsyncd", "--", "revsyncd", "init", tree)
        text = (self.root.path / f"srv/revsync/{name}/config.toml").read_text()
        values = {
            "state_dir": f"/var/lib/revsyncd/{name}",
            "base_url": self.tenant["base_url"],
            "role": self.tenant["role"],
            "client_name": self.tenant["client_name"],
            "username": "credential:revenue-username",
            "password": "credential:revenue-password",
            "settle_time": "1s",
        }
        lines = [
            next(
                (
                    f"{k} = {json.dumps(v)}"
                    for k, v in values.items()
                    if line.lstrip("#").startswith(f"{k} = ")
                ),
                line,
            )
            for line in text.splitlines()
        ]
        self.root.write(f"/etc/revsyncd/{name}.toml", "\n".join(lines) + "\n", 0o640)
        run("chgrp", "revsyncd", f"/etc/revsyncd/{name}.toml")
        run("rm", "-r", f"/srv/revsync/{name}/config.toml", f"/srv/revsync/{name}/state")
        for secret in ("username", "password"):
            target = f"/etc/revsyncd/{name}.{secret}.cred"
            run(
                "systemd-creds",
                "encrypt",
                f"--name=revenue-{secret}",
                "-",
                target,
                text=self.tenant[secret],
            )
        self.drop_in(name, "credentials.conf")

    def drop_in(self, name: str, file: str) -> None:
        """Copy one of the examples to where systemd looks for it."""
        place = f"/etc/systemd/system/revsyncd@{name}.service.d"
        self.root.run(
            "install", "-Dm", "0644", f"/usr/share/doc/revsyncd/examples/{file}", f"{place}/{file}"
        )
        self.root.run("systemctl", "daemon-reload")

    def put(self, file: str, line_id: str, name: str = "acme") -> None:
        """OpenSSH's client, as the ERP's account, over the host's sshd."""
        self.root.write(f"/home/erp/{file}", content(self.labels, line_id))
        batch = f"put /home/erp/{file} {TREE.format(name)}/inbox/{file}"
        self.root.run("runuser", "-l", "erp", "-c", "sftp -b - erp@127.0.0.1", text=batch)

    def done(self, file: str, name: str = "acme") -> dict[str, str]:
        """Await the file in done/, and read its report."""
        place = TREE.format(name)
        settled = rf"(?m)^.*/(done|held|failed)/[^/]+/{file}$"
        log = f"journalctl -u revsyncd@{name} -o cat --no-pager -n 40 >&2"
        found = self.root.until(settled, "sh", "-c", f"find {place}; {log}")
        assert re.search(rf"(?m)/done/[^/]+/{file}$", found), found
        (path,) = (self.root.path / place.lstrip("/")).glob(f"done/*/{file}.report.json")
        report: dict[str, str] = json.loads(path.read_text())
        return report

    def property(self, key: str, name: str = "acme") -> str:
        """What systemd knows of an instance."""
        return self.root.run("systemctl", "show", "-P", key, f"revsyncd@{name}").strip()


@pytest.fixture(scope="module")
def host(root: BootedRoot, package: Path) -> Host:
    """The host with the package's file on it."""
    shutil.copy(package, root.path / "root" / "revsyncd.deb")
    return Host(root)


def test_installs_without_a_network_and_starts_nothing(host: Host) -> None:
    """Account, directories and command are there; no service runs or will run at boot."""
    assert host.root.try_("getent", "hosts", "deb.debian.org").returncode != 0
    host.root.run("dpkg", "-i", "/root/revsyncd.deb")
    assert "revsyncd:x:" in host.root.run("getent", "passwd", "revsyncd")
    assert host.root.run("revsyncd", "--version").startswith("revsyncd ")
    told = host.root.run(
        "stat", "-c", "%U:%G %a", "/srv/revsync", "/var/lib/revsyncd", "/etc/revsyncd"
    )
    assert told.split("\n")[:3] == [
        "root:root 711",
        "revsyncd:revsyncd 700",
        "root:root 755",
    ]
    assert "revsyncd@" not in host.root.run("systemctl", "list-units", "--all", "--no-legend")
    wants = host.root.path / "etc/systemd/system/multi-user.target.wants"
    assert not list(wants.glob("revsyncd@*"))
    assert host.root.run("dpkg", "--verify", "revsyncd") == ""


def test_takes_a_drop_from_a_real_client(host: Host) -> None:
    """Configured as the package's own page says: an SFTP client drops, the service files it in done/."""
    host.start_tenant()
    host.configure("acme")
    host.root.run("useradd", "-m", "-G", "revsyncd", "erp")
    host.root.write("/etc/ssh/sshd_config.d/erp.conf", SSHD)
    host.root.run("systemctl", "reload-or-restart", "ssh")
    key = "mkdir -p ~/.ssh; ssh-keygen -qt ed25519 -N '' -f ~/.ssh/id_ed25519; cp ~/.ssh/id_ed25519.pub ~/.ssh/authorized_keys; ssh-keyscan 127.0.0.1 >~/.ssh/known_hosts"
    host.root.run("runuser", "-l", "erp", "-c", key)
    host.root.run("systemctl", "enable", "--now", "revsyncd@acme")
    host.put("orders.csv", "L1")
    assert host.done("orders.csv")["owner"] == "erp"
    counted = host.root.run(
        "systemd-analyze", "security", "--no-pager", "--threshold=12", "revsyncd@acme"
    )
    assert "Overall exposure level" in counted


def test_survives_a_kill(host: Host) -> None:
    """After `systemctl kill -s KILL` it is started again by itself and goes on."""
    before = host.property("MainPID")
    host.root.run("systemctl", "kill", "-s", "KILL", "revsyncd@acme")
    host.put("killed.csv", "L2")
    host.root.until(r"^1$", "systemctl", "show", "-P", "NRestarts", "revsyncd@acme")
    host.done("killed.csv")
    assert host.property("MainPID") != before


def test_a_bad_configuration_is_not_tried_again(host: Host) -> None:
    """Exit code 78 leaves the service failed, until a person has corrected the file."""
    place = host.root.path / "etc/revsyncd/acme.toml"
    good = place.read_text()
    place.write_text("nonsense = 1\n" + good)
    host.root.try_("systemctl", "restart", "revsyncd@acme")
    host.root.until("^failed$", "systemctl", "show", "-P", "ActiveState", "revsyncd@acme")
    assert host.property("ExecMainStatus") == "78"
    place.write_text(good)
    host.root.run("systemctl", "restart", "revsyncd@acme")
    assert host.property("ActiveState") == "active"


def test_a_second_tenant_behind_loopback_only(host: Host) -> None:
    """Another instance runs beside the first; with egress-proxy.conf it reaches loopback and works."""
    host.configure("beta")
    host.drop_in("beta", "egress-proxy.conf")
    host.root.run("systemctl", "start", "revsyncd@beta")
    host.put("orders.csv", "L3", "beta")
    assert host.done("orders.csv", "beta")["owner"] == "nobody"
    assert host.property("ActiveState") == "active"
    counted = host.root.run(
        "systemd-analyze", "security", "--no-pager", "--threshold=10", "revsyncd@beta"
    )
    assert "Overall exposure level" in counted


def test_upgrades_what_runs(host: Host, package: Path, tmp_path: Path) -> None:
    """Running instances run the new version, a stopped one stays stopped, changed files stay changed."""
    newer = tmp_path / "newer"
    subprocess.run(["dpkg-deb", "-R", package, newer], check=True)
    control = (newer / "DEBIAN/control").read_text()
    (newer / "DEBIAN/control").write_text(control.replace("Version: ", "Version: 9+"))
    shipped = newer / "etc/revsyncd/example.toml"
    shipped.write_text(shipped.read_text() + "# a new key\n")
    target = host.root.path / "root/newer.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-b", newer, target], check=True, capture_output=True
    )
    edited = host.root.path / "etc/revsyncd/example.toml"
    edited.write_text(edited.read_text() + "# ours\n")
    config = (host.root.path / "etc/revsyncd/acme.toml").read_text()
    before = host.property("MainPID")
    host.root.run("systemctl", "stop", "revsyncd@beta")
    host.root.run("dpkg", "--force-confdef", "--force-confold", "-i", "/root/newer.deb")
    assert host.property("ActiveState") == "active"
    assert host.property("MainPID") != before
    assert host.property("ActiveState", "beta") == "inactive"
    assert edited.read_text().endswith("# ours\n")
    assert (host.root.path / "etc/revsyncd/acme.toml").read_text() == config
    host.put("upgraded.csv", "L4")
    host.done("upgraded.csv")


def test_removes_and_purges_the_program_only(host: Host) -> None:
    """The service ends and the program goes; drops, ledgers and configurations stay, and it says so."""
    host.root.run("dpkg", "--remove", "revsyncd")
    assert "revsyncd@" not in host.root.run("systemctl", "list-units", "--no-legend")
    for gone in (
        "usr/lib/revsyncd",
        "usr/bin/revsyncd",
        "usr/lib/systemd/system/revsyncd@.service",
    ):
        assert not (host.root.path / gone).exists(), gone
    told = host.root.run("dpkg", "--purge", "revsyncd")
    for place in ("/etc/revsyncd", "/srv/revsync", "/var/lib/revsyncd"):
        assert f"{place} is left as it is" in told
    assert not (host.root.path / "etc/revsyncd/example.toml").exists()
    assert (host.root.path / "etc/revsyncd/acme.toml").exists()
    assert (host.root.path / "var/lib/revsyncd/acme/ledger.sqlite3").exists()
    inside = host.root.path / TREE.format("acme").lstrip("/")
    filed = {path.name for path in inside.glob("done/*/*.csv")}
    assert filed >= {"orders.csv", "killed.csv", "upgraded.csv"}
