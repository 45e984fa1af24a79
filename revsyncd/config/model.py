"""The configuration as frozen values: every key of the file is a field of the same name here.

Durations are seconds, sizes bytes. `metadata["example"]` of a field without default is what an
error shows; `metadata["key"]` is False where a field is no key of the file.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from revsyncd.checks.contract import Dialect, GlRules, LineEnd, Rules
from revsyncd.config.listen import Listen, ListenAddress
from revsyncd.config.secrets import SecretRef
from revsyncd.config.values import (
    AbsolutePath,
    BaseUrl,
    BatchFileName,
    BelowRoot,
    Bytes,
    CheckCode,
    DateMaskText,
    FileMode,
    FolderName,
    HttpsUrl,
    MappingSource,
    NamePattern,
    OptionalPath,
    Pattern,
    ProxyUrl,
    Reader,
    Seconds,
    SecondsOrNone,
    Suffix,
    Text,
    Zone,
    whole,
)
from revsyncd.core.template import Kind

DEFAULT_STATE_DIR = Path("/var/lib/revsyncd")
MOST_RECORDS_FILE = 60_000  # the reference's advice for upload/file
MOST_RECORDS_CSV = 20_000  # its limit for csv/upload
_ONEID_TOKEN_URL = "https://one.zuora.com/oauth2/token"  # noqa: S105  (a URL, no secret)

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Answers:
    """Regular expressions (case ignored) on the tenant's words; `staged` is tried first."""

    staged: tuple[Pattern, ...] = ("staged .*successfully", "successfully uploaded")
    refused: tuple[Pattern, ...] = ("error loading", "failed", "rejected")
    doubt: tuple[Pattern, ...] = ("exception occurred",)


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """`[tenant]`: where the tenant is, how to sign in and how long to wait."""

    base_url: BaseUrl = field(metadata={"example": "https://acme.revprooncloud.com"})
    auth: Literal["token", "oneid"] = "token"
    role: Text = "API Role"
    client_name: Text = "Default"
    username: SecretRef | None = None
    password: SecretRef | None = None
    client_id: SecretRef | None = None
    client_secret: SecretRef | None = None
    token_url: HttpsUrl = _ONEID_TOKEN_URL
    max_parallel_uploads: Annotated[int, Reader(whole(1, 2))] = 2
    proxy: ProxyUrl = None
    ca_file: OptionalPath = None
    connect_timeout: Seconds = 10.0
    read_timeout: Seconds = 2 * _MINUTE
    upload_timeout: Seconds = 30 * _MINUTE
    without_id: Literal["hold", "done"] = "hold"
    answers: Answers = field(default_factory=Answers)

    def secrets(self) -> dict[str, SecretRef | None]:
        """What the chosen `auth` needs: key -> reference; a loaded configuration has them all."""
        if self.auth == "token":
            return {"username": self.username, "password": self.password}
        return {"client_id": self.client_id, "client_secret": self.client_secret}


@dataclass(frozen=True, slots=True)
class CsvSettings:
    """`[templates.<name>.csv]`: how the dropped files are written."""

    encoding: Literal["utf-8", "windows-1252", "utf-16", "latin-1"] = "utf-8"
    delimiter: Literal[",", ";", "\t", "|"] = ","
    date_format: DateMaskText = ""  # an Oracle mask; empty: the mapping's
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'", "\u00a0", "\u202f"] = ""
    final_newline: Literal["require", "allow"] = "require"


