"""What became of an upload: one table from what was seen to what the program may conclude."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import NamedTuple

from revsyncd.core.answer_numbers import request_id
from revsyncd.core.answer_words import (
    AnswerWords,
    Match,
    says_name_is_taken,
    says_template_is_unknown,
)
from revsyncd.core.answers import Answer, Cause, Form, NoAnswer, Reading, Tone, one_line, read
from revsyncd.core.pace import retry_after


class Route(StrEnum):
    """The two ways to upload; the tenant recommends at most 60k records for the first, 20k for the second."""

    FILE = "file"
    CSV = "csv"


class Verdict(StrEnum):
    """The conclusion from an upload's answer, or from its absence."""

    ACCEPTED = "accepted"  # received under a request id: follow its status
    STAGED = "staged"  # csv/upload answers for itself
    REFUSED = "refused"  # the tenant took nothing and says why
    IN_DOUBT = "in_doubt"  # the last chunk left and nothing definite came back
    UNCONFIRMED = "unconfirmed"  # received, but without an id to follow
    RETRY = "retry"  # surely not taken: try again after a growing pause
    WAIT = "wait"  # surely not taken: try again after `retry_after`
    SIGN_IN = "sign_in"  # 401, not taken: renew the token, repeat once
    PAUSE_FOLDER = "pause_folder"  # 403, 404, unknown template; not taken
    PAUSE_TENANT = "pause_tenant"  # 405, TLS, 301/307/308; not taken


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reasons: `message` in the tenant's words where there are any."""

    verdict: Verdict
    message: str = ""
    request_id: int | str | None = None
    retry_after: float | None = None  # seconds
    hint: str = ""
    tracking: str = ""  # Zuora-Request-Id / Zuora-Track-Id, for the tenant's support


class Following(StrEnum):
    """What an upload's status says."""

    STAGED = "staged"
    REFUSED = "refused"
    IN_DOUBT = "in_doubt"  # words under tenant.answers.doubt
    NOT_YET = "not_yet"  # 204, empty, no words that match: neither staged nor refused
    COUNT_MISMATCH = "count_mismatch"  # staged, but another count of records than was sent


@dataclass(frozen=True, slots=True)
class StatusReading:
    """One look at an upload's status, with the tenant's words."""

    following: Following
    message: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything about one upload that the table looks at."""

    route: Route
    released: bool  # the last chunk was allowed to go
    status: int = 0  # 0: no answer
    is_2xx: bool = False
    cause: Cause | None = None  # why there is no answer
    reading: Reading = field(default_factory=lambda: Reading(Form.EMPTY))
    says: Match = Match.NOTHING  # which of the configured words its status and messages hold
    id: int | str | None = None  # the request id, wherever it was

    @property
    def received(self) -> bool:
        """2xx, and the body agrees: by its words or by an id."""
        if not self.is_2xx or self.reading.tone is Tone.ERROR:
            return False
        spoken = self.reading.has_words and self.reading.tone is Tone.SUCCESS
        return spoken or self.says is Match.STAGED or self.id is not None

    @property
    def contradicts_itself(self) -> bool:
        """The status word says one thing, and the HTTP status or the other words another."""
        tone = self.reading.status_tone
        if tone is Tone.SUCCESS:
            return self.says is Match.REFUSED or self.status in REFUSALS
        return self.is_2xx and tone is Tone.ERROR and self.says is Match.STAGED

    @property
    def refused(self) -> bool:
        """A definite no in the tenant's own words, not a gateway's or a proxy's."""
        if not self.reading.has_words or self.contradicts_itself or self.says is Match.DOUBT:
            return False
        no = self.reading.tone is Tone.ERROR or self.says is Match.REFUSED
        return self.status in REFUSALS or (self.is_2xx and no)

    @property
    def template_unknown(self) -> bool:
        """Whether the tenant's words say that it does not know the upload template."""
        definite = self.status in REFUSALS or self.is_2xx
        return definite and self.refused and says_template_is_unknown(self.reading.words)

    @property
    def name_taken(self) -> bool:
        """Whether it is refused because the tenant has an upload of this name.

        Names hold the drop's id and the part: only an earlier try of this very part can have it.
        """
        return self.refused and says_name_is_taken(self.reading.words)


REFUSALS = (400, 413, 415, 422)

NEEDS_PRIVILEGES = (
    "give the API user's role the Webservices Inbound and Outbound privileges in the tenant, and "
    "check base_url and the folder's template_name"
)
NEEDS_TEMPLATE = "compare the folder's template_name with the tenant's File Upload menu"
NEEDS_ENABLING = "the API is not enabled for this tenant: ask Zuora Support to enable it"
NEEDS_ADDRESS = (
    "the tenant answers from another address: correct base_url (redirects are not followed)"
)
NEEDS_TRUST = (
    "check base_url's host name and the certificate, and name your company's authority in ca_file"
)


class Row(NamedTuple):
    """When this was seen, that is concluded; `because` opens the message if the tenant has no words."""

    when: Callable[[Seen], bool]
    verdict: Verdict
    because: str
    hint: str = ""


