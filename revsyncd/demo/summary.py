"""The end of the demo: where every file is and why, what was promised and held, where to look next."""

from revsyncd.demo.findings import Found
from revsyncd.demo.promises import Promise
from revsyncd.demo.telling import Teller
from revsyncd.demo.tree import Tree

_COLOURS = {"done": "green", "failed": "red", "held": "yellow"}
_ROW = "{:<32} {:<7} {:<19} {:>8} {:>9}"


def tell(teller: Teller, found: list[Found], promises: list[Promise], tree: Tree | None) -> bool:
    """Tell all of it; returns whether every promise was kept. `tree` is None when it goes away."""
    _table(teller, found)
    _promises(teller, promises)
    _next(teller, found, tree)
    broken = [promise for promise in promises if not promise.kept]
    teller.line()
    if not broken:
        teller.line(f"all as promised ({len(promises)} comparisons)", "green")
        return True
    teller.line(f"not as promised: {len(broken)} of {len(promises)}", "red")
    for promise in broken:
        teller.wrapped(f"{promise.words}: {promise.found}", "red", indent="    ", first="  ")
    return False


def _table(teller: Teller, found: list[Found]) -> None:
    teller.heading("Where every file is, and why")
    teller.line(_ROW.format("file", "in", "reason", "records", "at tenant"), "dim")
    for each in found:
        shelf = each.shelf or "?"
        reason = str(each.report.get("reason", "?")).replace("_", " ")
        name, records = each.dropped.sheet.file, f"{each.dropped.sheet.records:,}"
        row = _ROW.format(name, f"{shelf}/", reason, records, f"{each.at_tenant:,}")
        teller.line(row, _COLOURS.get(shelf, ""))
        if each.report.get("reason") != "staged":
            teller.wrapped(str(each.report.get("message", "no report")), "dim", indent="    ")


def _promises(teller: Teller, promises: list[Promise]) -> None:
    teller.heading("What was promised, compared with the folders and the tenant's own copy")
    for promise in promises:
        sign, colour = ("ok  ", "") if promise.kept else ("NOT ", "red")
        teller.wrapped(f"{promise.words}: {promise.found}", colour, indent="    ", first=sign)


def _next(teller: Teller, found: list[Found], tree: Tree | None) -> None:
    """What the reports ask of people, and where everything is."""
    teller.heading("What to look at next")
    for each in found:
        if each.shelf != "done" and each.report.get("next_step"):
            step = f"{each.dropped.sheet.file}: {each.report['next_step']}"
            teller.wrapped(step, indent="    ", first="")
    if tree is None:
        teller.wrapped("`revsyncd demo --keep DIR` leaves folders, reports and ledger in DIR.")
        return
    for words, path in (
        ("drops, reports, errors.csv", tree.root),
        ("what the tenant stored", tree.tenant / "uploads"),
        ("the daemon's log", tree.log),
        ("its configuration", tree.config),
    ):
        teller.line(f"{words:<28} {path}")
    teller.line(f"{'all drops, once more':<28} revsyncd status --config {tree.config}")