@dataclass(frozen=True, slots=True)
class KeySettings:
    """`[templates.<name>.keys]`: labels with the ids that stage errors name; empty: by the mapping."""

    so_line_id: str = ""
    inv_line_id: str = ""


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """`[templates.<name>.checks]`: what is asked of the records beside the mapping."""

    required: tuple[Text, ...] = ()
    unique: tuple[Text, ...] = ()
    totals: tuple[Text, ...] = ()
    totals_by: tuple[Text, ...] = ()
    remember: SecondsOrNone = (
        0.0  # how long unique keys of staged records are remembered; 0: not at all
    )
    problem_limit: Annotated[int, Reader(whole(1, 100_000))] = 1000
    allowed: dict[Text, tuple[str, ...]] = field(default_factory=dict)
    levels: dict[CheckCode, Literal["error", "warn", "off"]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Folder:
    """`[templates.<name>]`: one folder, the upload template it feeds and how."""

    template_name: Text = field(metadata={"example": "Transaction Upload"})
    name: FolderName = field(default="", metadata={"key": False})
    kind: Kind = Kind.TRANSACTION
    include: tuple[NamePattern, ...] = ("*.csv",)
    exclude: tuple[NamePattern, ...] = (".*", "*.tmp", "*.part", "*.partial", "*.filepart", "~*")
    ready: Literal["settle", "marker", "manifest"] = "settle"
    settle_time: Seconds = 10.0
    marker_suffix: Suffix = ".ok"
    manifest_suffix: Suffix = ".manifest.json"
    marker_timeout: Seconds = 6 * _HOUR
    order: Literal["arrival", "name", "none"] = "arrival"
    after: tuple[Text, ...] = ()
    on_failure: Literal["continue", "stop"] = "continue"
    parts: Literal["parallel", "sequence"] = "parallel"
    upload: Literal["file", "csv", "auto"] = "file"
    max_records_per_upload: Annotated[int, Reader(whole(1, MOST_RECORDS_FILE))] = 50_000
    keep_together: tuple[Text, ...] = ()
    on_invalid: Literal["reject", "split"] = "reject"
    on_duplicate: Literal["hold", "fail"] = "hold"
    on_empty: Literal["fail", "done", "hold"] = "fail"
    mapping: MappingSource = None  # None: the tenant's; else a mapping file
    review: bool = False
    status_timeout: Seconds = 6 * _HOUR
    max_size: Bytes = 5 * 10**9
    csv: CsvSettings = field(default_factory=CsvSettings)
    keys: KeySettings = field(default_factory=KeySettings)
    checks: CheckSettings = field(default_factory=CheckSettings)

    def dialect(self) -> Dialect:
        """How this folder's files are written, as the checks take it."""
        csv = self.csv
        return Dialect(csv.encoding, csv.delimiter, csv.decimal, csv.thousands, csv.final_newline)

    def rules(self) -> Rules:
        """What this folder asks of its records, as the checks take it."""
        return Rules(
            date_format=self.csv.date_format,
            required=self.checks.required,
            unique=self.checks.unique,
            totals=self.checks.totals,
            totals_by=self.checks.totals_by,
            allowed=dict(self.checks.allowed),
            levels=dict(self.checks.levels),
            problem_limit=self.checks.problem_limit,
        )


@dataclass(frozen=True, slots=True)
class StageErrorSettings:
    """`[stage_errors]`: how often and how long the lines of a done drop are looked for."""

    every: Seconds = 5 * _MINUTE
    watch_for: Seconds = 35 * _DAY


@dataclass(frozen=True, slots=True)
class GlSettings:
    """`[gl]`: which batches are fetched from where, and when the tenant is told that they arrived."""

    enabled: bool = True
    confirm: Literal["written", "acknowledged", "never", ""] = ""  # empty: not said, an error
    every: Seconds = 10 * _MINUTE
    outbox: BelowRoot = "outbox/gl"
    sources: tuple[Literal["report", "pages", "file"], ...] = ("report",)
    columns: tuple[Text, ...] = ()
    preamble_lines: Annotated[int, Reader(whole(0, 1000))] = 0
    file_name: BatchFileName = "GL_{batch_id}_{batch_name}.csv"
    debit: Text = "accounted_dr"
    credit: Text = "accounted_cr"
    currency: Text = "currency_code"
    balance: Literal["require", "report"] = "require"
    final_newline: Literal["require", "allow"] = "require"
    alert_after: Seconds = _DAY
    mode: FileMode = 0o640
    max_size: Bytes = 5 * 10**9

    def rules(self, *, preamble: bool) -> GlRules:
        """How a batch's file is read; joined pages have no preamble."""
        return GlRules(
            debit=self.debit,
            credit=self.credit,
            currency=self.currency,
            preamble_lines=self.preamble_lines if preamble else 0,
            final_newline=LineEnd(self.final_newline),
            max_size=self.max_size,
        )


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """`[http]`: where health, metrics and the status page are served, and to whom."""

    enabled: bool = True
    listen: ListenAddress = field(default_factory=lambda: Listen("127.0.0.1", 9464))
    token: SecretRef | None = None
    socket_mode: FileMode = 0o660


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`[log]`: how much is logged and in which form."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; `path` is the file it was read from."""

    root: AbsolutePath = field(metadata={"example": "/srv/revsync"})
    tenant: TenantSettings = field(
        metadata={"example": {"base_url": "https://acme.revprooncloud.com"}}
    )
    path: Path = field(default=Path(), metadata={"key": False})
    state_dir: AbsolutePath = DEFAULT_STATE_DIR
    timezone: Zone = "local"
    stop_timeout: Seconds = 45.0
    templates: dict[FolderName, Folder] = field(default_factory=dict)
    stage_errors: StageErrorSettings = field(default_factory=StageErrorSettings)
    gl: GlSettings = field(default_factory=lambda: GlSettings(enabled=False))
    http: HttpSettings = field(default_factory=lambda: HttpSettings(enabled=False))
    log: LogSettings = field(default_factory=LogSettings)
    # `sha256:…` over what is in effect; secrets count by reference, the file's place not at all.
    digest: str = field(default="", init=False, compare=False, metadata={"key": False})

    @property
    def outbox(self) -> Path:
        """Where batch files are written for the ERP."""
        return self.root / self.gl.outbox

    @property
    def folders(self) -> tuple[Folder, ...]:
        """The configured folders in the order of the file."""
        return tuple(self.templates.values())

    @property
    def zone(self) -> ZoneInfo | None:
        """The time zone of date folders; None is the host's own, as `datetime.astimezone` takes it."""
        return None if self.timezone == "local" else ZoneInfo(self.timezone)

    def __post_init__(self) -> None:
        """Every drop records the digest, which costs milliseconds: made once."""
        content = dataclasses.asdict(self)
        for name in ("path", "digest"):
            del content[name]
        text = json.dumps(content, default=str, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
        object.__setattr__(self, "digest", f"sha256:{digest}")
