"""The state of the tenant and how it changes; knows no network and no clock but the one it is given.

An upload is `received`, then `staged` or `refused` as a whole. The bytes are in a file of their own;
the world keeps what is known about them.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from .journal import Journal
from .prestage import LineInError, Reading
from .settings import Settings
from .templates import Kind
from .uploads import Arrival, Route, StageError, State, Upload, Words

FIRST_REQUEST_ID = 10_001
STAGED = "Data Staged Successfully"
REFUSED = "Error loading Data into Staging Area"
_FIRST_ERROR_ID = 9001
_VIOLATIONS_KEPT = 1000


@dataclass(slots=True)
class Counts:
    """What was seen, for tests to look at."""

    sign_ins: int = 0
    sign_ins_refused: int = 0
    uploads_in_flight: int = 0
    max_parallel_uploads: int = 0
    calls: Counter[str] = field(default_factory=Counter)


class World:
    """The tenant: uploads, lines in error, GL batches, and what clients did that they may not do."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        clock: Callable[[], float] = time.time,
        first_request_id: int = FIRST_REQUEST_ID,
    ) -> None:
        """`clock` gives seconds since the epoch; `on_change` is called after every change."""
        self.settings = settings or Settings()
        self.clock = clock
        self.on_change: Callable[[], None] = lambda: None
        self.uploads: dict[int, Upload] = {}
        self.stage_errors: list[StageError] = []
        self.violations: list[dict[str, str]] = []
        self.counts = Counts()
        self.held = False
        self.journal = Journal(self)
        self._next_request_id = first_request_id
        self._next_error_id = _FIRST_ERROR_ID
        self._received = 0
        self._words_for_nth: dict[int, Words] = {}
        self._words_for_id: dict[int, Words] = {}
        self._csv_names: set[str] = set()

    # uploads

    def next_request_id(self) -> int:
        """A request id that was never given before."""
        self._next_request_id += 1
        return self._next_request_id - 1

    def claim_name(self, file_name: str) -> bool:
        """Reserve a csv/upload's file name; False when it is taken."""
        if file_name in self._csv_names:
            return False
        self._csv_names.add(file_name)
        return True

    def receive(self, request_id: int, arrival: Arrival) -> Upload:
        """Accept an upload; it is due for staging after the settings' delay."""
        now = self.clock()
        delay = self.settings.staging_delay if arrival.route is Route.FILE else 0.0
        upload = Upload(
            request_id=request_id,
            route=arrival.route,
            template=arrival.template,
            file_name=arrival.file_name,
            content=arrival.content,
            size=arrival.size,
            sha256=arrival.sha256,
            received_at=now,
            due_at=now + delay,
        )
        self.uploads[request_id] = upload
        self._received += 1
        if words := self._words_for_nth.pop(self._received, None):
            self._words_for_id[request_id] = words
        self.on_change()
        return upload

    def conclude(self, request_id: int, reading: Reading) -> Upload:
        """Stage the upload or refuse it whole, as its reading (or a verb for trouble) says."""
        upload = self.uploads[request_id]
        words = self._words_for_id.pop(request_id, None)
        if reading.refusals or (words and words.refused):
            upload = self._refused(upload, reading)
        else:
            upload = self._staged(upload, reading)
        if words:
            upload = replace(
                upload,
                message=words.message or upload.message,
                file_log=words.file_log or upload.file_log,
            )
        self.uploads[request_id] = upload
        self.on_change()
        return upload

    def _refused(self, upload: Upload, reading: Reading) -> Upload:
        self._csv_names.discard(upload.file_name)
        log = "\n".join(reading.refusals)
        return replace(
            upload, state=State.REFUSED, message=REFUSED, file_log=log, records=reading.records
        )

    def _staged(self, upload: Upload, reading: Reading) -> Upload:
        for line in reading.lines_in_error:
            self._put_in_error(upload, line)
        log = self.settings.file_log.replace("{records}", str(reading.records))
        return replace(
            upload, state=State.STAGED, message=STAGED, file_log=log, records=reading.records
        )

    def due(self) -> list[Upload]:
        """The upload/file uploads whose time for staging has come, oldest first."""
        now = self.clock()
        return [each for each in self._waiting() if each.due_at <= now]

    def next_due(self) -> float | None:
        """When the next upload is due for staging, in seconds since the epoch."""
        return min((each.due_at for each in self._waiting()), default=None)

    def _waiting(self) -> list[Upload]:
        if self.held:
            return []
        return [
            upload
            for upload in self.uploads.values()
            if upload.state is State.RECEIVED and upload.route is Route.FILE
        ]

    def in_state(self, *states: State) -> list[Upload]:
        """The uploads in any of these states, in the order in which they came."""
        return [upload for upload in self.uploads.values() if upload.state in states]

    @property
    def staged(self) -> list[Upload]:
        """The uploads that were taken."""
        return self.in_state(State.STAGED)

    # stage errors

    def _put_in_error(self, upload: Upload, line: LineInError) -> None:
        own = self.settings.upload_id_is_request_id
        self.stage_errors.append(
            StageError(
                id=self._next_error_id,
                kind=upload.template.kind,
                request_id=upload.request_id,
                line=line,
                created=self.timestamp(),
                upload_id=str(upload.request_id if own else upload.request_id + 500_000),
            )
        )
        self._next_error_id += 1

    def errors_of(self, kind: Kind) -> list[StageError]:
        """Every line of this kind that is in error now."""
        return [error for error in self.stage_errors if error.kind is kind]

    def timestamp(self) -> str:
        """Now, as the tenant writes times."""
        now = self.clock() + self.settings.clock_skew
        return datetime.fromtimestamp(now, UTC).strftime(self.settings.time_format)

    # verbs: what people (or trouble) do at the tenant

    def delete_lines(self, line_ids: list[str] | None = None) -> int:
        """Delete lines in error, as a person does in Inbound: by SO or invoice line id, or all."""
        kept = [
            error
            for error in self.stage_errors
            if line_ids is not None
            and error.line.so_line_id not in line_ids
            and error.line.inv_line_id not in line_ids
        ]
        deleted = len(self.stage_errors) - len(kept)
        self.stage_errors = kept
        self.on_change()
        return deleted

    def hold_staging(self) -> None:
        """Leave upload/file uploads unstaged until `release_staging`."""
        self.held = True
        self.on_change()

    def release_staging(self) -> None:
        """Go on staging."""
        self.held = False
        self.on_change()

    def say_of_upload(self, words: Words, nth: int = 1) -> None:
        """Use these words for the n-th upload from now (1: the next); `refused` refuses it."""
        self._words_for_nth[self._received + nth] = words

    # what was seen

    def upload_begins(self) -> bool:
        """Count an upload whose head has come; False when it is one too many at once."""
        self.counts.uploads_in_flight += 1
        seen = self.counts.uploads_in_flight
        self.counts.max_parallel_uploads = max(seen, self.counts.max_parallel_uploads)
        self.on_change()
        if seen <= self.settings.parallel_limit:
            return True
        self.violation("parallel_uploads", f"{seen} uploads at once")
        return False

    def upload_ends(self) -> None:
        """The opposite of `upload_begins`."""
        self.counts.uploads_in_flight -= 1
        self.on_change()

    def violation(self, rule: str, detail: str) -> None:
        """Record something that a client did and may not do; the first thousand are kept."""
        if len(self.violations) < _VIOLATIONS_KEPT:
            self.violations.append({"rule": rule, "detail": detail})

    def to_json(self) -> dict[str, object]:
        """Everything, for the control path."""
        return {
            "uploads": [upload.to_json() for upload in self.uploads.values()],
            "stage_errors": [error.to_json() for error in self.stage_errors],
            "batches": [batch.to_json() for batch in self.journal.batches.values()],
            "held": self.held,
            "sign_ins": self.counts.sign_ins,
            "sign_ins_refused": self.counts.sign_ins_refused,
            "uploads_in_flight": self.counts.uploads_in_flight,
            "max_parallel_uploads": self.counts.max_parallel_uploads,
            "calls": dict(self.counts.calls),
            "violations": self.violations,
        }
