import dataclasses
import re
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import tomli

from revsyncd.config import Config, Listen, load
from revsyncd.config.secrets import SecretRef
from revsyncd.config.structure import keys
from revsyncd.core.errors import ConfigError

MANUAL = Path(__file__).parents[2] / "config" / "revsyncd.toml"

# Shown as examples: they have no default that could stand in a line.
EXAMPLES = {
    "gl.confirm",
    "http.token",
    "tenant.client_id",
    "tenant.client_secret",
    "templates.*.checks.allowed",
    "templates.*.checks.levels",
}


# Dataclasses that are one value in the file, and no table.
VALUES = (SecretRef, Listen)


def all_keys(table: type[Any] = Config, prefix: str = "") -> set[str]:
    found = set()
    for name, field in keys(table).items():
        kind = field.type
        inner = get_args(kind)[-1] if get_origin(kind) is dict else kind
        key = f"{prefix}{name}"
        if isinstance(inner, type) and dataclasses.is_dataclass(inner) and inner not in VALUES:
            found |= all_keys(inner, f"{key}.*." if inner is not kind else f"{key}.")
        else:
            found.add(key)
    return found


def listed_keys(table: dict[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for name, value in table.items():
        key = f"{prefix}{'*' if prefix == 'templates.' else name}"
        ends = not isinstance(value, dict) or key in EXAMPLES
        found |= {key} if ends else listed_keys(value, f"{key}.")
    return found


@pytest.fixture
def complete(tmp_path: Path) -> Path:
    """The manual with every commented line brought to life."""
    path = tmp_path / "complete.toml"
    path.write_text(re.sub(r"(?m)^#(?=\S)", "", MANUAL.read_text()))
    return path


def test_manual_loads() -> None:
    """The manual is a configuration, without a secret of it being there."""
    config = load(MANUAL, {})
    assert [folder.name for folder in config.folders] == ["transactions"]


def test_manual_lists_every_key(complete: Path) -> None:
    """Every key that can be set stands in the manual, and no other."""
    assert listed_keys(tomli.loads(complete.read_text())) == all_keys()


def test_manual_tells_the_defaults(complete: Path) -> None:
    """The commented lines are the defaults: bringing them to life changes nothing but the examples."""
    plain, lively = load(MANUAL, {}), load(complete, {})
    assert without_examples(lively) == without_examples(plain)


def without_examples(config: Config) -> Config:
    tenant = dataclasses.replace(config.tenant, client_id=None, client_secret=None)
    (folder,) = config.folders
    checks = dataclasses.replace(folder.checks, allowed={}, levels={})
    templates = {folder.name: dataclasses.replace(folder, checks=checks)}
    gl = dataclasses.replace(config.gl, confirm="")
    http = dataclasses.replace(config.http, token=None)
    return dataclasses.replace(
        config, path=Path(), tenant=tenant, templates=templates, gl=gl, http=http
    )


ODD = [
    "5",
    "-1",
    '""',
    '"\\u0000\\n"',
    "true",
    "1.5",
    "nan",
    "[]",
    "[[]]",
    "{}",
    "{ a = [{}] }",
    "1979-05-27",
]


@pytest.mark.parametrize("key", sorted(all_keys() | {"tenant", "templates", "templates.*", "log"}))
def test_odd_values(tmp_path: Path, key: str) -> None:
    """Whatever stands at a key, the file loads or each of its problems is told on one line."""
    path = tmp_path / "config.toml"
    for value in ODD:
        path.write_text(f"{key.replace('*', 'orders')} = {value}")
        with pytest.raises(ConfigError) as caught:
            load(path, {})
        assert all(line.isprintable() and ": " in line for line in caught.value.problems)


def test_manual_explains_every_key() -> None:
    """Each key, live or not, has a sentence above it."""
    lines = MANUAL.read_text().splitlines()
    for before, line in pairwise(lines):
        if re.match(r"#?[a-z_]+ = ", line):
            assert before.startswith("# "), line
