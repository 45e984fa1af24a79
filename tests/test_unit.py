"""The unit and what comes with it: what the service manager says of them, and what they promise."""

import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1]
SYSTEMD = SOURCE / "systemd"
UNIT = (SYSTEMD / "revsyncd@.service").read_text()
DROP_INS = ("credentials.conf", "egress-proxy.conf")


def needed(program: str) -> str:
    """The program's path; skips the test where it is missing."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed (Debian: systemd)")
    return found


def verified(tmp_path: Path, unit: str) -> str:
    """What systemd says of a unit whose program this machine has."""
    path = tmp_path / "revsyncd@acme.service"
    path.write_text(re.sub(r"(?m)^ExecStart=.*", "ExecStart=/bin/true", unit))
    command = [needed("systemd-analyze"), "verify", str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    ours = [line for line in found.stderr.splitlines() if "revsyncd" in line]
    return "\n".join(ours) + ("" if found.returncode == 0 else f"exit {found.returncode}")


@pytest.mark.parametrize("drop_ins", [(), *((name,) for name in DROP_INS), DROP_INS])
def test_unit(tmp_path: Path, drop_ins: tuple[str, ...]) -> None:
    """The service manager has nothing to say against the unit, with and without its drop-ins."""
    parts = [UNIT, *((SYSTEMD / name).read_text() for name in drop_ins)]
    assert verified(tmp_path, "\n".join(parts)) == ""


def test_broken_unit(tmp_path: Path) -> None:
    """And it would, if there were something."""
    assert "KillMood" in verified(tmp_path, UNIT.replace("KillMode", "KillMood"))


@pytest.mark.parametrize("name", ["revsyncd@.service", *DROP_INS])
def test_every_setting_has_its_reason(name: str) -> None:
    """Each setting has a reason above it, or above the block without blank lines in which it stands."""
    reason = False
    text = (SYSTEMD / name).read_text().partition("[Service]\n")[2].partition("[Install]")[0]
    for line in text.splitlines():
        reason = bool(line) and (reason or line.startswith("#"))
        assert reason or not line or line.startswith("ExecStart="), line


def settings(key: str, text: str = UNIT) -> list[str]:
    return re.findall(rf"(?m)^{key}=(.*)$", text)


def test_every_hardening_setting_has_a_reason_of_its_own() -> None:
    """A sentence stands right above each, lists that go on in a second line excepted."""
    lines = UNIT.partition("# Hardening")[2].partition("[Install]")[0].splitlines()
    for above, line in pairwise(lines):
        again = line.partition("=")[0] == above.partition("=")[0]
        assert not re.match(r"\w+=", line) or again or above.startswith("#"), line


def test_unit_outwaits_the_daemon() -> None:
    """The manager waits longer than the daemon does by default, for uploads and for other answers."""
    (patience,) = settings("TimeoutStopSec")
    manual = (SOURCE / "config" / "revsyncd.toml").read_text()
    (stop_timeout,) = re.findall(r'(?m)^#stop_timeout = "(\d+)s"$', manual)
    (read_timeout,) = re.findall(r'(?m)^#read_timeout = "(\d+)m"$', manual)
    assert int(patience.removesuffix("s")) > max(int(stop_timeout), 60 * int(read_timeout))


def test_unit_has_one_parent() -> None:
    """Two writable places below the root would make renames between them fail."""
    assert settings("ReadWritePaths") == ["/srv/revsync/%i"]


def test_a_bad_configuration_is_not_tried_again() -> None:
    """Every other end is: the daemon says with exit code 78 that only a person can help."""
    assert settings("RestartPreventExitStatus") == ["78"]
    assert settings("Restart") == ["on-failure"]


def test_two_tenants_share_nothing_that_is_written() -> None:
    """Configuration, tree and state of an instance have its name in them."""
    for key in ("ExecStart", "ReadWritePaths", "StateDirectory"):
        assert all("%i" in value for value in settings(key)), key


def exposure(place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`make check`'s look at the exposure, of the files in a copy of the project."""
    command = [sys.executable, str(place / "packages" / "exposure.py")]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment or None
    )


def test_exposure(tmp_path: Path) -> None:
    """The figures are printed, and one that rose is an error."""
    needed("systemd-analyze")
    for name in ("systemd", "packages"):
        shutil.copytree(SOURCE / name, tmp_path / name)
    done = exposure(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "exposure: 1.2 as shipped" in done.stdout
    unit = tmp_path / "systemd" / "revsyncd@.service"
    unit.write_text(unit.read_text().replace("ProtectProc=invisible\n", ""))
    done = exposure(tmp_path)
    assert (done.returncode, "ROSE" in done.stdout) == (1, True)


def test_exposure_where_it_can_not_be_measured() -> None:
    """A machine without systemd is told so in one line; where no skip is allowed that is an error."""
    assert exposure(SOURCE, PATH="/nowhere").stdout.startswith("exposure: not measured")
    assert exposure(SOURCE, PATH="/nowhere").returncode == 0
    assert exposure(SOURCE, PATH="/nowhere", REVSYNCD_TEST_NO_SKIPS="1").returncode == 1


def test_the_account_is_made(tmp_path: Path) -> None:
    """systemd-sysusers makes user and group, without a shell, in any root."""
    (tmp_path / "etc").mkdir()
    sysusers = [needed("systemd-sysusers"), f"--root={tmp_path}"]
    subprocess.run([*sysusers, SYSTEMD / "revsyncd.sysusers.conf"], check=True, capture_output=True)
    (account,) = (tmp_path / "etc" / "passwd").read_text().splitlines()
    assert account.startswith("revsyncd:")
    assert account.endswith(":/var/lib/revsyncd:/usr/sbin/nologin")
    assert (tmp_path / "etc" / "group").read_text().startswith("revsyncd:")


def test_nothing_is_ever_cleaned_away() -> None:
    """Every line for systemd-tmpfiles only makes a directory, without an age."""
    lines = (SYSTEMD / "revsyncd.tmpfiles.conf").read_text().splitlines()
    rules = [line.split() for line in lines if line and not line.startswith("#")]
    assert [rule[0] for rule in rules] == ["d"] * 3
    assert {rule[5] for rule in rules} == {"-"}
