"""Whether the configuration names columns and dates as the templates have them."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from revsyncd.checkup.findings import Finding, found
from revsyncd.config import Config, Folder, load_mapping
from revsyncd.core.dates import DateMask
from revsyncd.core.errors import ConfigError
from revsyncd.core.template import ColumnType, Mapping


def mapping_files(config: Config) -> Iterator[Finding]:
    """The folders whose mapping is a file."""
    for folder in config.folders:
        if folder.mapping is None:
            continue
        try:
            mapping = load_mapping(folder.mapping)
        except ConfigError as error:
            for problem in error.problems:
                yield found("template.mapping_file", f"templates.{folder.name}.mapping", problem)
        else:
            yield from against(folder, mapping)


def against(folder: Folder, mapping: Mapping) -> Iterator[Finding]:
    """What a folder's keys and its template's mapping disagree about."""
    yield from _labels(folder, mapping)
    yield from _dates(folder, mapping)


def _labels(folder: Folder, mapping: Mapping) -> Iterator[Finding]:
    """Columns that the folder's keys name and its template does not have."""
    known = {_plain(label): label for label in mapping.labels}
    for key, labels in _named_columns(folder):
        for label in labels:
            if label and _plain(label) not in known:
                near = get_close_matches(_plain(label), known, n=1)
                hint = f'; did you mean "{known[near[0]]}"?' if near else ""
                told = f'"{folder.template_name}" has no column "{label}"{hint}'
                yield found("template.column", f"templates.{folder.name}.{key}", told)


def _dates(folder: Folder, mapping: Mapping) -> Iterator[Finding]:
    if all(column.type is not ColumnType.DATE for column in mapping.columns):
        return
    try:
        DateMask(folder.rules().date_format or mapping.date_format)
    except ValueError as error:
        told = f'the dates of "{folder.template_name}" can\'t be checked: {error}'
        yield found("template.date_mask", f"templates.{folder.name}", told, folder=folder.name)


def _plain(label: str) -> str:
    """How the checks compare labels."""
    return label.strip().casefold()


def _named_columns(folder: Folder) -> Iterator[tuple[str, Iterable[str]]]:
    checks, keys = folder.checks, folder.keys
    yield "keep_together", folder.keep_together
    yield "keys.so_line_id", (keys.so_line_id,)
    yield "keys.inv_line_id", (keys.inv_line_id,)
    yield "checks.required", checks.required
    yield "checks.unique", checks.unique
    yield "checks.totals", checks.totals
    yield "checks.totals_by", checks.totals_by
    yield "checks.allowed", checks.allowed
