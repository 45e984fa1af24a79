"""The Debian package as a file: what is in it, and what Debian says of it."""

import gzip
import shutil
import subprocess
from pathlib import Path

import deb
import pytest

SOURCE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its files, with the control files in DEBIAN."""
    place = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["dpkg-deb", "-R", package, place], check=True)
    return place


def test_everything_has_its_place(unpacked: Path) -> None:
    """Unit, account, directories, example, man page, completions and documentation are where Debian looks."""
    for name in (
        "usr/lib/systemd/system/revsyncd@.service",
        "usr/lib/sysusers.d/revsyncd.conf",
        "usr/lib/tmpfiles.d/revsyncd.conf",
        "etc/revsyncd/example.toml",
        "usr/share/man/man1/revsyncd.1.gz",
        "usr/share/bash-completion/completions/revsyncd",
        "usr/share/zsh/vendor-completions/_revsyncd",
        "usr/share/fish/vendor_completions.d/revsyncd.fish",
        "usr/share/doc/revsyncd/docs/operations.md",
        "usr/share/doc/revsyncd/examples/egress-proxy.conf",
        "usr/share/doc/revsyncd/examples/credentials.conf",
    ):
        assert (unpacked / name).is_file(), name
    page = gzip.decompress((unpacked / "usr/share/man/man1/revsyncd.1.gz").read_bytes())
    assert page == (SOURCE / "packages/share/man/man1/revsyncd.1").read_bytes()
    unit = (unpacked / "usr/lib/systemd/system/revsyncd@.service").read_text()
    assert "ExecStart=/usr/bin/revsyncd run " in unit
    assert (unpacked / "usr/bin/revsyncd").readlink() == Path("../lib/revsyncd/bin/revsyncd")


def test_nothing_of_the_building_machine_is_in_it(unpacked: Path) -> None:
    """No path of the checkout, no compiled module, no pip."""
    for path in unpacked.rglob("*"):
        assert path.suffix != ".pyc"
        assert path.name not in ("pip", "direct_url.json", "RECORD")
        if path.is_file() and not path.is_symlink():
            assert str(SOURCE).encode() not in path.read_bytes(), path


def test_the_versions_are_the_pinned_ones(unpacked: Path) -> None:
    """Every library in it is one of constraints.txt, in that version."""
    pins = (SOURCE / "constraints.txt").read_text().lower().replace("-", "_").splitlines()
    inside = [p.name.removesuffix(".dist-info").lower() for p in unpacked.rglob("*.dist-info")]
    ours = [name for name in inside if name.startswith("revsyncd-")]
    assert len(ours) == 1
    for name in set(inside) - set(ours):
        assert name.replace("-", "==", 1).replace("-", "_") in pins


@pytest.mark.packaging
def test_debian_has_no_objection(package: Path) -> None:
    """Lintian finds neither errors nor warnings; each override says why."""
    if shutil.which("lintian") is None:
        pytest.skip("lintian is not installed (Debian: lintian)")
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on=error,warning", str(package)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


@pytest.mark.packaging
def test_the_same_sources_give_the_same_bytes(package: Path, tmp_path: Path) -> None:
    """Built again, elsewhere and later, the package is the same."""
    assert deb.build(tmp_path).read_bytes() == package.read_bytes()
