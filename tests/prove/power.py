"""Power loss: a run is recorded, and the tree rebuilt at every prefix as a disk would hold it then.

A killed process loses no page cache, so this is tried beside the kills. Prefixes that leave an equal
disk and an equal tenant are tried once.
"""

import shutil
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from itertools import islice
from pathlib import Path

from daemon import Site
from prove import recording
from prove.durable import Disk, Reading
from prove.invariants import violations
from prove.kills import Figures, verdict
from prove.recording import Sent
from prove.runs import Host, Stand, Stuck
from prove.scenes import Scene, finish
from strict_books import Books


class Moments:
    """The moments of one recorded life at which power may be lost, each with the tenant's holdings."""

    def __init__(self, stand: Stand, scene: Scene) -> None:
        """Record the life to its end, keeping the dropped files' inodes beside the stand."""
        self.stand = stand
        self.originals = stand.home.with_name(f"{stand.home.name}.originals")
        self.originals.mkdir()
        for path in stand.site.root.glob("orders/*/**/*.csv"):
            if path.name in stand.dropped:
                (self.originals / path.name).hardlink_to(path)
        # Until the first life has made it nothing is there to be lost; what a person made is on disk.
        self.disk = Disk(stand.home, stand.dropped)
        out = stand.home.with_name(f"{stand.home.name}.strace")
        words = scene.command(stand)
        self.before = len(stand.tenant.stored)  # what the tenant had when the life began
        life = stand.begin(None, *words, wrapper=lambda pid: recording.command(pid, out))
        assert life.until(scene.over) or words, life.tail()
        assert (life.ended() if words else life.stop()) == 0, life.tail()
        self.calls = list(recording.calls(out))
        out.unlink()
        self.stored = list(stand.tenant.stored)
        self.batches = deepcopy(stand.tenant.books.journal.batches)
        assert stand.tenant.violations == []

    def each(self, reading: Reading) -> Iterator[str]:
        """Go through the moments; the disk and `sent` are as of the one that is yielded."""
        self.sent, seen = Sent(), set()
        for number, call in enumerate(self.calls):
            if call.name in ("sendto", "sendmsg") and call.descriptors[0][1].startswith("TCP"):
                self.sent.take(call.descriptors[0][1], b"".join(call.texts))
            else:
                self.disk.take(call)
            holdings = [line for line, _ in self.sent.requests if not line.startswith("GET")]
            state = (self.disk.signature(reading), tuple(holdings))
            if state not in seen:
                seen.add(state)
                yield f"call {number} ({call.name})"

    def hold(self, stand: Stand) -> list[str]:
        """Let the tenant hold what had reached it; returns what was confirmed and is not on disk."""
        tenant, bodies = stand.tenant, [body for _, body in self.sent.requests]
        books = Books(tenant.knobs, tenant.auth, tenant.note)
        books.report_host = tenant.books.report_host
        arrived = self.stored[: self.before]
        arrived += [s for s in self.stored[self.before :] if any(s.body in b for b in bodies)]
        books.stored.extend(replace(stored) for stored in arrived)
        books.journal.outbox = str(stand.outbox)
        books.journal.batches = deepcopy(self.batches)
        missing = []
        for batch in books.journal.batches.values():
            asked = f"PUT /api/integration/v1/journal/batch/status/{batch.id}"
            if not any(line.startswith(asked) for line, _ in self.sent.requests):
                batch.status, batch.confirmed = "Ready to Transfer", 0
            elif not books.journal._is_out(batch):
                missing.append(f"batch {batch.id} was confirmed and is not on disk")
        tenant.books = books
        tenant.violations.clear()
        return missing


def losses(
    scene: Scene,
    reading: Reading,
    host: Host,
    home: Path,
    *,
    without: str = "",
    most: int = 0,
    every: int = 1,
) -> Figures:
    """Lose power at every moment, or at every n-th.

    `most` ends it after so many violations, for builds that have some.
    """
    total = Figures()
    with scene.on(home, host, without=without) as stand:
        moments = Moments(stand, scene)
        for where in islice(moments.each(reading), 0, None, every):
            total.add(
                _lose(scene, moments, reading, f"{scene.name}, {reading.value}, lost after {where}")
            )
            if most and len(total.violations) >= most:
                break
        shutil.rmtree(moments.originals)
    return total


def _lose(scene: Scene, moments: Moments, reading: Reading, where: str) -> Figures:
    before = moments.stand
    home = before.home.with_name(f"{before.home.name}.after")
    home.mkdir()
    site = Site(home, before.site.introduction, before.site.folders, top=before.site.top)
    stand = Stand(home, before.host, before.tenant, site, before.dropped, without=before.without)
    try:
        moments.disk.rebuild(reading, home, moments.originals)
        site.configure()
        wrong = moments.hold(stand)
        life = finish(scene, stand)
        if life.ended() != 0:
            return Figures(1, violations=[f"{where}: it ended with {life.ended()}: {life.tail()}"])
        wrong += violations(stand, life, expected=scene.expected)
        return verdict(stand, wrong, where)
    except Stuck as why:
        return Figures(1, violations=[f"{where}: {why}"])
    finally:
        shutil.rmtree(home)


def strace_works() -> bool:
    """Whether strace is here and may trace."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode == 0
