"""What the wheel brings: everything that an administrator without a checkout needs."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

SOURCE = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZipFile]:
    """The wheel, built by the build backend of this environment, or the package index's."""
    place = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={place}"]
    subprocess.run([*command, str(SOURCE)], check=True, capture_output=True)
    (found,) = place.iterdir()
    with ZipFile(found) as archive:
        yield archive


def files_below(place: str) -> list[Path]:
    return [p for p in (SOURCE / place).rglob("*") if p.is_file() and "__pycache__" not in p.parts]


@pytest.mark.parametrize(
    ("place", "below"),
    [
        ("systemd", "share/revsyncd/systemd"),
        ("config", "share/revsyncd/config"),
        ("docs", "share/revsyncd/docs"),
        ("packages/share", "share"),
    ],
)
def test_everything_beside_the_code_is_there(wheel: ZipFile, place: str, below: str) -> None:
    """Units, snippets, example configuration, documentation, man page and completions, unchanged."""
    assert files_below(place)
    (data,) = {name.split("/")[0] for name in wheel.namelist() if ".data/" in name}
    for path in files_below(place):
        name = f"{data}/data/{below}/{path.relative_to(SOURCE / place)}"
        assert wheel.read(name) == path.read_bytes(), name


def test_the_whole_program_is_there(wheel: ZipFile) -> None:
    """Every module, the manual for `init`, the marker for type checkers; no tests, no scripts."""
    names = set(wheel.namelist())
    modules = {str(p.relative_to(SOURCE)) for p in files_below("revsyncd") if p.suffix == ".py"}
    assert modules <= names
    assert "revsyncd/example.toml" in names
    outside = {n for n in names if not n.startswith("revsyncd/") and ".dist-info/" not in n}
    assert all(".data/data/share/" in name for name in outside)


def test_the_command_is_there(wheel: ZipFile) -> None:
    """`pip` and `pipx` make the command `revsyncd` of it."""
    (entry_points,) = (n for n in wheel.namelist() if n.endswith("/entry_points.txt"))
    assert b"revsyncd = revsyncd.cli:main" in wheel.read(entry_points)
