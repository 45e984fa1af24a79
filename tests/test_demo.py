import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from revsyncd import demo
from revsyncd.core.errors import RevsyncdError
from revsyncd.core.events import EVENTS
from revsyncd.demo import performance, sample, sheets, summary
from revsyncd.demo.audit import audit
from revsyncd.demo.daemon import read_line
from revsyncd.demo.findings import Case, collect
from revsyncd.demo.journal import Journal, NotSeen
from revsyncd.demo.promises import Dropped, Fate, Promise, Sheet
from revsyncd.demo.sample import LINE_ID, Style
from revsyncd.demo.telling import Teller, counted, in_words
from revsyncd.demo.tree import TRANSACTIONS, Tree, furnish, planted, records_per_upload
from revsyncd.simulator import Settings, Tenant
from revsyncd.simulator.prestage import read_file
from revsyncd.simulator.rules import RULES
from revsyncd.simulator.templates import EVENT_UPLOAD, TRANSACTION_UPLOAD, Template
from revsyncd.simulator.uploads import Arrival, Route

WAIT = 60


# -- the whole -----------------------------------------------------------------------------------


async def test_a_month_end_goes_as_promised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real daemon takes the whole month-end, a file in three parts included, and every comparison holds."""
    home = tmp_path / "kept"
    assert await demo.run(1200, home) == performance.KEPT
    told = capsys.readouterr().out
    assert "all as promised" in told
    assert "NOT " not in told
    assert "$ revsyncd resolve 0" in told
    assert "billing.csv                    sends part 3, 200 records" in told
    assert max(len(line) for line in told.splitlines() if str(home) not in line) <= 100
    bodies = list((home / "tenant" / "uploads").glob("*.csv"))
    assert len(bodies) == 11
    assert (home / "daemon.log").read_text().count('"drop.claimed"') == 12


def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ctrl-C in the middle ends the daemon, removes the tree and exits with 130."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "revsyncd", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        seen = next(line for line in process.stdout if "taken into work" in line)
        daemons = daemons_below(tmp_path)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(WAIT) == performance.INTERRUPTED
    assert seen
    assert daemons  # and perhaps its child, which is to become the process of the checks
    assert "interrupted" in rest
    assert "all as promised" not in rest
    assert daemons_below(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def daemons_below(path: Path) -> list[str]:
    """The processes that run with a configuration below `path`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if b"\0run\0--config\0" + os.fsencode(path) in words:
            found.append(entry.parent.name)
    return found


