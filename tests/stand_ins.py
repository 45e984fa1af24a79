"""Stand-ins for what the pipelines need of the world: a clock that is set, a tenant that is told what to say."""

from collections.abc import Sequence
from pathlib import Path

import anyio
import anyio.lowlevel

from revsyncd.core.batch import Listed
from revsyncd.core.errors import NotReady, NotServed, TenantError
from revsyncd.core.template import Kind, Mapping
from revsyncd.core.verdict import Following, Judgement, Route, StatusReading, Verdict
from revsyncd.ports import Download, Release, StageErrorRow, Upload


class NoJournal:
    """A tenant without batches."""

    async def listed(self) -> list[Listed]:
        """None."""
        return []

    async def download(self, source: str, batch: Listed, path: Path, most: int) -> Download:
        """Nothing to fetch."""
        raise NotServed(f"no {source} of batch {batch.batch}")

    async def confirm(self, batch: str) -> None:
        """Nothing to confirm."""
        raise NotReady(f"no batch {batch}")


class SetClock:
    """A clock that stands where it is set."""

    def __init__(self) -> None:
        self.wall = 1_795_409_252.0
        self.steady = 1000.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.wall

    def monotonic(self) -> float:
        """Seconds on the other clock."""
        return self.steady

    def go_on(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.wall += seconds
        self.steady += seconds


class Sleeps:
    """Sleeping that takes no time; after `most` pauses the sleeper sleeps for ever."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.pauses: list[float] = []
        self.over = anyio.Event()

    async def sleep(self, seconds: float) -> None:
        """Note the pause."""
        if len(self.pauses) == self.most:
            self.over.set()
            await anyio.sleep_forever()
        self.pauses.append(round(seconds, 6))
        await anyio.lowlevel.checkpoint()


class ToldTenant:
    """Answers probes and mapping calls as it was told, one answer a call, the last one for ever."""

    def __init__(self, *answers: TenantError | None, mappings: Sequence[Mapping] = ()) -> None:
        self.answers = list(answers) or [None]
        self.mappings = list(mappings)
        self.probes = 0
        self.asked: list[str] = []

    def _answer(self) -> None:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is not None:
            raise answer

    async def probe(self) -> None:
        """Count the probe, then answer."""
        self.probes += 1
        self._answer()

    async def mapping(self, template_name: str) -> Mapping:
        """Note the template, then answer."""
        self.asked.append(template_name)
        self._answer()
        return self.mappings.pop(0) if len(self.mappings) > 1 else self.mappings[0]

    async def upload(self, upload: Upload, release: Release) -> Judgement:
        """Nothing is uploaded to it."""
        return Judgement(Verdict.RETRY)

    async def status(self, route: Route, request_id: int | str, records: int) -> StatusReading:
        """It never knows."""
        return StatusReading(Following.NOT_YET)

    async def stage_errors(self, kind: Kind) -> list[StageErrorRow]:
        """It has no line in error."""
        return []
