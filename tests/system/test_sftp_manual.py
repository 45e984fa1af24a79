"""What docs/sftp.md says of its host beside the drops: what is refused, what is logged, what may be left out."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh
import pytest
from erp_clients import Lftp, Scp, Sftp, script, skip_unless_installed
from sftp_host import INSTANCE, SftpHost, blocks
from strict_tenant import StrictTenant

STOCK = Path("/usr/share/openssh/sshd_config")  # Debian's, as it is installed
MATCHED = (
    "chrootdirectory",
    "forcecommand",
    "authorizedkeysfile",
    "authenticationmethods",
    "disableforwarding",
    "permittty",
    "permituserrc",
    "clientaliveinterval",
    "clientalivecountmax",
)


@pytest.fixture
def inbox(host: SftpHost, tenant: StrictTenant) -> Iterator[Path]:
    """An inbox without a daemon."""
    with host.daemon(tenant, {"transactions": {}}) as daemon:
        yield daemon.site.inbox("transactions")


def test_nothing_but_sftp_is_served(host: SftpHost, inbox: Path, tmp_path: Path) -> None:
    """No shell, no forwarding, no copy by the old protocol; and no links, soft or hard."""
    skip_unless_installed("scp")
    local = tmp_path / "orders.csv"
    local.write_bytes(b"1")
    server = host.server
    ssh = ["ssh", *server.ssh_options, f"{server.user}@127.0.0.1"]
    shell = subprocess.run([*ssh, "id"], check=False, capture_output=True, timeout=60)
    assert b"sftp connections only" in shell.stdout + shell.stderr
    forward = subprocess.run(
        [*ssh, "-W", f"127.0.0.1:{server.port}"],
        check=False,
        capture_output=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert b"SSH-2.0" not in forward.stdout
    with pytest.raises(subprocess.CalledProcessError):
        Scp(server).put_the_old_way(local, "inbox/orders.csv")
    Sftp(server).put(local, "inbox/orders.csv")
    with script(server) as erp:
        for verb in ("symlink", "link"):
            with pytest.raises(asyncssh.SFTPError):
                erp.ask(verb, "inbox/orders.csv", "inbox/other.csv")
    assert [path.name for path in inbox.iterdir()] == ["orders.csv"]


def test_modes_are_the_senders_or_those_of_the_umask(
    host: SftpHost, inbox: Path, tmp_path: Path
) -> None:
    """Some clients send the local mode, less the umask; those that keep it heed no umask."""
    skip_unless_installed("scp", "lftp")
    local, arrived = tmp_path / "orders.csv", inbox / "orders.csv"
    local.write_bytes(b"1")
    found: dict[str, list[str]] = {}
    with script(host.server) as erp:
        for client in (Sftp(host.server), Scp(host.server), Lftp(host.server), erp):
            for mode, put in ((0o600, client.put), (0o666, client.put_preserving)):
                local.chmod(mode)
                put(local, "inbox/orders.csv")
                found.setdefault(client.name, []).append(f"{arrived.stat().st_mode & 0o777:o}")
                arrived.unlink()
    assert found == {
        "sftp": ["600", "666"],
        "scp": ["600", "666"],
        "lftp": ["640", "640"],
        "asyncssh": ["640", "666"],
    }


def test_the_log_tells_a_transfer_that_came_to_its_end_from_one_that_did_not(
    host: SftpHost, inbox: Path
) -> None:
    """By `close` and `forced close`, each with the name and the bytes that were written."""
    home = f"{INSTANCE}/transactions/inbox"
    with log_in_chroot(host) as log:
        with script(host.server) as erp:
            with erp.open(f"{home}/whole.csv") as file:
                file.write(bytes(500))
            erp.open(f"{home}/cut.csv").write(bytes(300))
            erp.die()
        told = lines_until(log, "session closed")
    assert any(f'open "{home}/whole.csv" flags WRITE' in line for line in told)
    ends = [line.partition("]: ")[2] for line in told if "close " in line]
    assert ends == [
        f'close "{home}/whole.csv" bytes read 0 written 500',
        f'forced close "{home}/cut.csv" bytes read 0 written 300',
    ]


@contextmanager
def log_in_chroot(host: SftpHost) -> Iterator[socket.socket]:
    """What a syslog daemon opens there."""
    path = host.chroot / "dev" / "log"
    path.parent.mkdir()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.bind(str(path))
            path.chmod(0o666)
            log.settimeout(60)
            yield log
    finally:
        shutil.rmtree(path.parent)


def lines_until(log: socket.socket, last: str) -> list[str]:
    told: list[str] = []
    while not told or last not in told[-1]:
        told.append(log.recv(4096).decode())
    return told


def test_the_match_block_alone_serves_beside_debians_own_configuration(
    host: SftpHost, tmp_path: Path
) -> None:
    """What holds for an ERP's account is the same, and Debian's `Subsystem` line is no hindrance."""
    if not STOCK.exists():
        pytest.skip(f"{STOCK} is not here (Debian: openssh-server)")
    whole = tmp_path / "sshd_config"
    whole.write_text(host.here(blocks("sshd_config")[0]))
    own = tmp_path / "sshd_config.d" / "revsync.conf"
    own.parent.mkdir()
    own.write_text(whole.read_text()[whole.read_text().index("Match ") :])
    stock = tmp_path / "stock"
    stock.write_text(STOCK.read_text().replace("/etc/ssh/sshd_config.d", str(own.parent)))
    assert effective(host, stock, host.europe) == effective(host, whole, host.europe)
    assert effective(host, stock, "root")["forcecommand"] == "none"


def effective(host: SftpHost, config: Path, user: str) -> dict[str, str]:
    """What sshd would do for this user, by its own word."""
    command = [host.server.sshd, "-T", "-f", str(config), f"-oHostKey={host.server.folder}/host"]
    asked = f"user={user},host=localhost,addr=127.0.0.1"
    done = subprocess.run([*command, "-C", asked], check=True, capture_output=True, text=True)
    found = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if " " in line)
    return {key: found.get(key, "none") for key in MATCHED}
