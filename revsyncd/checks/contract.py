"""What is asked of the checks and what they answer: plain values that any engine takes and gives."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from revsyncd.core.template import Mapping


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the dropped file is written (`[templates.<name>.csv]`)."""

    encoding: str = "utf-8"  # utf-8 | windows-1252 | utf-16 | latin-1
    delimiter: str = ","
    decimal: str = "."
    thousands: str = ""
    final_newline: str = "require"  # require | allow


@dataclass(frozen=True, slots=True)
class Rules:
    """What the folder asks of its records beside the mapping (`[templates.<name>.checks]`)."""

    date_format: str = ""  # empty: the mapping's
    required: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()
    totals: tuple[str, ...] = ()
    totals_by: tuple[str, ...] = ()
    allowed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    levels: dict[str, str] = field(default_factory=dict)  # code or dotted prefix -> error|warn|off
    problem_limit: int = 1000


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the sender says about the file; None where it says nothing."""

    records: int | None = None
    sha256: str | None = None
    totals: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preparation:
    """Where and how the parts to upload are made; without one nothing is prepared."""

    directory: Path  # for what must be written; exists and is empty
    max_records: int  # a part's
    keep_together: tuple[str, ...] = ()  # neighbours with equal values stay in one part
    bundles: bool = False  # these name a bundle: records without one belong to the one before
    split_off_invalid: bool = False  # on_invalid = "split": leave records with errors out
    line_ids: Path | None = (
        None  # where to write the index of line ids (see revsyncd.checks.line_ids)
    )
    so_line_id: str = ""  # labels of the columns with the ids that stage errors name; may be absent
    inv_line_id: str = ""


@dataclass(frozen=True, slots=True)
class CheckJob:
    """One file to check."""

    path: Path
    mapping: Mapping
    dialect: Dialect
    rules: Rules
    manifest: Manifest | None = None
    preparation: Preparation | None = None
    remembered: Path | None = None  # the keys of earlier drops (see revsyncd.checks.remembered)


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. `line` and `record` are 0 for the file as a whole; `column` is a label or ''.

    `line` is the physical line (the header's is 1) on which the cell begins, `record` counts from 1
    after the header, `value` is the cell as it stands in the file, cut to 200 characters.
    """

    line: int
    record: int
    column: str
    value: str
    code: str
    level: str  # error | warn
    message: str
    source: str = "check"  # check | tenant


@dataclass(frozen=True, slots=True)
class PreparedPart:
    """A part as it will be sent: UTF-8, comma, CRLF, the mapping's columns, the header repeated.

    Its bytes are `head` and then those of `path` from `offset` on, `size` in all: a file written for
    it, header and all, or a range of the dropped file, with the header as `head`.
    `ranges` are the records of the *dropped* file in it, first and last inclusive.
    `cut` is the place among its bytes, inside the last record, at which the withheld last chunk begins.
    """

    part: int
    of: int
    records: int
    ranges: tuple[tuple[int, int], ...]
    path: Path
    size: int
    sha256: str
    cut: int
    head: bytes = b""
    offset: int = 0

    @property
    def first_record(self) -> int:
        """The number, in the dropped file, of the part's first record."""
        return self.ranges[0][0]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What was found. `parts` is empty when nothing may be sent or nothing was to be prepared."""

    size: int  # bytes
    sha256: str
    encoding: str  # as found: "utf-8", "utf-8-sig", "utf-16-le", …
    records: int
    lines: int
    errors: int
    warnings: int
    by_code: dict[str, int]
    problems: tuple[Problem, ...]  # the first `problem_limit`, spread over the codes, in file order
    totals: dict[str, str]
    totals_by: tuple[dict[str, str | int], ...]
    rejected: tuple[
        tuple[int, int], ...
    ]  # records with errors, as ranges, first and last inclusive
    parts: tuple[PreparedPart, ...]
    normalised: dict[str, int]  # what was brought into the tenant's form: what -> how many cells
    looks_cut: (
        bool  # no final newline where required, an open quote at the end, a ragged last record
    )
    file_refused: (
        bool  # an error of the file as a whole (file.*, header.*, manifest.*): nothing is sent
    )
    seconds: float
    unreadable: int = 0  # records without trustworthy cells; in no total
    unsummed: dict[str, int] = field(
        default_factory=dict
    )  # label -> cells that no total could take

    @property
    def rejected_records(self) -> int:
        """How many records have errors."""
        return sum(last - first + 1 for first, last in self.rejected)


Progress = Callable[[int, int], None]  # bytes read, bytes in all


class Fault(StrEnum):
    """Why a file can't be delivered as it is."""

    CUT = "cut"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    ANSWER = "answer"  # somebody's words in place of a file: a web page, XML or JSON


class LineEnd(StrEnum):
    """Whether a last line without an end is a cut file."""

    REQUIRE = "require"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True)
class GlRules:
    """How a batch's file is read: labels of the amounts and of the currency, lines before the header."""

    debit: str = "accounted_dr"
    credit: str = "accounted_cr"
    currency: str = "currency_code"
    preamble_lines: int = 0
    final_newline: LineEnd = LineEnd.REQUIRE
    max_size: int = 5 * 10**9  # bytes, unpacked


@dataclass(frozen=True, slots=True)
class GlResult:
    """What a pass found; `fault` is set, with words, where the file can't be delivered as it is."""

    fault: Fault | None = None
    told: str = ""
    packing: str = "plain"  # plain | gzip | zip
    columns: tuple[str, ...] = ()
    records: int = 0
    bytes: int = 0
    sha256: str = ""
    totals: dict[str, dict[str, str]] = field(default_factory=dict)  # currency -> debit, credit
    unbalanced: tuple[str, ...] = ()  # currencies
    missing: tuple[str, ...] = ()  # labels of the rules that the header lacks
    unsummed: int = 0  # records with an amount that is no number
    unsummed_told: str = ""  # the first of them