async def test_a_daemon_that_does_not_start_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the daemon ends at once, the demo says so at once, with its last words, and fails."""
    words = "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"
    monkeypatch.setattr("revsyncd.demo.daemon.PROGRAM", (sys.executable, "-c", words))
    assert await demo.run(10, tmp_path / "kept") == performance.NOT_KEPT
    told = capsys.readouterr().out
    assert "the log says daemon.ready (the daemon ended)" in told
    assert "no such thing" in told
    assert "not as promised" in told


# -- the tree ------------------------------------------------------------------------------------


def test_what_is_there_already_is_never_touched(tmp_path: Path) -> None:
    """A directory that holds something is refused and stays as it is."""
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RevsyncdError, match="is not empty; nothing was changed") as refused:
        anyio.run(demo.run, 10, tmp_path)
    assert "empty one" in refused.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


async def test_a_tree_that_cant_be_made_is_refused(tmp_path: Path) -> None:
    """A path below a file is named with what is wrong with it."""
    (tmp_path / "file").touch()
    with pytest.raises(RevsyncdError, match="file/kept can't be used"):
        await demo.run(10, tmp_path / "file" / "kept")


def test_a_tree_that_nobody_keeps_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `keep` the tree is in the temporary directory, and gone afterwards."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with planted(None) as tree:
        assert tree.home.parent == tmp_path
        furnish(tree, {**Tenant(Settings(), tmp_path / "t").info, "base_url": "http://[::1]:1"}, 10)
        assert (tree.home / "secrets" / "password").stat().st_mode & 0o077 == 0
    assert not tree.home.exists()


@pytest.mark.parametrize(
    ("rows", "limit"), [(1, 500), (1200, 500), (5000, 2000), (1_000_000, 50_000)]
)
def test_the_large_file_takes_three_uploads(rows: int, limit: int) -> None:
    """The limit is two fifths of the file, within what is sensible for the others and the tenant."""
    assert records_per_upload(rows) == limit


# -- sample drops --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "rows"),
    [
        (TRANSACTION_UPLOAD, lambda: sample.transactions("X", 200)),
        (TRANSACTION_UPLOAD, lambda: sample.transactions("X", 200, ("CM",))),
        (EVENT_UPLOAD, lambda: sample.events("X", 200)),
    ],
)
def test_a_good_sample_breaks_no_rule_of_the_tenant(
    tmp_path: Path, template: Template, rows: Callable[[], list[sample.Row]]
) -> None:
    """Every rule that the simulator knows, of whole files and of lines, is kept by every sample line."""
    path = tmp_path / "sample.csv"
    sample.write(path, template.labels, rows(), Style())
    settings = Settings(stage_rules=tuple(rule.code for rule in RULES))
    reading = read_file(path, template, settings)
    assert (reading.records, reading.refusals, reading.lines_in_error) == (200, (), ())


def test_samples_are_the_same_on_every_run_and_not_plain() -> None:
    """The seed is fixed, and the cells hold umlauts, quotes, separators and line breaks."""
    first, again = (list(sample.transactions("X", 60)) for _ in range(2))
    assert first == again != list(sample.transactions("Y", 60))
    cells = "".join(cell for row in first for cell in row.values())
    assert all(character in cells for character in 'üß",\n東')
    assert len({row[LINE_ID] for row in first}) == 60


@pytest.mark.parametrize(
    "style", [Style(), Style("utf-8-sig", ",", "\n"), Style("windows-1252", ";")]
)
def test_what_is_written_is_read_back(tmp_path: Path, style: Style) -> None:
    """Whatever the style: the same labels and cells, and the same bytes in memory as on disk."""
    labels = ["Doc Line Id", "Cstmr Nm", "Start Date", "Absent"]
    rows = list(sample.transactions("X", 30))
    path = tmp_path / "file.csv"
    sample.write(path, labels, rows, style)
    assert path.read_bytes() == sample.written(labels, rows, style)
    read = list(sample.read(path, style))
    assert read == [{label: row.get(label, "") for label in labels} for row in rows]


def test_faults_are_planted_and_righted() -> None:
    """A sheet with faults differs from the right one in exactly those cells."""
    sheet = sheets.BAD_CREDITS
    pairs = enumerate(zip(sheet.rows(), sheet.right(), strict=True), 1)
    differences = {
        record: {label: cell for label, cell in bad.items() if good.get(label) != cell}
        for record, (bad, good) in pairs
        if bad != good
    }
    assert differences == sheet.faults
    righted = [
        {**row, **sheet.right_cells().get(row[LINE_ID], {})}
        for row in sample.only(sheet.rows(), sheet.faults)
    ]
    assert righted == sample.only(sheet.right(), sheet.faults)


# -- the daemon's log ----------------------------------------------------------------------------


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_every_event_can_be_told(event: str) -> None:
    """Whatever the daemon logs, with its facts or without, there are words for it on one line."""
    bare, full = (
        in_words({"event": event, "level": "info", **facts})
        for facts in ({}, {"reason": "in_doubt", "error": "it broke", "part": 2, "records": 7})
    )
    assert bare
    assert full
    assert "\n" not in bare + full


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"event": "drop.checked", "records": 1, "errors": 2}, "checked: 1 record, 2 errors"),
        (
            {"event": "drop.held", "reason": "in_doubt", "error": "gone"},
            "-> held/ (in doubt) - gone",
        ),
        ({"event": "upload.started", "part": 3, "records": 2000}, "sends part 3, 2,000 records"),
        ({"event": "tenant.paused", "error": "405"}, "tenant.paused: 405"),
        ({"event": "raw", "error": "Traceback"}, "Traceback"),
    ],
)
def test_events_are_told_in_plain_words(event: dict[str, object], words: str) -> None:
    """The words say what the facts say; an event without words of its own keeps its name."""
    assert in_words(event) == words


@pytest.mark.parametrize("line", ["Traceback (most recent call last):", "[1]", '{"event": 3}', ""])
def test_what_is_no_event_is_shown_as_it_is(line: str) -> None:
    """A line that is no JSON object with an event is not lost."""
    assert read_line(line) == {"event": "raw", "level": "warning", "error": line}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Escape codes go to a terminal that wants them, and nowhere else."""
    event = {"event": "drop.done", "reason": "staged", "file": "a.csv"}
    monkeypatch.delenv("NO_COLOR", raising=False)
    for stream, coloured in ((Terminal(), True), (io.StringIO(), False)):
        Teller(stream).event(event)
        assert ("\x1b[32m" in stream.getvalue()) is coloured
    monkeypatch.setenv("NO_COLOR", "1")
    Teller(quiet := Terminal()).event(event)
    assert "\x1b" not in quiet.getvalue()


