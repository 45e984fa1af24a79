"""What became of an upload: one table from what was seen to what the program may conclude."""

from dataclasses import dataclass
from enum import StrEnum


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
