"""The package's life on a clean host with systemd: installed, used, killed, upgraded, removed, purged.

One host for all; the tests follow each other as they do in life.
"""

import json
import re
import shlex
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
# A disk whose last blocks only the service may have: what a quota is to the sender.
LITTLE_SPACE = """
mknod /dev/loop-control c 10 237; for n in 0 1 2 3 4 5 6 7; do mknod /dev/loop$n b 7 $n; done
truncate -s 32M /var/tmp/disk; mkfs.ext4 -q -m 40 /var/tmp/disk
root=/srv/revsync/gamma/root; mkdir /var/tmp/mounted
mount -o loop,resuid=$(id -u revsyncd) /var/tmp/disk /var/tmp/mounted
rmdir /var/tmp/mounted/lost+found; cp -a $root/. /var/tmp/mounted
umount /var/tmp/mounted; mount -o loop,resuid=$(id -u revsyncd) /var/tmp/disk $root
"""
DOCS = Path(__file__).parents[2] / "docs"
# The clean root has no sudo; root needs none, and these are the two forms that the manuals use.
SUDO = """#!/bin/sh
if [ "$1" = -u ]; then user=$2; shift 2; exec runuser -u "$user" -- "$@"; fi
exec "$@"
"""
ASK = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], sys.argv[2].encode()).read())"


def commands(page: str, heading: str) -> str:
    """The commands of a section of a manual, as they stand there."""
    section = (DOCS / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))


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
        """As docs/installation.md says, with encrypted credentials."""
        run = self.root.run
        self.follow(commands("installation.md", "After that").replace("acme", name))
        text = (self.root.path / f"etc/revsyncd/{name}.toml").read_text()
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

    def follow(self, script: str) -> str:
        """Carry out commands of a manual; what they printed."""
        return self.root.run("sh", "-euc", script)

    def check(self, name: str, *options: str) -> subprocess.CompletedProcess[str]:
        """`revsyncd check`, as the manual says it."""
        words = ["revsyncd", "check", "--config", f"/etc/revsyncd/{name}.toml", *options]
        return self.root.try_("sudo", "-u", "revsyncd", *words)

    def at_the_tenant(self, **verb: object) -> None:
        """Something that a person does there."""
        address = f"{self.tenant['control_url']}/trouble"
        self.root.run("python3", "-c", ASK, address, json.dumps(verb))

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
    root.write("/usr/bin/sudo", SUDO, 0o755)
    # As Debian's installer writes it, and debootstrap does not; the tenant's reports are on localhost.
    root.write("/etc/hosts", "127.0.0.1 localhost\n")
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


def test_the_command_that_check_prints(host: Host) -> None:
    """It looks at secrets and tenant as the unit does; on a host without a state directory it says so."""
    found = json.loads(host.check("acme", "--online", "--json").stdout)["findings"]
    (step,) = (each["next_step"] for each in found if each["code"] == "tenant.not_asked")
    command = shlex.split(step.partition("`")[2].rstrip("`"))
    told = host.root.run(*command)
    assert "tenant: signed in at" in told
    assert "credential:revenue-password can be read" in told
    aside = [word.replace("/var/lib/revsyncd/acme", "/var/lib/revsyncd/none") for word in command]
    config = (host.root.path / "etc/revsyncd/acme.toml").read_text()
    host.root.write("/etc/revsyncd/none.toml", config.replace("revsyncd/acme", "revsyncd/none"))
    done = host.root.try_(*aside[:-1], "/etc/revsyncd/none.toml")
    assert done.returncode == 1
    assert "install -d -o revsyncd -g revsyncd -m 0700 /var/lib/revsyncd/none" in done.stdout


