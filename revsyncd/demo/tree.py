"""The demo's tree: configuration, secrets and folders, made anew and removed again unless kept."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from revsyncd.config import load
from revsyncd.core.errors import RevsyncdError
from revsyncd.demo.sample import Style
from revsyncd.first_tree import make_folders

TRANSACTIONS, ADJUSTMENTS, EVENTS = "transactions", "adjustments", "events"
STYLES = {
    TRANSACTIONS: Style(),
    ADJUSTMENTS: Style(encoding="windows-1252", delimiter=";"),
    EVENTS: Style(encoding="utf-8-sig", line_end="\n"),
}
TEMPLATES = {
    TRANSACTIONS: "Transaction Upload",
    ADJUSTMENTS: "Small Transactions",
    EVENTS: "Event Upload",
}
_MOST_RECORDS, _FEWEST_RECORDS = 50_000, 500

_CONFIG = """\
# Made by `revsyncd demo`: short times, so that a month-end fits into seconds.
root = {root}
state_dir = {state}

[tenant]
base_url = {base_url}
role = {role}
client_name = {client_name}
username = "file:secrets/username"
password = "file:secrets/password"

[templates.transactions]
template_name = "Transaction Upload"
settle_time = "300ms"
max_records_per_upload = {part}

[templates.transactions.checks]
required = ["Doc Line Id"]
unique = ["Doc Line Id"]
totals = ["Ext Sll Prc"]
totals_by = ["Curr", "Type"]

[templates.adjustments]
template_name = "Small Transactions"
settle_time = "300ms"
on_invalid = "split"

[templates.adjustments.csv]
encoding = "windows-1252"
delimiter = ";"

[templates.events]
template_name = "Event Upload"
kind = "event"
settle_time = "300ms"
after = ["transactions"]

[stage_errors]
every = "1s"

[gl]
confirm = "acknowledged"
every = "1s"

[log]
format = "json"
"""


@dataclass(frozen=True, slots=True)
class Tree:
    """The paths of one demo."""

    home: Path

    @property
    def config(self) -> Path:
        """The daemon's configuration."""
        return self.home / "config.toml"

    @property
    def root(self) -> Path:
        """What the daemon works on."""
        return self.home / "root"

    @property
    def tenant(self) -> Path:
        """Where the simulator keeps what it took."""
        return self.home / "tenant"

    @property
    def log(self) -> Path:
        """The daemon's own log, a JSON object a line."""
        return self.home / "daemon.log"

    @property
    def complaints(self) -> Path:
        """What the daemon's process wrote on stderr: nothing, if all is well."""
        return self.home / "daemon.stderr"

    @property
    def outbox(self) -> Path:
        """Where the ERP finds batches."""
        return self.root / "outbox" / "gl"

    def inbox(self, folder: str) -> Path:
        """Where the ERP drops."""
        return self.root / folder / "inbox"


def records_per_upload(rows: int) -> int:
    """So many that a file of `rows` records takes three uploads, within what a tenant advises."""
    return min(_MOST_RECORDS, max(_FEWEST_RECORDS, -(-rows * 2 // 5)))


@contextmanager
def planted(keep: Path | None) -> Iterator[Tree]:
    """An empty tree: at `keep`, which stays, or in a temporary directory, which goes.

    Raises RevsyncdError when `keep` holds something already or can't be made.
    """
    if keep is not None:
        yield Tree(_empty(Path(os.path.abspath(keep))))  # noqa: PTH100  (links stay as the person wrote them)
        return
    with tempfile.TemporaryDirectory(prefix="revsyncd-demo-") as home:
        yield Tree(Path(home))


def _empty(home: Path) -> Path:
    try:
        home.mkdir(parents=True, exist_ok=True)
        if any(home.iterdir()):
            raise RevsyncdError(
                f"{home} is not empty; nothing was changed",
                hint="name a directory that does not exist yet, or an empty one",
            )
    except OSError as error:
        raise RevsyncdError(
            f"{home} can't be used: {error.strerror}", hint="name another directory to keep"
        ) from error
    return home


def furnish(tree: Tree, info: dict[str, Any], rows: int) -> None:
    """Write configuration and secrets for the tenant of `info`, and make the folders."""
    secrets = tree.home / "secrets"
    secrets.mkdir(mode=0o700)
    for name in ("username", "password"):
        path = secrets / name
        path.touch(mode=0o600)
        path.write_text(f"{info[name]}\n", encoding="utf-8")
    facts = {name: json.dumps(info[name]) for name in ("base_url", "role", "client_name")}
    text = _CONFIG.format(
        root=_quoted(tree.root),
        state=_quoted(tree.home / "state"),
        part=records_per_upload(rows),
        **facts,
    )
    tree.config.write_text(text, encoding="utf-8")
    make_folders(load(tree.config))


def _quoted(path: Path) -> str:
    return json.dumps(str(path), ensure_ascii=False)
