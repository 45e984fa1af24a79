"""What happens on a stand: small histories that touch every step, inbound and outbound."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon import Site, line, lines, table
from prove.invariants import ask
from prove.runs import Host, Kill, Life, Stand, tenant_of

ORDERS = {"settle_time": "5ms", "max_records_per_upload": 2}
_QUIET: dict[str, Any] = {"stage_errors": {"every": "1h"}, "log": {"format": "json"}}


@dataclass(frozen=True, slots=True)
class Scene:
    """A history: how it begins, and when everything that can happen by itself has happened."""

    name: str
    folder: dict[str, Any]
    top: dict[str, Any]
    begin: Callable[[Stand], None]
    over: Callable[[Life], bool]
    expected: tuple[str, str] = ("done", "staged")  # the ending of its drops: outcome and reason
    command: Callable[[Stand], tuple[str, ...]] = (
        lambda _: ()
    )  # a command that is killed, for a daemon

    @contextmanager
    def on(self, home: Path, host: Host, *, without: str = "") -> Iterator[Stand]:
        """A fresh stand on which the history has begun; its tree is removed afterwards."""
        home.mkdir(parents=True)
        outbox = home / "root" / "outbox" / "gl"
        with tenant_of(outbox if self.top.get("gl") else None) as tenant:
            site = Site(home, tenant.introduction(), {"orders": ORDERS | self.folder}, top=self.top)
            site.prepare()
            stand = Stand(home, host, tenant, site, without=without)
            self.begin(stand)
            yield stand
        shutil.rmtree(home, ignore_errors=True)


def _settled(life: Life) -> bool:
    """The ledger has nothing to do any more, and nothing waits in the inbox."""
    stand = life.stand
    if not life.ready() or any(stand.site.inbox().iterdir()):
        return False
    # A person's word that a killed command left is carried out after the start.
    if ask(stand, "SELECT count(*) FROM requests WHERE answered_at IS NULL") != [(0,)]:
        return False
    return ask(stand, "SELECT count(*), sum(open) FROM drops") == [(len(stand.dropped), 0)]


def _delivered(life: Life) -> bool:
    """The tenant and the ledger know of the confirmation."""
    stand = life.stand
    if not life.ready():
        return False
    states = ask(stand, "SELECT state FROM gl_batches")
    confirmed = [batch.confirmed for batch in stand.tenant.books.journal.batches.values()]
    return all(confirmed) and states == [("confirmed",)] * len(confirmed)


def _three_lines(stand: Stand) -> None:
    stand.drop("a.csv", lines("L1", "L2", "L3"))


def _three_lines_to_rewrite(stand: Stand) -> None:
    """Its line ends are not the tenant's, so its parts are written; elsewhere they are ranges of the file."""
    stand.drop("a.csv", lines("L1", "L2", "L3").replace(b"\r\n", b"\n"))


def _one_bad_line(stand: Stand) -> None:
    bad = line("L2")
    bad[5] = "many"
    stand.drop("a.csv", table([line("L1"), bad, line("L3"), line("L4")]))


def _only_bad_lines(stand: Stand) -> None:
    bad = line("L1")
    bad[5] = "many"
    stand.drop("a.csv", table([bad]))


def _claimed_only(stand: Stand) -> None:
    """The process ended between a claim and its record."""
    _three_lines(stand)
    stand.begin(Kill("ledger.claimed", 1)).ended()


def _released_only(stand: Stand) -> None:
    """The process ended between the record of a last chunk and the chunk, which never left."""
    _three_lines(stand)
    stand.begin(Kill("ledger.released", 2)).ended()


def _in_doubt(stand: Stand) -> None:
    """The same, and the next process has held the drop."""
    _released_only(stand)
    life = stand.begin()
    life.until(_settled)
    life.stop()


def _not_arrived(stand: Stand) -> tuple[str, ...]:
    """A person looked at the tenant and says so."""
    [(drop,)] = ask(stand, "SELECT id FROM drops")
    return ("resolve", drop, "--not-arrived", "--reason", "not in the tenant")


def _a_batch(stand: Stand) -> None:
    stand.tenant.books.journal.add(6)


def _gl(**keys: Any) -> dict[str, Any]:
    return _QUIET | {"gl": {"confirm": "written", "every": "50ms", **keys}}


SCENES = {
    scene.name: scene
    for scene in (
        Scene("two parts by csv/upload", {"upload": "csv"}, _QUIET, _three_lines, _settled),
        Scene(
            "two parts by upload/file",
            {"upload": "file"},
            _QUIET,
            _three_lines_to_rewrite,
            _settled,
        ),
        Scene(
            "parts in sequence",
            {"upload": "csv", "parts": "sequence"},
            _QUIET,
            _three_lines_to_rewrite,
            _settled,
        ),
        Scene(
            "split off",
            {"upload": "csv", "on_invalid": "split"},
            _QUIET,
            _one_bad_line,
            _settled,
            ("done", "staged_with_errors"),
        ),
        Scene(
            "refused by the checks",
            {"on_failure": "stop"},
            _QUIET,
            _only_bad_lines,
            _settled,
            ("failed", "invalid"),
        ),
        Scene("a start after a claim", {"upload": "csv"}, _QUIET, _claimed_only, _settled),
        Scene("a start after a release", {"upload": "csv"}, _QUIET, _released_only, _settled),
        Scene(
            "a person's word",
            {"upload": "file"},
            _QUIET,
            _in_doubt,
            _settled,
            command=_not_arrived,
        ),
        Scene("batch by report", {}, _gl(), _a_batch, _delivered),
        Scene("batch by pages", {}, _gl(sources=["pages"]), _a_batch, _delivered),
    )
}


def finish(scene: Scene, stand: Stand) -> Life:
    """Start the daemon unharmed, and let it come to an end by itself."""
    life = stand.begin()
    life.until(scene.over)
    life.stop()
    return life
