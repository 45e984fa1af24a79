"""A tree under load for a long time, whose daemon is ended at moments of chance and started at once.

Drops and batches keep coming until the last end; then everything comes to rest, and every record of
every file is looked for at the tenant.
"""

import os
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from signal import SIGKILL, SIGTERM, Signals
from typing import Any

from daemon import Site
from prove.invariants import IN_DOUBT, SHELVES, ask, held_lines, reports, whatever_was_dropped
from prove.kills import Figures
from prove.runs import Host, Life, Stand, Stuck, tenant_of
from prove.stream import FOLDERS, Dropped, stream

SOURCES = ("report", "pages")  # of batches; stands take turns
AWHILE = 0.6  # seconds for which a life goes on at most, once it is ready
STARTING = 0.25  # of the ends come while the daemon still puts in order what the last one left
BACKLOG = 12  # files on their way; more are not dropped
BATCHES = 0.25  # of the lives see a new batch
TO_REST = 60.0  # seconds after which what is left will not come to an end by itself
_EXIT = {SIGKILL: -SIGKILL, SIGTERM: 0}


@dataclass(slots=True)
class Load:
    """One stand under load. `seed` repeats files and moments; what they meet is for the scheduler."""

    stand: Stand
    seed: int
    number: Signals  # how each life is ended
    dropped: list[Dropped] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    _chance: Random = field(init=False)
    _stream: Iterator[Dropped] = field(init=False)

    def __post_init__(self) -> None:
        """Begin both sequences of chance; how many files are dropped does not shift the moments."""
        self._chance, self._stream = Random(-self.seed), stream(self.seed)  # noqa: S311  (repeatable)

    def live(self) -> Life:
        """One life, ended at a moment of chance, with drops and batches meanwhile."""
        chance = self._chance
        starting, moment = chance.random() < STARTING, chance.random()
        moments = sorted(chance.random() * moment for _ in range(chance.randint(1, 4)))
        batch = chance.random() < BATCHES
        life = self.stand.begin()
        if self.number == SIGTERM:
            life.until(Life.began)
        if not starting:
            life.until(Life.ready)
        if batch:
            self.stand.tenant.books.journal.add(2 * chance.randint(1, 20))
        began = time.monotonic()
        for at in (*moments, moment):
            time.sleep(max(0.0, began + at * AWHILE - time.monotonic()))
            if at != moment:
                self._drop()
        if life.alive():
            os.kill(life.pid, self.number)
        self._judge(life)
        return life

    def _drop(self) -> None:
        [(on_their_way,)] = ask(self.stand, "SELECT total(open) FROM drops") or [(0,)]
        waiting = sum(len(list(self.stand.site.inbox(name).iterdir())) for name in FOLDERS)
        if on_their_way + waiting < BACKLOG:
            file = next(self._stream)
            self.dropped.append(file)
            self.stand.drop(file.name, file.content, file.folder)

    def _judge(self, life: Life) -> None:
        if life.ended() != _EXIT[self.number]:
            self.wrong.append(f"life {self.stand.lives} ended with {life.ended()}: {life.tail()}")

    def rest(self) -> Life:
        """The last life: until nothing is left to do."""
        life = self.stand.begin()
        life.until(_at_rest, TO_REST)
        if life.stop() != 0:
            self.wrong.append(f"the last life ended with {life.ended()}: {life.tail()}")
        return life


def under_load(
    host: Host, home: Path, *, seed: int, number: Signals, lives: int, without: str = ""
) -> Figures:
    """End a daemon under load so many times, let it come to rest, and look for every record."""
    home.mkdir(parents=True)
    with tenant_of(
        home / "root" / "outbox" / "gl", staging_delay=0.08, answer_delay=0.015
    ) as tenant:
        site = Site(home, tenant.introduction(), _folders(), top=_top(SOURCES[seed % 2]))
        site.prepare()
        load = Load(Stand(home, host, tenant, site, without=without), seed, number)
        try:
            ended = [load.live() for _ in range(lives)]
            ended.append(load.rest())
            load.wrong += whatever_was_dropped(load.stand, *ended)
        except Stuck as why:
            load.wrong.append(f"{[*_under_way(load.stand)]}: {why}")
        found = judged(load)
    if not found.violations:
        shutil.rmtree(home, ignore_errors=True)
    return found


def _folders() -> dict[str, dict[str, Any]]:
    return {name: {"settle_time": "5ms", **keys} for name, keys in FOLDERS.items()}


def _top(source: str) -> dict[str, Any]:
    gl = {"confirm": "written", "every": "50ms", "sources": [source]}
    return {"stage_errors": {"every": "1h"}, "log": {"format": "json"}, "gl": gl}