# The first row that fits decides. The last one fits always: what is not known to be safe is in doubt.
# fmt: off
TABLE: tuple[Row, ...] = (  # one row a line: a table is read downwards
    # No answer at all.
    Row(lambda s: s.cause is Cause.TLS and not s.released, Verdict.PAUSE_TENANT, "no trusted connection", NEEDS_TRUST),
    Row(lambda s: s.cause is not None and not s.released, Verdict.RETRY, "not sent"),
    Row(lambda s: s.cause is not None, Verdict.IN_DOUBT, "the last chunk went out and no answer came"),
    # An id can be followed, whatever else the answer says.
    Row(lambda s: s.route is Route.FILE and s.id is not None, Verdict.ACCEPTED, "received"),
    # Answers that say: not taken.
    Row(lambda s: s.template_unknown, Verdict.PAUSE_FOLDER, "the template is not known", NEEDS_TEMPLATE),
    Row(lambda s: s.status == HTTPStatus.UNAUTHORIZED, Verdict.SIGN_IN, "the token was not accepted"),
    Row(lambda s: s.status == HTTPStatus.TOO_MANY_REQUESTS, Verdict.WAIT, "the tenant asks for patience"),
    Row(lambda s: s.status in (403, 404), Verdict.PAUSE_FOLDER, "forbidden, or not there", NEEDS_PRIVILEGES),
    Row(lambda s: s.status == HTTPStatus.METHOD_NOT_ALLOWED, Verdict.PAUSE_TENANT, "the API is not enabled", NEEDS_ENABLING),
    Row(lambda s: s.status in (301, 307, 308), Verdict.PAUSE_TENANT, "redirected", NEEDS_ADDRESS),
    # A success told before the body was complete, and answers that contradict themselves.
    Row(lambda s: s.received and not s.released, Verdict.IN_DOUBT, "called received before it was complete"),
    Row(lambda s: s.released and s.contradicts_itself, Verdict.IN_DOUBT, "the answer contradicts itself"),
    # The tenant's own words.
    Row(lambda s: s.route is Route.CSV and s.received and s.says is Match.STAGED, Verdict.STAGED, "staged"),
    Row(lambda s: s.released and s.says is Match.DOUBT, Verdict.IN_DOUBT, "refused, but perhaps acted on"),
    Row(lambda s: s.name_taken, Verdict.IN_DOUBT, "an earlier try may have arrived"),
    Row(lambda s: s.refused, Verdict.REFUSED, "refused"),
    Row(lambda s: s.received and s.id is not None, Verdict.ACCEPTED, "received"),
    Row(lambda s: s.received, Verdict.UNCONFIRMED, "received without a request id"),
    # Everything else: a web page, 5xx, 302/303, a cut or unreadable answer.
    Row(lambda s: not s.released, Verdict.RETRY, "answered before the last chunk was sent"),
    Row(lambda _: True, Verdict.IN_DOUBT, "the last chunk went out and nothing definite came back"),
)
# fmt: on


def judge_upload(
    route: Route,
    answer: Answer | NoAnswer,
    words: AnswerWords,
    *,
    released: bool,
) -> Judgement:
    """Conclude from one upload's answer, or its absence, what became of it.

    `released` is whether the last chunk was allowed to go: before that, nothing was taken.
    """
    seen = _see(route, answer, words, released=released)
    row = next(row for row in TABLE if row.when(seen))
    if isinstance(answer, NoAnswer):
        return Judgement(row.verdict, _told(row.because, answer), hint=row.hint)
    header = answer.headers.get
    return Judgement(
        row.verdict,
        message=_told(row.because, answer, seen.reading),
        request_id=seen.id if row.verdict is Verdict.ACCEPTED else None,
        retry_after=retry_after(header("retry-after"), answer.received_at, header("date")),
        hint=row.hint,
        tracking=answer.tracking,
    )


def _see(route: Route, answer: Answer | NoAnswer, words: AnswerWords, *, released: bool) -> Seen:
    if isinstance(answer, NoAnswer):
        return Seen(route, released, cause=answer.cause)
    reading = read(answer)
    return Seen(
        route,
        released,
        status=answer.status,
        is_2xx=answer.is_2xx,
        reading=reading,
        # A refusal may name what it is not ("could not be staged successfully").
        says=words.match(reading.words, staged=answer.is_2xx),
        id=request_id(reading, success=answer.is_2xx and reading.tone is Tone.SUCCESS),
    )


def _told(because: str, answer: Answer | NoAnswer, reading: Reading | None = None) -> str:
    """The tenant's words; where it said nothing itself, our reason and what was seen."""
    if isinstance(answer, NoAnswer):
        seen = f"{answer.cause.value}: {answer.text}" if answer.text else answer.cause.value
    elif reading and reading.has_words:
        return reading.message
    else:
        seen = f"HTTP {answer.status}, {_BODIES[reading.form if reading else Form.EMPTY]}"
    return one_line(f"{because} ({seen})")


_BODIES = {
    Form.JSON: "no words in the answer",
    Form.TEXT: "no words in the answer",
    Form.HTML: "a web page",
    Form.EMPTY: "an empty answer",
    Form.UNREADABLE: "a cut or unreadable answer",
}
