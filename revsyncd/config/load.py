"""The configuration file, read: every problem at once, each with its place and a remedy."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import tomli

from revsyncd.config.consistency import clashes
from revsyncd.config.model import Config, Folder, TenantSettings
from revsyncd.config.secrets import SecretRef
from revsyncd.config.structure import Place, Problem, Table, structure
from revsyncd.config.values import Unusable, date_mask
from revsyncd.core.errors import ConfigError
from revsyncd.core.template import Mapping as TemplateMapping

DEFAULT_PATH = Path("/etc/revsyncd/config.toml")


def config_path(option: Path | None, env: Mapping[str, str] | None = None) -> Path:
    """Which file to read: the option's, else $REVSYNCD_CONFIG, else the usual place."""
    named = (os.environ if env is None else env).get("REVSYNCD_CONFIG")
    return option or (Path(named) if named else DEFAULT_PATH)


def load(path: Path, env: Mapping[str, str] | None = None) -> Config:
    """Read the configuration at `path`; secrets stay references, mapping files are tried.

    Relative paths inside it start at its own folder. Raises ConfigError with every problem.
    """
    table = _table(path, "name the file with --config, or let `revsyncd init DIR` write one")
    problems = list(_no_folder(table))
    _default_state_dir(table, os.environ if env is None else env)
    draft, found = structure(table, Config)
    problems += found
    if draft is not None:
        config = _anchored(draft, path)
        problems += _new(problems, [*clashes(config), *_mapping_problems(config)])
        if not problems:
            return config
    raise ConfigError([str(problem) for problem in problems])


def load_mapping(path: Path) -> TemplateMapping:
    """Read a mapping file: `date_format` and `[[columns]]` with label, name and type, in order.

    Raises ConfigError with every problem, each with the file and the place in it.
    """
    mapping, problems = structure(_table(path, "check the path and its owner"), TemplateMapping)
    if mapping is not None:
        problems += _new(problems, _mapping_clashes(mapping))
        if not problems:
            return mapping
    raise ConfigError([f"{path}: {problem}" for problem in problems])


def _table(path: Path, hint: str) -> Table:
    """The file as TOML. Raises ConfigError with line and column."""
    try:
        return tomli.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError([f"{path}: can't be read: {error.strerror}; {hint}"]) from error
    except UnicodeDecodeError as error:
        text = f"is not UTF-8 from byte {error.start + 1} on; save it as UTF-8"
        raise ConfigError([f"{path}: {text}"]) from error
    except tomli.TOMLDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ConfigError([f"{path}: {place}: {_remedy(error)}"]) from error


def _remedy(error: tomli.TOMLDecodeError) -> str:
    if error.doc.startswith("\ufeff"):
        return "begins with a byte order mark; save it as UTF-8 without one"
    return f"{error.msg}; correct the TOML there"


def _no_folder(table: Table) -> Iterator[Problem]:
    if table.get("templates", {}) == {}:
        yield Problem((("templates",),), "no folder is configured; add a section [templates.NAME]")


def _default_state_dir(table: Table, env: Mapping[str, str]) -> None:
    """The service manager names the state directories it made, the first being ours, separated by colons."""
    given = env.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        table.setdefault("state_dir", given)


def _new(known: list[Problem], found: list[Problem]) -> list[Problem]:
    """Those that are not mere consequences: none of their keys has a problem of its own."""
    faulty = {problem.place for problem in known}
    return [p for p in found if not any(_within(place, faulty) for place in p.places)]


def _within(place: Place, faulty: set[Place]) -> bool:
    return any(place[:length] in faulty for length in range(1, len(place) + 1))


def _anchored(config: Config, path: Path) -> Config:
    """With relative paths made absolute, and every folder told its name."""
    base = Path(os.path.abspath(path)).parent  # noqa: PTH100  (a link to the file stays a link)
    templates = {
        name: _anchored_folder(name, folder, base) for name, folder in config.templates.items()
    }
    return replace(
        config,
        path=path,
        tenant=_anchored_tenant(config.tenant, base),
        templates=templates,
        http=replace(config.http, token=_anchored_secret(config.http.token, base)),
    )


def _anchored_folder(name: str, folder: Folder, base: Path) -> Folder:
    return replace(folder, name=name, mapping=base / folder.mapping if folder.mapping else None)


def _anchored_tenant(tenant: TenantSettings, base: Path) -> TenantSettings:
    return replace(
        tenant,
        ca_file=base / tenant.ca_file if tenant.ca_file else None,
        username=_anchored_secret(tenant.username, base),
        password=_anchored_secret(tenant.password, base),
        client_id=_anchored_secret(tenant.client_id, base),
        client_secret=_anchored_secret(tenant.client_secret, base),
    )


def _anchored_secret(ref: SecretRef | None, base: Path) -> SecretRef | None:
    return ref.anchored(base) if ref else None


def _mapping_problems(config: Config) -> Iterator[Problem]:
    for folder in config.folders:
        if folder.mapping is not None:
            try:
                load_mapping(folder.mapping)
            except ConfigError as error:
                place = ("templates", folder.name, "mapping")
                yield from (Problem((place,), text) for text in error.problems)


def _mapping_clashes(mapping: TemplateMapping) -> list[Problem]:
    """What the tenant would never say: no columns, blank words, two columns of one label."""
    problems: list[Problem] = []
    if not mapping.columns:
        problems.append(Problem((("columns",),), "there are none; add [[columns]] tables"))
    if text := _mask_problem(mapping.date_format):
        problems.append(Problem((("date_format",),), text))
    return [*problems, *_label_clashes(mapping)]


def _mask_problem(mask: str) -> str:
    if not mask:
        return 'is empty; write a mask such as "DD-MON-YYYY"'
    try:
        date_mask(mask)
    except Unusable as error:
        return str(error)
    return ""


def _label_clashes(mapping: TemplateMapping) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, column in enumerate(mapping.columns):
        place = ("columns", index, "label")
        label = column.label.strip().casefold()
        if not label or not column.name.strip():
            yield Problem((place,), "label and name must not be blank; write both")
        elif label in seen:
            yield Problem((place,), "the same label stands further up; each column needs its own")
        seen.add(label)
