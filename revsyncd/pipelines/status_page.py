"""The status as one page for people: plain HTML that needs no script, no picture and no other file.

Whatever stands in a name or a message is text here, never markup: every value goes through `_text`.
"""

import base64
import hashlib
import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from revsyncd.pipelines.overview import OPEN
from revsyncd.pipelines.readings import Waits
from revsyncd.pipelines.status_files import local

Data = Mapping[str, Any]
Row = Sequence[str]

MOST_ROWS = 200  # of one table; what is more is counted
_SETTLED_SHOWN = 20
_WORK_NEXT = "Nothing: it goes on by itself."
_NOTHING = "Nothing is held or stopped: no drop waits for a person."

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #8886; padding: .35rem .75rem .35rem 0; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
.well { border-left: .4rem solid #2a8a3a; padding-left: .75rem; }
.ill { border-left: .4rem solid #c22; padding-left: .75rem; }
.quiet { opacity: .75; }
"""
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

# Nothing is loaded, nothing runs, nobody frames it; the one style is named by its digest.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def render(
    status: Data, waiting: Mapping[str, Sequence[Waits]], red: Sequence[str], zone: tzinfo | None
) -> str:
    """The whole page. `red` is why the daemon can't do all of its work; times are those of `zone`."""
    body = [
        "<h1>revsyncd</h1>",
        *_summary(status, red),
        *_held(status["drops"], zone),
        *_in_work(status["drops"], zone),
        *_waiting(waiting, zone),
        *_batches(status["gl"], zone),
        *_folders(status["folders"], zone),
        *_settled(status["settled"], zone),
        _paragraph(
            f"As of {_when(status['at'], zone)}. Load the page again to see what is new.", "quiet"
        ),
    ]
    head = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>revsyncd: {_text(_title(status))}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
    )
    return head + "\n".join(body) + "\n</body>\n</html>\n"


def _title(status: Data) -> str:
    needs = len(status["needs_a_person"])
    return f"{needs:,} to look at" if needs else "nothing to do for you"


def _summary(status: Data, red: Sequence[str]) -> Iterator[str]:
    needs = len(status["needs_a_person"])
    told = f"{needs:,} {'thing needs' if needs == 1 else 'things need'} a person: see below."
    yield _paragraph(told if needs else _NOTHING, "ill" if needs else "well")
    yield _paragraph(f"Tenant: {status['tenant']['base_url']}")
    yield from (_paragraph(reason, "ill") for reason in red)


# -- what is open ----------------------------------------------------------------------------------


def _held(drops: Iterable[Data], zone: tzinfo | None) -> Iterator[str]:
    held = [drop for drop in drops if drop["state"] == "held"]
    rows = [
        (
            drop["folder"],
            drop["file"],
            _when(drop["since"], zone),
            drop["message"],
            drop["next_step"] or "",
            drop["drop"],
        )
        for drop in held
    ]
    columns = ("Folder", "File", "Held since", "Why", "What to do", "Drop")
    yield from _section("Held: a person must look", columns, rows, "Nothing is held.")


def _in_work(drops: Iterable[Data], zone: tzinfo | None) -> Iterator[str]:
    rows = [
        (
            drop["folder"],
            drop["file"],
            _when(drop["received_at"], zone),
            drop["in_words"],
            _number(drop["records"]),
            drop["next_step"] or drop["message"] or _WORK_NEXT,
        )
        for drop in drops
        if drop["state"] != "held"
    ]
    columns = ("Folder", "File", "Received", "State", "Records", "What to do")
    yield from _section("In work", columns, rows, "Nothing is in work.")


def _waiting(waiting: Mapping[str, Sequence[Waits]], zone: tzinfo | None) -> Iterator[str]:
    rows = [
        (folder, waits.file, local(waits.since, zone))
        for folder, of_folder in waiting.items()
        for waits in of_folder
    ]
    columns = ("Folder", "File", "Seen since")
    yield from _section("Waiting in the inbox", columns, rows, "Nothing is waiting.")


def _batches(gl: Data | None, zone: tzinfo | None) -> Iterator[str]:
    if gl is None:
        return
    rows = [
        (
            batch["batch"],
            batch["name"],
            batch["in_words"] + ("; late" if batch["late"] else ""),
            _when(batch["since"], zone),
            batch["message"],
            batch["next_step"] or "",
        )
        for batch in gl["batches"]
    ]
    columns = ("Batch", "Name", "State", "Since", "Why", "What to do")
    yield from _section("General-ledger batches", columns, rows, "No batch is open.")


# -- the rest --------------------------------------------------------------------------------------


def _folders(folders: Iterable[Data], zone: tzinfo | None) -> Iterator[str]:
    rows = [
        (
            folder["folder"],
            "goes on" if folder["state"] == OPEN else folder["state"].replace("_", " "),
            _when(folder["since"], zone),
            f"{folder['open']:,}",
            f"{folder['held']:,}",
            folder["message"],
            folder["next_step"] or "",
        )
        for folder in folders
    ]
    columns = ("Folder", "State", "Since", "In work", "Held", "Why", "What to do")
    yield from _section("Folders", columns, rows, "There are none.")


def _settled(drops: Sequence[Data], zone: tzinfo | None) -> Iterator[str]:
    rows = [
        (
            drop["folder"],
            drop["file"],
            _when(drop["settled_at"], zone),
            drop["place"].rpartition("/")[0],
            drop["message"],
            drop["next_step"] or "",
        )
        for drop in drops[:_SETTLED_SHOWN]
    ]
    columns = ("Folder", "File", "Settled", "Lies in", "What became of it", "What to do")
    yield from _section("Last settled", columns, rows, "Nothing was settled yet.")


# -- markup ----------------------------------------------------------------------------------------


def _section(title: str, columns: Row, rows: Sequence[Row], nothing: str) -> Iterator[str]:
    count = f" ({len(rows):,})" if rows else ""
    yield f"<h2>{_text(title)}{count}</h2>"
    if not rows:
        yield _paragraph(nothing)
        return
    yield "<table><thead><tr>"
    yield "".join(f'<th scope="col">{_text(column)}</th>' for column in columns)
    yield "</tr></thead><tbody>"
    for row in rows[:MOST_ROWS]:
        yield "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>"
    yield "</tbody></table>"
    if len(rows) > MOST_ROWS:
        yield _paragraph(f"… and {len(rows) - MOST_ROWS:,} more.")


def _paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{_text(text)}</p>' if kind else f"<p>{_text(text)}</p>"


def _text(value: object) -> str:
    """Any value as text between tags or in a quoted attribute."""
    return html.escape(str(value), quote=True)


def _when(moment: str | None, zone: tzinfo | None) -> str:
    return local(datetime.fromisoformat(moment).timestamp(), zone) if moment else ""


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
