"""The sender's word about the file against what was counted."""

from decimal import Decimal

from revsyncd.checks.contract import Manifest
from revsyncd.checks.header import folded
from revsyncd.checks.numbers import is_plain
from revsyncd.checks.problems import Problems
from revsyncd.checks.totals import Totals, without


def compare(
    manifest: Manifest, problems: Problems, *, records: int, sha256: str, totals: Totals | None
) -> None:
    """Report each fact of the manifest that the file does not bear out."""
    if manifest.records is not None and manifest.records != records:
        message = (
            f"The manifest says {manifest.records} records, the file has {records}: one of them is another version,"
            " or the file was cut. Drop both again from one export."
        )
        problems.add("manifest.records", message, value=str(records))
    if manifest.sha256 is not None and _hex(manifest.sha256) != sha256:
        message = f"The manifest's sha256 is not that of the file, which is {sha256}: one of them is another version. Drop both again from one export."
        problems.add("manifest.sha256", message, value=sha256)
    summed = totals.totals() if totals else {}
    left_out = totals.unsummed() if totals else {}
    found = {folded(label): (label, total) for label, total in summed.items()}
    for label, said in manifest.totals.items():
        column, total = found.get(folded(label), (label, ""))
        if message := _contradiction(said.strip(), total, left_out.get(column, 0)):
            problems.add("manifest.totals", message, column=column, value=total)


def _hex(sha256: str) -> str:
    return sha256.strip().lower().removeprefix("sha256:")


def _contradiction(said: str, total: str, left_out: int) -> str:
    if not total:
        return f"The manifest has a total of {said} for this column, which could not be found in the file. Correct the label in one of them."
    if not is_plain(said):
        return f'The manifest\'s total "{said[:40]}" is not a plain number such as -1234.50. Have the sender correct it.'
    if Decimal(said) != Decimal(total):
        if left_out:
            return f"The manifest's total is {said}, the file's is {total}{without(left_out)}. Correct these first."
        return (
            f"The manifest's total is {said}, the file's is {total}: one of them is another version."
            " Drop both again from one export."
        )
    return ""
