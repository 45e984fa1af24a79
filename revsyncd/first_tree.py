"""The first tree: a commented configuration and its folders, for `revsyncd init DIR`.

Made once, by a person; the running daemon makes no inbox, since a missing one is a sign of trouble.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from revsyncd.config import Config, load
from revsyncd.core.errors import RevsyncdError
from revsyncd.core.outbox_names import HELD
from revsyncd.core.places import FolderPlaces, Shelf

# The group is the ERP's and the accountants': setgid hands it down to whatever is made inside.
_SHARED = 0o2770  # the ERP writes into it
_READ = 0o2750  # the group reads
_PRIVATE = 0o700
_CONFIG = 0o640

_IN_CHECKOUT = Path(__file__).parents[1] / "config" / "revsyncd.toml"


def manual() -> str:
    """The commented configuration: as shipped in the wheel, or as it stands in a checkout."""
    shipped = resources.files("revsyncd").joinpath("example.toml")
    source = shipped if shipped.is_file() else _IN_CHECKOUT
    return source.read_text(encoding="utf-8")


def init(directory: Path) -> list[Path]:
    """Make `config.toml`, `root/` with its folders and `state/` in `directory`; returns what was made.

    Raises RevsyncdError when one of the three is there already or something can't be made.
    """
    home = Path(os.path.abspath(directory))  # noqa: PTH100  (links stay as the person wrote them)
    content = _content(home)
    _refuse_existing(home)
    with _explained():
        home.mkdir(parents=True, exist_ok=True)
        path = home / "config.toml"
        _write_new(path, content)
        return [path, *make_folders(load(path, env={}))]


def make_folders(config: Config) -> list[Path]:
    """Make what is missing of the state directory, the root and its folders; returns what was made.

    What is there stays as it is. Modes do not depend on the umask: the group reads all, writes inboxes.
    Raises RevsyncdError when something can't be made.
    """
    with _explained():
        return [path for path, mode in _wanted(config) if _make(path, mode)]


def _wanted(config: Config) -> Iterator[tuple[Path, int]]:
    yield config.state_dir, _PRIVATE
    yield config.root, _READ
    yield config.root / "reports", _READ
    if config.gl.enabled:
        steps = Path(config.gl.outbox).parts
        for length in range(1, len(steps)):
            yield config.root.joinpath(*steps[:length]), _READ
        yield config.outbox, _SHARED
        yield config.outbox / HELD, _READ
    for folder in config.folders:
        places = FolderPlaces(config.root, folder.name)
        yield places.home, _READ
        yield places.inbox, _SHARED
        yield places.work, _PRIVATE
        for shelf in Shelf:
            yield places.shelf(shelf), _READ


def _make(path: Path, mode: int) -> bool:
    """Whether the directory had to be made."""
    if path.is_dir():
        return False
    path.mkdir(parents=True)
    path.chmod(mode)
    return True


def _content(home: Path) -> str:
    """The manual with its places below `home`."""
    if not str(home).isprintable():
        raise RevsyncdError(
            f"{str(home)!r} holds characters that a configuration can't",
            hint="choose a directory with a plain name",
        )
    text = re.sub(
        r'^root = ".*"$', lambda _: _line("root", home / "root"), manual(), flags=re.MULTILINE
    )
    state = _line("state_dir", home / "state")
    return re.sub(r'^#state_dir = ".*"$', lambda _: state, text, flags=re.MULTILINE)


def _line(key: str, path: Path) -> str:
    return f"{key} = {json.dumps(str(path), ensure_ascii=False)}"


def _refuse_existing(home: Path) -> None:
    for name in ("config.toml", "root", "state"):
        if os.path.lexists(home / name):
            raise RevsyncdError(
                f"{home / name} is there already; nothing was changed",
                hint="choose another directory, or move it away",
            )


def _write_new(path: Path, content: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _CONFIG)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(content)


@contextmanager
def _explained() -> Iterator[None]:
    """Errors of the file system as ours, with the next step."""
    try:
        yield
    except OSError as error:
        raise RevsyncdError(
            f"{error.filename}: can't be made: {error.strerror}",
            hint="check the directory above it and its owner",
        ) from error
