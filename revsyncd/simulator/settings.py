"""How this tenant behaves: every point on which the API's sources differ is a setting.

A client that is right works under every combination of them.
"""

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from .templates import TEMPLATES, Template


class KeyCase(StrEnum):
    """How the keys of JSON answers are written."""

    DOCUMENTED = "documented"  # mixed, as in the reference
    LOWER = "lower"
    TITLE = "title"  # the first letter upper case


class IdIn(StrEnum):
    """Where the answer to an upload carries its request id."""

    OBJECT = "object"  # {"result": {"file_request_id": 10001}}
    LIST = "list"  # {"result": [{"file_request_id": 10001}]}
    TOP = "top"  # {"file_request_id": 10001}
    MESSAGE = "message"  # a number in the message
    TEXT = "text"  # {"result": "10001"}
    NONE = "none"  # nowhere


class NotKnown(StrEnum):
    """How a status that the tenant does not know (yet) is answered."""

    NO_CONTENT = "204"
    BAD_REQUEST = "400"


class Framing(StrEnum):
    """How the host of reports and files tells where a body ends."""

    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"  # it does not: the connection just ends


class NoErrors(StrEnum):
    """How an empty list of stage errors is answered."""

    NO_CONTENT = "204"
    WORDS = "words"  # 200, "No Records Found"


class EmptyResult(StrEnum):
    """What stands under `result` when there is nothing to say."""

    NONE = "None"  # the string
    NULL = "null"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Settings:
    """The tenant's ways; durations are in seconds, sizes in bytes."""

    staging_delay: float = 0.0  # from an accepted upload/file to its status
    token_life: float = 1800.0  # of a Revpro-Token
    oneid_life: float = 3600.0  # of an access_token
    clock_skew: float = 0.0  # how far the tenant's clock (iat, exp, Date) runs ahead
    key_case: KeyCase = KeyCase.DOCUMENTED
    id_in: IdIn = IdIn.OBJECT
    not_known: NotKnown = NotKnown.NO_CONTENT
    pending_known: bool = False  # an unstaged upload has a status row, without words
    no_errors: NoErrors = NoErrors.NO_CONTENT
    empty_result: EmptyResult = EmptyResult.NONE
    database_types: bool = False  # data_type as VARCHAR2, NUMBER, DATE
    english_only: bool = False  # rule 709
    stage_rules: tuple[int, ...] = (3, 13, 18)  # the RPRO codes that put lines in error
    upload_id_is_request_id: bool = True  # in stage errors; else another number
    time_format: str = "%Y-%m-%dT%H:%M:%SZ"  # crtd_dt and updt_dt, UTC
    file_log: str = "{records} staged, 0 failed"
    parallel_limit: int = 2
    csv_line_limit: int = 20_000
    page_limit: int = 10_000
    page_cap: int = 10_000  # rows served a page, whatever was asked for
    signed_life: float = 1800.0
    framing: Framing = Framing.LENGTH  # of reports and batch files
    ranges: bool = True  # the reports' host resumes downloads
    file_life: float = 172_800.0  # how long transferbatchfile has a batch's file
    max_body: int = 1 << 30
    receive_buffer: int = (
        0  # SO_RCVBUF; small, so that a cut body is cut at the sender too; 0: the system's
    )
    patience: float = 300.0  # silence after which a connection is given up
    templates: tuple[Template, ...] = TEMPLATES

    def template(self, name: str) -> Template | None:
        """The upload template of this name, exactly as written, or None."""
        return next((each for each in self.templates if each.name == name), None)


def configure(settings: Settings, changes: dict[str, object]) -> Settings:
    """`settings` with changes from JSON; ValueError names the key and what it takes."""
    known = {each.name for each in fields(Settings)} - {"templates", "receive_buffer"}
    if unknown := sorted(set(changes) - known):
        raise ValueError(
            f"{', '.join(unknown)}: no such setting; there are {', '.join(sorted(known))}"
        )
    converted: dict[str, Any] = {
        key: _converted(key, value, getattr(settings, key)) for key, value in changes.items()
    }
    return replace(settings, **converted)


def _converted(key: str, value: object, current: object) -> object:
    """`value` in the type of the `current` one."""
    if isinstance(current, StrEnum):
        choices = [each.value for each in type(current)]
        if value not in choices:
            raise ValueError(f"{key}: {value!r} is not one of {', '.join(choices)}")
        return type(current)(value)
    if isinstance(current, tuple):
        return _codes(key, value)
    if isinstance(current, float) and type(value) is int:
        return float(value)
    if type(value) is not type(current):
        raise ValueError(f"{key}: {value!r} is not a {type(current).__name__}")
    return value


def _codes(key: str, value: object) -> tuple[int, ...]:
    """A list of RPRO codes."""
    if not isinstance(value, list) or not all(type(each) is int for each in value):
        raise ValueError(f"{key}: {value!r} is not a list of numbers")
    return tuple(value)
