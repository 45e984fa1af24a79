"""Builds the Debian package: `make deb`, or `python packages/deb.py [DIR]`.

Program and libraries are one virtual environment in /usr/lib/revsyncd, in the versions of
constraints.txt; nothing is fetched when the package is installed. The same sources and versions
give the same bytes: times come from SOURCE_DATE_EPOCH, else from the last commit.
"""

import gzip
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

from revsyncd import __version__

SOURCE = Path(__file__).parents[1]
DEBIAN = SOURCE / "packages" / "debian"
HOME = "usr/lib/revsyncd"
# Debian's own: the package depends on its version, and on nothing that this machine has besides.
PYTHON = "/usr/bin/python3"
LAUNCHER = f"""#!/{HOME}/bin/python3 -I
from revsyncd.cli import main

main()
"""
CHANGELOG = """revsyncd ({version}) stable; urgency=medium

  * What changed for users is in /usr/share/doc/revsyncd/CHANGELOG.md.

 -- {maintainer}  {date}
"""


def build(target: Path) -> Path:
    """Build into the directory `target`; returns the package's path."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place, "tree")
        _environment(tree / HOME)
        _share(tree)
        _units(tree)
        _control(tree)
        _settle(tree)
        package = target / f"revsyncd_{__version__}_{_architecture()}.deb"
        _run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(tree), str(package))
    return package


def missing() -> str:
    """What this machine lacks for a build, if anything."""
    programs = ("dpkg-deb", "dpkg", "strip", PYTHON)
    return next((name for name in programs if shutil.which(name) is None), "")


def epoch() -> int:
    """The time that all files get, in seconds."""
    told = os.environ.get("SOURCE_DATE_EPOCH")
    return int(told or _run("git", "-C", str(SOURCE), "log", "-1", "--format=%ct"))


def _environment(home: Path) -> None:
    """The virtual environment without what only its making needs."""
    _run(PYTHON, "-m", "venv", "--without-pip", str(home))
    pip = [sys.executable, "-m", "pip", f"--python={home}/bin/python3", "install", "--quiet"]
    pins = f"--constraint={SOURCE / 'constraints.txt'}"
    _run(*pip, "--no-compile", "--no-warn-script-location", pins, str(SOURCE))
    for name in ("include", "lib64"):
        path = home / name
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    _programs(home / "bin")
    version = re.search(r"(?m)^version = .*$", (home / "pyvenv.cfg").read_text())
    assert version is not None  # noqa: S101  (venv always writes it)
    (home / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\n{version[0]}\n"
    )
    _libraries(home)


def _programs(directory: Path) -> None:
    for path in directory.iterdir():
        path.unlink()
    (directory / "python3").symlink_to("../../../bin/python3")
    (directory / "revsyncd").write_text(LAUNCHER)
    (directory / "revsyncd").chmod(0o755)


def _libraries(home: Path) -> None:
    """No traces of how and where they were installed: the package manager owns them now."""
    for name in ("RECORD", "direct_url.json", "REQUESTED", "INSTALLER"):
        for path in home.rglob(f"*.dist-info/{name}"):
            path.unlink()
    for path in home.rglob("*.so"):
        _run("strip", "--strip-unneeded", str(path))


def _share(tree: Path) -> None:
    """Man page, completions and documentation, where Debian has them."""
    ours, share = tree / HOME / "share", tree / "usr" / "share"
    documents = share / "doc" / "revsyncd"
    (ours / "zsh" / "site-functions").rename(ours / "zsh" / "vendor-completions")
    shutil.move(ours / "revsyncd" / "docs", documents / "docs")
    for name in ("README.md", "CHANGELOG.md"):
        shutil.move(ours / "revsyncd" / name, documents / name)
    (documents / "changelog").write_text(_changelog())
    shutil.copy(DEBIAN / "README.Debian", documents)
    shutil.copy(DEBIAN / "copyright", documents)
    examples = documents / "examples"
    shutil.move(ours / "revsyncd" / "config", examples)
    for name in ("credentials.conf", "egress-proxy.conf"):
        shutil.copy(ours / "revsyncd" / "systemd" / name, examples)
    shutil.rmtree(ours / "revsyncd")
    shutil.copytree(ours, share, dirs_exist_ok=True)
    shutil.rmtree(ours)
    for path in (share / "man/man1/revsyncd.1", documents / "changelog"):
        _zip(path)
    overrides = share / "lintian" / "overrides" / "revsyncd"
    overrides.parent.mkdir(parents=True)
    shutil.copy(DEBIAN / "lintian-overrides", overrides)


def _changelog() -> str:
    """Debian's form of it, as far as Debian's tools want one."""
    maintainer = re.search(r"(?m)^Maintainer: (.*)$", (DEBIAN / "control").read_text())
    assert maintainer is not None  # noqa: S101  (the file is ours)
    date = formatdate(epoch())
    return CHANGELOG.format(version=__version__, maintainer=maintainer[1], date=date)


def _units(tree: Path) -> None:
    lib, command = tree / "usr" / "lib", tree / "usr" / "bin" / "revsyncd"
    unit = (SOURCE / "systemd" / "revsyncd@.service").read_text()
    installed = unit.replace("/opt/revsyncd/bin/revsyncd", "/usr/bin/revsyncd")
    _write(lib / "systemd" / "system" / "revsyncd@.service", installed)
    for kind in ("sysusers", "tmpfiles"):
        text = (SOURCE / "systemd" / f"revsyncd.{kind}.conf").read_text()
        _write(lib / f"{kind}.d" / "revsyncd.conf", text)
    command.parent.mkdir(parents=True)
    command.symlink_to("../lib/revsyncd/bin/revsyncd")
    example = (SOURCE / "config" / "revsyncd.toml").read_text()
    _write(tree / "etc" / "revsyncd" / "example.toml", example)


def _control(tree: Path) -> None:
    place = tree / "DEBIAN"
    place.mkdir()
    (found,) = (tree / HOME / "lib").iterdir()
    major, minor = (int(number) for number in found.name.removeprefix("python").split("."))
    size = sum(p.lstat().st_size for p in tree.rglob("*") if p.is_file()) // 1024
    facts = {
        "VERSION": __version__,
        "ARCHITECTURE": _architecture(),
        "SIZE": str(size),
        "PYTHON": f"{major}.{minor}",
        "NEXT_PYTHON": f"{major}.{minor + 1}",
    }
    control = (DEBIAN / "control").read_text()
    for name, value in facts.items():
        control = control.replace(f"@{name}@", value)
    (place / "control").write_text(control)
    for name in ("postinst", "prerm", "postrm"):
        shutil.copy(DEBIAN / name, place)
        (place / name).chmod(0o755)
    (place / "conffiles").write_text("/etc/revsyncd/example.toml\n")
    (place / "md5sums").write_text("".join(_md5sums(tree)))


def _md5sums(tree: Path) -> Iterator[str]:
    for path in sorted(tree.rglob("*")):
        relative = path.relative_to(tree)
        if path.is_file() and not path.is_symlink() and relative.parts[0] not in ("DEBIAN", "etc"):
            # dpkg's format; it guards against bad disks, not against people.
            digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            yield f"{digest}  {relative}\n"


def _settle(tree: Path) -> None:
    """Modes and times that do not depend on who builds, where and when."""
    at = epoch()
    for path in [tree, *tree.rglob("*")]:
        if not path.is_symlink():
            runs = path.parent.name in ("bin", "DEBIAN") and path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if path.is_dir() or runs else 0o644)
        os.utime(path, (at, at), follow_symlinks=False)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _zip(path: Path) -> None:
    """With neither name nor time in it."""
    packed = gzip.compress(path.read_bytes(), compresslevel=9, mtime=0)
    path.with_name(f"{path.name}.gz").write_bytes(packed)
    path.unlink()


def _architecture() -> str:
    return _run("dpkg", "--print-architecture").strip()


def _run(*command: str) -> str:
    """A program's output; its errors are shown. Raises CalledProcessError."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", "")}
    if command[0] != "git":
        environment["SOURCE_DATE_EPOCH"] = str(epoch())
    done = subprocess.run(  # noqa: S603  (our own words)
        command, check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    return done.stdout


if __name__ == "__main__":
    print(build(Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCE / "dist"))