def test_a_batch_is_taken_and_acknowledged(host: Host) -> None:
    """Under the unit the outbox is made for the group; the ERP reads, acknowledges and removes over SFTP."""
    place = host.root.path / "etc/revsyncd/acme.toml"
    on = 'enabled = true\nconfirm = "acknowledged"\n#confirm'
    place.write_text(re.sub(r"(\[gl\][^[]*?)enabled = false", rf"\1{on}", place.read_text()))
    outbox, log = (
        "/srv/revsync/acme/root/outbox/gl",
        "journalctl -u revsyncd@acme -o cat --no-pager",
    )
    host.at_the_tenant(verb="add_batch", lines=3, name="Close")
    host.root.run("systemctl", "restart", "revsyncd@acme")
    assert host.root.run("stat", "-c", "%U:%G %a", outbox) == "revsyncd:revsyncd 2770\n"
    file = f"{outbox}/GL_5001_Close.csv"
    host.root.write("/home/erp/empty", "")
    host.root.until(r"Close\.csv\.manifest\.json", "sh", "-c", f"ls {outbox}; {log}")
    passable = re.findall(r"(?m)^install .*-m 2751 .*$", commands("sftp.md", "Users and folders"))
    host.follow("\n".join(passable))
    host.follow(commands("sftp.md", "Batches for the ERP").replace("erp-eu", "erp"))
    host.root.run("usermod", "--append", "--groups", "erp", "revsyncd")
    host.root.run("systemctl", "restart", "revsyncd@acme")
    batch = f"get {file} /tmp/batch.csv\nput /home/erp/empty {file}.ack\nrm {file}\n"
    host.root.run("runuser", "-l", "erp", "-c", "sftp -b - erp@127.0.0.1", text=batch)
    host.root.until(r'"gl\.confirmed"', *log.split())
    assert '"gl.outbox"' not in json.dumps(
        [
            each
            for each in json.loads(host.check("acme", "--json").stdout)["findings"]
            if each["code"]
        ]
    )


def test_a_copy_by_cron_is_restored(host: Host) -> None:
    """The line of the manual works with cron's environment; what it made is a ledger that the root takes."""
    table = commands("operations.md", "Backup and restore")
    (path,) = re.findall(r"(?m)^PATH=(.*)$", table)
    (line,) = re.findall(r"(?m)^5 \* \* \* \* revsyncd +(.*)$", table)
    host.root.run(
        *[
            "install",
            "-d",
            "-o",
            "revsyncd",
            "-g",
            "revsyncd",
            "-m",
            "0700",
            "/var/backups/revsyncd",
        ]
    )
    command = line.replace("\\%", "%")
    host.root.run(
        "runuser", "-u", "revsyncd", "--", "env", "-i", f"PATH={path}", "sh", "-c", command
    )
    (copy,) = (host.root.path / "var/backups/revsyncd").iterdir()
    assert re.fullmatch(r"acme-\d\d\.sqlite3", copy.name)
    ledger = "/var/lib/revsyncd/acme/ledger.sqlite3"
    host.root.run("systemctl", "stop", "revsyncd@acme")
    host.root.run("sh", "-c", f"rm {ledger}*")
    install = "install -o revsyncd -g revsyncd -m 0600"
    host.root.run(*install.split(), f"/var/backups/revsyncd/{copy.name}", ledger)
    told = host.root.run(
        *[
            "sudo",
            "-u",
            "revsyncd",
            "revsyncd",
            "ledger",
            "check",
            "--config",
            "/etc/revsyncd/acme.toml",
        ]
    )
    assert "it belongs to this root" in told
    host.root.run("systemctl", "start", "revsyncd@acme")


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


def test_a_sender_without_space(host: Host) -> None:
    """It gets a failure; what it wrote is held as cut by the service, which still has space."""
    if not Path("/dev/loop-control").exists():
        pytest.skip("this kernel has no loop devices")
    host.configure("gamma")
    host.follow(LITTLE_SPACE)
    host.root.run("systemctl", "start", "revsyncd@gamma")
    head, row = content(host.labels, "L9").splitlines()
    host.root.write("/home/erp/large.csv", "\r\n".join([head, *[row] * 200_000, ""]))
    place = TREE.format("gamma")
    batch = f"put /home/erp/large.csv {place}/inbox/large.csv"
    done = host.root.try_("runuser", "-l", "erp", "-c", "sftp -b - erp@127.0.0.1", text=batch)
    assert (done.returncode, "Failure" in done.stdout) == (1, True), done.stdout
    host.root.until(r"held/.*/large\.csv\.report\.json", "find", place)
    # Read inside: the mount is not seen from here.
    report = host.root.run("sh", "-c", f"cat {place}/held/*/large.csv.report.json")
    assert json.loads(report)["reason"] == "incomplete"
    host.root.run("systemctl", "stop", "revsyncd@gamma")
    host.root.run("umount", "/srv/revsync/gamma/root")


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
