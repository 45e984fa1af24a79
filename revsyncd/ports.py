"""What the pipelines need from the world, as protocols; the adapters fill them in."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from revsyncd.checks.contract import CheckJob, CheckResult, Progress
from revsyncd.core.batch import Listed
from revsyncd.core.template import Kind, Mapping
from revsyncd.core.verdict import Judgement, Route, StatusReading


class NotReleased(Exception):
    """The last chunk may not go now; the upload is abandoned and was surely not taken."""


class Damaged(Exception):
    """The bytes of a part are not on disk as they were recorded; its last chunk stayed here."""


# Awaited when all but the last chunk of a body has gone and all of the client's own conditions hold.
# Returns when the ledger has committed that the last chunk goes; raises NotReleased to keep it here.
Release = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Upload:
    """One part on its way: `head` and then the bytes of `path` from `offset` on, `size` in all.

    `cut` is the place among them at which the last chunk begins.
    """

    route: Route
    template_name: str
    file_name: str  # ours, ASCII, unique
    path: Path
    size: int
    cut: int
    sha256: str
    records: int
    head: bytes = b""
    offset: int = 0
    file_size: int | None = None  # of `path`; None where its bytes are sent from begin to end


@dataclass(frozen=True, slots=True)
class StageErrorRow:
    """A line that the tenant has in error, as `GET /v1/stage/error/{kind}` lists it."""

    id: str
    message: str  # err_msg as it came
    code: str  # "RPRO-00076" or "CUST…" when one stands in the message, else ""
    so_line_id: str
    inv_line_id: str
    type: str
    upload_id: str
    created: str  # crtd_dt as it came


class Tenant(Protocol):
    """The tenant's API. Calls that may be repeated raise `TenantError`; uploads return a `Judgement`."""

    async def mapping(self, template_name: str) -> Mapping:
        """The template's columns. Raises Forbidden when the tenant does not know the template."""
        ...

    async def upload(self, upload: Upload, release: Release) -> Judgement:
        """Send one part; never raises for anything that the network or the tenant does.

        Raises Damaged where the part is not on disk any more as it was recorded.
        """
        ...

    async def status(self, route: Route, request_id: int | str, records: int) -> StatusReading:
        """Look once at the status of an accepted upload."""
        ...

    async def stage_errors(self, kind: Kind) -> list[StageErrorRow]:
        """Every line of the tenant that is in error now, of one kind."""
        ...

    async def probe(self) -> None:
        """The cheapest call that shows whether the tenant can be worked with; raises TenantError."""
        ...


@dataclass(frozen=True, slots=True)
class Download:
    """What a source brought: `proven` when its framing shows that all of it came."""

    size: int
    proven: bool


class Journal(Protocol):
    """The tenant's general-ledger batches. Every call raises `TenantError`."""

    async def listed(self) -> list[Listed]:
        """Every batch that the tenant lists, whatever its status; empty only where it says so."""
        ...

    async def download(self, source: str, batch: Listed, path: Path, most: int) -> Download:
        """Bring a batch's lines by one source into the new file `path`, at most `most` bytes.

        Raises NotServed where the source has nothing, TooLarge, and OSError from the disk; what is
        at `path` then is of no use.
        """
        ...

    async def confirm(self, batch: str) -> None:
        """Have a batch marked as transferred. Raises NotReady where the tenant refuses."""
        ...


class Checker(Protocol):
    """Runs the checks outside the event loop."""

    async def check(self, job: CheckJob, progress: Progress | None = None) -> CheckResult:
        """Check one file and prepare its parts. Raises CheckFailed, NoSpace or OSError."""
        ...


class Clock(Protocol):
    """Wall time for people, monotonic time for every decision about durations."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""
        ...