async def test_a_journal_tells_drops_of_one_name_apart() -> None:
    """The n-th drop of a name is the n-th that was claimed; its ending is the last one told."""
    journal = Journal(patience=0)
    for drop, event in (("A", "claimed"), ("B", "claimed"), ("A", "held"), ("A", "done")):
        journal.add({"event": f"drop.{event}", "folder": "f", "file": "x.csv", "drop": drop})
    assert [journal.drop_id("f", "x.csv", nth) for nth in (1, 2, 3)] == ["A", "B", None]
    assert journal.ending("A") == journal.events[-1]
    assert journal.ending("B") is None
    with pytest.raises(NotSeen, match=r"B is settled \(waited 0 s\)"):
        await journal.until(lambda: journal.ending("B"), "B is settled")


# -- the audit -----------------------------------------------------------------------------------

FAULTS = {2: {"Start Date": "01-DEC-2028"}}  # after its end: the tenant puts that line in error
IN_ERROR = "T-000002"


def sheet_of(file: str, rows: list[sample.Row], fate: Fate) -> Sheet:
    return Sheet(TRANSACTIONS, file, len(rows), lambda: rows, fate, "")


@dataclass
class Scene:
    """A finished month-end, made by hand: a file with a line in error, its correction, its repetition."""

    tree: Tree
    tenant: Tenant
    journal: Journal
    dropped: list[Dropped]
    exit_code: int = 0

    @property
    def done(self) -> Path:
        return self.tree.root / TRANSACTIONS / "done" / "2026-11-23"

    def receive(self, file_name: str, content: bytes) -> Path:
        """Let the tenant take an upload; returns where it keeps the body."""
        world, path = self.tenant.world, self.tenant.uploads / file_name
        path.write_bytes(content)
        arrival = Arrival(Route.FILE, TRANSACTION_UPLOAD, file_name, path, len(content), "")
        request_id = world.receive(world.next_request_id(), arrival).request_id
        world.conclude(request_id, read_file(path, TRANSACTION_UPLOAD, self.tenant.settings))
        return path

    def settle(self, dropped: Dropped, drop: str, content: bytes, name: str, **facts: Any) -> None:
        """File a drop with its report, as the daemon would."""
        sheet = dropped.sheet
        self.dropped.append(dropped)
        claimed = {"event": "drop.claimed", "folder": sheet.folder, "file": sheet.file}
        self.journal.add({**claimed, "drop": drop})
        path = self.tree.root / sheet.folder / sheet.fate.outcome / "2026-11-23" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        report = {
            "drop": drop,
            "sha256": dropped.sha256,
            "outcome": sheet.fate.outcome,
            "reason": sheet.fate.reason,
            **facts,
        }
        path.with_name(f"{name}.report.json").write_text(json.dumps(report))

    def edit_report(self, name: str, **changes: object) -> None:
        [path] = self.tree.root.rglob(f"{name}.report.json")
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def promises(self) -> list[Promise]:
        first = min(self.tenant.world.uploads)
        deleted = {(first, IN_ERROR)}
        found = collect(self.tree, self.tenant, self.journal, self.dropped, deleted)
        case = Case(self.tree, self.tenant, self.journal, found, deleted, self.exit_code)
        return audit(case)

    def broken(self) -> list[str]:
        return [promise.words for promise in self.promises() if not promise.kept]


