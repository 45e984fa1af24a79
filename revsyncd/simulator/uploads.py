"""What the tenant keeps: uploads with their fate, and the lines that are in error."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from .prestage import LineInError
from .templates import Kind, Template

CLIENT_ID = 7


class Route(StrEnum):
    """The two calls that take an upload."""

    FILE = "upload/file"
    CSV = "csv/upload"


class State(StrEnum):
    """Where an upload stands."""

    RECEIVED = "received"
    STAGED = "staged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Arrival:
    """What comes with an upload; `content` is the file that holds its bytes exactly."""

    route: Route
    template: Template
    file_name: str
    content: Path
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Upload:
    """An accepted upload; `content` is the file that holds its bytes exactly."""

    request_id: int
    route: Route
    template: Template
    file_name: str
    size: int
    sha256: str
    content: Path
    received_at: float
    due_at: float
    state: State = State.RECEIVED
    message: str = ""
    file_log: str = ""
    records: int | None = None  # known once it was read

    def to_json(self) -> dict[str, object]:
        """What the control path tells about it."""
        return {
            "request_id": self.request_id,
            "route": self.route.value,
            "template": self.template.name,
            "file_name": self.file_name,
            "size": self.size,
            "sha256": self.sha256,
            "received_at": self.received_at,
            "state": self.state.value,
            "message": self.message,
            "file_log": self.file_log,
            "records": self.records,
        }


@dataclass(frozen=True, slots=True)
class StageError:
    """A line that stays in staging, in error, until somebody deletes it."""

    id: int
    kind: Kind
    request_id: int
    line: LineInError
    created: str
    upload_id: str

    def to_json(self) -> dict[str, object]:
        """The row as `GET stage/error` lists it."""
        return {
            "client_id": CLIENT_ID,
            "crtd_by": "SYSTEM",
            "crtd_dt": self.created,
            "err_msg": self.line.message,
            "id": self.id,
            "inv_line_id": self.line.inv_line_id,
            "inv_line_num": self.line.inv_line_num,
            "processed_flag": "E",
            "sec_atr_val": "",
            "so_line_id": self.line.so_line_id,
            "so_line_num": self.line.so_line_num,
            "so_num": self.line.so_num,
            "type": self.line.type,
            "updt_by": "SYSTEM",
            "updt_dt": self.created,
            "upload_id": self.upload_id,
        }


@dataclass(frozen=True, slots=True)
class Words:
    """What the tenant will say about an upload instead of its own words; empty: its own."""

    refused: bool
    message: str = ""
    file_log: str = ""
