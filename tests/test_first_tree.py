import os
import stat
from pathlib import Path

import pytest

from revsyncd import first_tree
from revsyncd.config import load
from revsyncd.core.errors import RevsyncdError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def everything(directory: Path) -> dict[str, bytes | None]:
    found = sorted(directory.rglob("*"))
    return {str(p.relative_to(directory)): p.read_bytes() if p.is_file() else None for p in found}


def test_init(tmp_path: Path) -> None:
    """A first tree is a configuration that loads and the folders that it names, all of them told."""
    home = tmp_path / "new" / "tree"
    made = first_tree.init(home)
    config = load(home / "config.toml", {})
    assert (config.root, config.state_dir) == (home / "root", home / "state")
    assert {str(path.relative_to(home)) for path in made} == set(everything(home))
    inside = {path.name for path in (config.root / "transactions").iterdir()}
    assert inside == {"inbox", "done", "failed", "held", ".work"}


def test_modes(tmp_path: Path) -> None:
    """Whatever the umask: the group writes the inbox and reads the rest, others see nothing."""
    before = os.umask(0o077)
    try:
        first_tree.init(tmp_path)
    finally:
        os.umask(before)
    folder = tmp_path / "root" / "transactions"
    assert mode(folder / "inbox") & 0o777 == 0o770
    assert mode(folder / "done") & 0o777 == 0o750
    assert mode(folder / ".work") & 0o777 == 0o700
    assert mode(tmp_path / "state") == 0o700
    assert mode(tmp_path / "config.toml") & 0o007 == 0


def test_group_is_handed_down(tmp_path: Path) -> None:
    """What is made inside a folder belongs to the folder's group."""
    first_tree.init(tmp_path)
    assert mode(tmp_path / "root" / "transactions" / "inbox") & stat.S_ISGID


def test_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative directory is where the person stands, and the configuration says so in full."""
    monkeypatch.chdir(tmp_path)
    first_tree.init(Path("here"))
    assert load(Path("here/config.toml"), {}).root == tmp_path / "here" / "root"


@pytest.mark.parametrize("name", ["config.toml", "root", "state"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    """Where one of the three is, even as a dead link, nothing at all is done."""
    (tmp_path / name).symlink_to("nowhere")
    with pytest.raises(RevsyncdError, match="is there already") as caught:
        first_tree.init(tmp_path)
    assert caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_quoted_name(tmp_path: Path) -> None:
    """Quotes and backslashes in the directory's name are no trouble."""
    home = tmp_path / 'it\'s "a" \\1 \\d'
    first_tree.init(home)
    assert load(home / "config.toml", {}).root == home / "root"


@pytest.mark.parametrize("name", ["a\nb", "a\udcff"])
def test_unprintable_name(tmp_path: Path, name: str) -> None:
    """A directory that no configuration could name is refused before anything is made."""
    with pytest.raises(RevsyncdError, match="holds characters"):
        first_tree.init(tmp_path / name)
    assert everything(tmp_path) == {}


def test_not_a_directory(tmp_path: Path) -> None:
    """A file in the way is told by name, with what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RevsyncdError, match="can't be made") as caught:
        first_tree.init(tmp_path / "file" / "tree")
    assert caught.value.hint


def test_make_folders(tmp_path: Path) -> None:
    """Only what is missing is made, and what is there keeps its content and its mode."""
    first_tree.init(tmp_path)
    config = load(tmp_path / "config.toml", {})
    folder = tmp_path / "root" / "transactions"
    (folder / "held").rmdir()
    (folder / "inbox" / "a.csv").write_text("x")
    (folder / "inbox").chmod(0o700)
    assert first_tree.make_folders(config) == [folder / "held"]
    assert first_tree.make_folders(config) == []
    assert mode(folder / "inbox") == 0o700
    assert (folder / "inbox" / "a.csv").read_text() == "x"


def test_shipped_manual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a checkout the manual comes with the package."""
    (tmp_path / "example.toml").write_text("# shipped")
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
    assert first_tree.manual() == "# shipped"