def _at_rest(life: Life) -> bool:
    return life.ready() and not any(_under_way(life.stand))


def _under_way(stand: Stand) -> Iterator[str]:
    """What is not yet at its end, in any folder or among the batches."""
    waiting = [path.name for name in FOLDERS for path in stand.site.inbox(name).iterdir()]
    drops = ask(stand, "SELECT id, state FROM drops WHERE open")
    [(known,)] = ask(stand, "SELECT count(*) FROM drops") or [(0,)]
    parts = "SELECT drop_id, part, state FROM parts WHERE state IN ('released', 'accepted')"
    listed = len(stand.tenant.books.journal.batches)
    batches = [state for (state,) in ask(stand, "SELECT state FROM gl_batches")]
    if waiting:
        yield f"in the inboxes: {waiting}"
    if drops or known != len(stand.dropped):
        yield f"open: {drops}; {known} drops are known of {len(stand.dropped)}"
    if followed := ask(stand, parts):
        yield f"followed: {followed}"
    if batches != ["confirmed"] * listed:
        yield f"{listed} batches: {Counter(batches)}"


# -- every record ----------------------------------------------------------------------------------


def judged(load: Load) -> Figures:
    """What became of every file, and whether that is as promised."""
    told = {(r["folder"], r["file"]): (path, r) for path, r in reports(load.stand)}
    held = held_lines(load.stand)
    found = Figures(load.stand.lives - 1, drops=len(load.dropped))
    found.batches = len(load.stand.tenant.books.journal.batches)
    wrong, contents = load.wrong, defaultdict(list)
    for file in load.dropped:
        found.records += file.records
        path, report = told.get((file.folder, file.name), (None, None))
        if path is None or report is None:
            wrong.append(f"{file.folder}/{file.name} has no report")
            continue
        wrong += _misfiled(file, path, report)
        contents[file.content].append((file, report))
        found.doubts += (report["outcome"], report["reason"]) == IN_DOUBT
    for drops in contents.values():
        wrong += _of_one_content(drops, held)
    found.done = found.drops - found.doubts
    where = f"{load.stand.home.name}, {load.number.name}, seed {load.seed}"
    found.violations = [f"{where}: {each}" for each in wrong]
    return found


def _misfiled(file: Dropped, path: Path, report: dict[str, Any]) -> Iterator[str]:
    """The file lies whole beside its report, on the shelf that the report names."""
    beside = path.with_name(path.name.removesuffix(".report.json"))
    if not beside.exists() or beside.read_bytes() != file.content:
        yield f"{file.folder}/{file.name} does not lie beside its report"
    if report["outcome"] != path.parents[1].name or report["outcome"] not in SHELVES:
        yield f"{file.folder}/{file.name} is {report['outcome']} in {path.parents[1].name}"


def _of_one_content(
    drops: list[tuple[Dropped, dict[str, Any]]], held: Counter[str]
) -> Iterator[str]:
    """One of the drops with this content was sent; the others are held as its duplicates."""
    sent = [each for each in drops if each[1]["reason"] != "duplicate"]
    names = ", ".join(f"{file.folder}/{file.name}" for file, _ in drops)
    if len(sent) != 1:
        yield f"{len(sent)} of {names} were sent"
    for file, report in sent:
        ending = (report["outcome"], report["reason"])
        if ending not in (file.ending, IN_DOUBT):
            yield f"{file.folder}/{file.name} is {ending}, not {file.ending}"
        yield from _records(file, report, held)


def _records(file: Dropped, report: dict[str, Any], held: Counter[str]) -> Iterator[str]:
    """Each record is at the tenant as often as the report says of its part: once, not, or unknown."""
    may_be = {"staged": ((1,),), "not_sent": ((0,),), "in_doubt": ((0,), (1,))}
    left = dict(file.sound)
    for part in report["parts"]:
        ids = [left.pop(number) for number in _numbers(part["ranges"])]
        times = tuple(sorted({held[id_] for id_ in ids}))
        if times not in may_be.get(part["state"], ()):
            yield f"{file.folder}/{file.name}: {part['state']} records are there {times} times"
    if left:
        yield f"{file.folder}/{file.name}: records {sorted(left)} are in no part"
    rejected = [number for number in range(1, file.records + 1) if number not in file.sound]
    if report["records_by_state"]["rejected"] != len(rejected):
        yield f"{file.folder}/{file.name}: {report['records_by_state']}, but {rejected} are at fault"


def _numbers(ranges: str) -> Iterator[int]:
    """Each number of a text like "1-3, 5"."""
    for stretch in ranges.split(","):
        first, _, last = stretch.strip().partition("-")
        yield from range(int(first), int(last or first) + 1)