def content_of(rows: list[sample.Row]) -> tuple[bytes, str]:
    content = sample.written(TRANSACTION_UPLOAD.labels, rows, Style())
    return content, hashlib.sha256(content).hexdigest()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A scene in which everything is as promised."""
    tree = Tree(tmp_path)
    tree.complaints.touch()
    made = Scene(tree, Tenant(Settings(), tree.tenant), Journal(0), [])
    right = list(sample.transactions("T", 5))
    rows = list(sample.spoiled(right, FAULTS))
    content, sha256 = content_of(rows)
    sheet = sheet_of("orders.csv", rows, Fate("done", "staged", 4))
    first = Dropped(replace(sheet, in_error=frozenset(FAULTS)), 1, sha256)
    item = {"record": 2, "state": "gone"}
    facts = {"stage_errors": {"items": [item]}, "corrected_by": ["C"]}
    made.settle(first, "A", content, "orders.csv", **facts)
    made.receive("orders.A.p001of001.csv", content)
    again = sheet_of("copy.csv", rows, Fate("held", "duplicate", 0))
    made.settle(
        Dropped(again, 1, sha256, repeats=first), "B", content, "copy.csv", duplicate_of="A"
    )
    content, sha256 = content_of(right[1:2])
    correction = sheet_of("orders.csv.rejects.csv", right[1:2], Fate("done", "staged", 1))
    corrected = Dropped(correction, 1, sha256, corrects=first)
    made.settle(corrected, "C", content, "orders.csv.rejects.C.csv", correction_of="A")
    made.receive("orders.csv.rejects.C.p001of001.csv", content)
    made.tenant.world.upload_begins()
    made.tenant.world.upload_ends()
    made.tenant.world.counts.sign_ins = 1
    return made


def test_a_scene_as_promised_breaks_no_promise(scene: Scene) -> None:
    """The table against which the broken ones below are measured; what was found is told, too."""
    assert scene.broken() == []
    found = {promise.words: promise.found for promise in scene.promises()}
    assert found["the tenant holds every line in done/ exactly once"] == "5 lines"
    assert found["what the tenant took equals what was dropped, cell by cell"] == "2 of 2"


def change_a_stored_cell(scene: Scene) -> None:
    [path] = scene.tenant.uploads.glob("orders.A.*")
    path.write_bytes(path.read_bytes().replace(b"T-2026-10", b"T-2026-11", 1))


def store_an_upload_twice(scene: Scene) -> None:
    [path] = scene.tenant.uploads.glob("orders.A.*")
    scene.receive("foreign.csv", path.read_bytes())


def repeat_an_upload(scene: Scene) -> None:
    [path] = scene.tenant.uploads.glob("orders.A.*")
    scene.receive("orders.A.p001of001.again.csv", path.read_bytes())


def lose_a_stored_line(scene: Scene) -> None:
    [path] = scene.tenant.uploads.glob("orders.A.*")
    path.write_bytes(content_of(list(sample.read(path, Style()))[:-1])[0])


def send_the_duplicate(scene: Scene) -> None:
    scene.receive("copy.B.p001of001.csv", content_of(list(sample.transactions("U", 1)))[0])


def change_a_filed_file(scene: Scene) -> None:
    with (scene.done / "orders.csv").open("ab") as file:
        file.write(b"\r\n")


def damage_a_filed_file(scene: Scene) -> None:
    with (scene.done / "orders.csv").open("ab") as file:
        file.write(b"\xff")


def lose_a_filed_file(scene: Scene) -> None:
    (scene.done / "orders.csv.rejects.C.csv").unlink()


def leave_a_stranger(scene: Scene) -> None:
    inbox = scene.tree.inbox(TRANSACTIONS)
    inbox.mkdir()
    (inbox / "left.csv").touch()


def add_trouble(scene: Scene) -> None:
    scene.journal.add({"event": "service.failed", "error": "it broke"})


def three_uploads_at_once(scene: Scene) -> None:
    for _ in range(3):
        scene.tenant.world.upload_begins()


PLACE = "every file lies once in done/, failed/ or held/, none elsewhere"
BYTES = "every file's bytes are as dropped, its report beside it"
FATE = "every file ended where and why it should"
COUNTS = "the tenant has of every file as many records as promised"
UPLOADS = "every file went in as few uploads as it could"
CELLS = "what the tenant took equals what was dropped, cell by cell"
UNSENT = "of refused and repeated files nothing was sent"
ONCE = "the tenant holds every line in done/ exactly once"
TOLD = "lines in error are told in their file's report"
LINKS = "corrections and what they correct name each other"
TWIN = "the same bytes again are held, the earlier drop named"
PARALLEL = "never more than two uploads at once"
RULES_KEPT = "no call that the tenant's rules forbid"
SIGN_IN = "one sign-in for the whole run"
QUIET = "the daemon tells of no trouble of its own"
STOPPED = "asked to stop, the daemon ended with 0"


@pytest.mark.parametrize(
    ("sabotage", "broken"),
    [
        (change_a_stored_cell, {CELLS}),
        (store_an_upload_twice, {ONCE}),
        (repeat_an_upload, {ONCE, COUNTS, UPLOADS, CELLS}),
        (lose_a_stored_line, {ONCE, COUNTS, CELLS}),
        (send_the_duplicate, {ONCE, COUNTS, UNSENT}),
        (change_a_filed_file, {BYTES}),
        (damage_a_filed_file, {BYTES, CELLS, ONCE}),
        (lose_a_filed_file, {PLACE, BYTES, FATE, CELLS}),
        (leave_a_stranger, {PLACE}),
        (lambda scene: scene.edit_report("orders.csv", reason="resolved"), {FATE}),
        (lambda scene: scene.edit_report("orders.csv", outcome="held"), {FATE}),
        (lambda scene: scene.edit_report("orders.csv", sha256="0"), {BYTES}),
        (lambda scene: scene.edit_report("orders.csv", corrected_by=[]), {LINKS}),
        (lambda scene: scene.edit_report("orders.csv.rejects.C.csv", correction_of=None), {LINKS}),
        (lambda scene: scene.edit_report("orders.csv", stage_errors={}), {TOLD}),
        (lambda scene: scene.edit_report("copy.csv", duplicate_of="C"), {TWIN}),
        (add_trouble, {QUIET}),
        (lambda scene: scene.tree.complaints.write_text("Traceback"), {QUIET}),
        (lambda scene: scene.tenant.world.violation("bom", "a.csv"), {RULES_KEPT}),
        (three_uploads_at_once, {PARALLEL, RULES_KEPT}),
        (lambda scene: setattr(scene.tenant.world.counts, "sign_ins", 2), {SIGN_IN}),
        (lambda scene: setattr(scene, "exit_code", -9), {STOPPED}),
    ],
)
def test_every_broken_promise_is_found(
    scene: Scene, sabotage: Callable[[Scene], object], broken: set[str]
) -> None:
    """Each sabotage breaks the promises that it should, and no other one."""
    sabotage(scene)
    assert set(scene.broken()) == broken


def test_the_end_says_what_was_broken(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """One broken promise is enough: it is named with what was found, and the demo has failed."""
    monkeypatch.setenv("COLUMNS", "100")
    lose_a_filed_file(scene)
    found = collect(scene.tree, scene.tenant, scene.journal, scene.dropped, set())
    stream = io.StringIO()
    assert not summary.tell(Teller(stream), found, scene.promises(), scene.tree)
    told = stream.getvalue()
    assert "not as promised: 4 of 16" in told
    assert f"  {BYTES}: 2 of 3; orders.csv.rejects.csv: not found" in told
    assert f"revsyncd status --config {scene.tree.config}" in told
    assert summary.tell(Teller(stream), found, [Promise("it holds", kept=True)], None)
    assert "all as promised (1 comparisons)" in stream.getvalue()


def test_numbers_are_told_with_their_nouns() -> None:
    """One record, two records, thousands with commas."""
    assert [counted(n, "record") for n in (0, 1, 2000)] == [
        "0 records",
        "1 record",
        "2,000 records",
    ]
