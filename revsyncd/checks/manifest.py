"""The sender's word about the file against what was counted."""

from decimal import Decimal

from revsyncd.checks.contract import Manifest
from revsyncd.checks.header import folded
from revsyncd.checks.numbers import is_plain
from revsyncd.checks.problems import Problems


def compare(
    manifest: Manifest, problems: Problems, *, records: int, sha256: str, totals: dict[str, str]
) -> None:
    """Report each fact of the manifest that the file does not bear out."""
    if manifest.records is not None and manifest.records != records:
        message = f"The manifest says {manifest.records} records, the file has {records}."
        problems.add("manifest.records", message, value=str(records))
    if manifest.sha256 is not None and _hex(manifest.sha256) != sha256:
        message = f"The manifest's sha256 is not that of the file, which is {sha256}: one of them is another version."
        problems.add("manifest.sha256", message, value=sha256)
    found = {folded(label): (label, total) for label, total in totals.items()}
    for label, said in manifest.totals.items():
        column, total = found.get(folded(label), (label, ""))
        if message := _contradiction(said.strip(), total):
            problems.add("manifest.totals", message, column=column, value=total)


def _hex(sha256: str) -> str:
    return sha256.strip().lower().removeprefix("sha256:")


def _contradiction(said: str, total: str) -> str:
    if not total:
        return f"The manifest has a total of {said} for this column, which the file lacks."
    if not is_plain(said):
        return f'The manifest\'s total "{said[:40]}" is not a plain number such as -1234.50.'
    if Decimal(said) != Decimal(total):
        return f"The manifest's total is {said}, the file's is {total}."
    return ""
