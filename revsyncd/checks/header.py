"""The header against the template: which column stands where, and what is missing, unknown, blank or twice."""

import re
from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass

from revsyncd.checks.contract import Rules
from revsyncd.checks.problems import Problems, visible
from revsyncd.checks.structure import Record
from revsyncd.core.template import Mapping

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def folded(label: str) -> str:
    """The form in which labels are compared: without case and outer blanks."""
    return label.strip().casefold()


def positions(header: Record) -> dict[str, int]:
    """Where each label stands, by its folded form; of several equal ones the first."""
    found: dict[str, int] = {}
    for index, label in enumerate(header.fields):
        found.setdefault(folded(label), index)
    return found


@dataclass(frozen=True, slots=True)
class Header:
    """What a readable header says about the columns."""

    labels: tuple[
        str, ...
    ]  # per cell of the file: the mapping's label, else the file's own, else ""
    sent: tuple[
        int | None, ...
    ]  # per column of the mapping: where it stands; None: it is sent empty
    places: dict[str, int]  # folded label -> where it stands

    @property
    def width(self) -> int:
        """How many fields each record must have."""
        return len(self.labels)

    def find(self, label: str) -> int | None:
        """Where the column with this label stands; None where the file lacks it."""
        return self.places.get(folded(label))

    def column(self, index: int) -> str:
        """How a report names the cell with this index."""
        return self.labels[index] if index < self.width else ""


def read_header(record: Record, mapping: Mapping, rules: Rules, problems: Problems) -> Header:
    """Match the file's header with the mapping and report what does not fit."""
    places = positions(record)
    places.pop("", None)
    wanted = {folded(label): label for label in mapping.labels}
    _match_damaged(places, wanted)
    ours = {index: wanted[key] for key, index in places.items() if key in wanted}
    labels = tuple(
        ours.get(index) or wanted.get(folded(text), visible(text.strip()))
        for index, text in enumerate(record.fields)
    )
    header = Header(labels, tuple(places.get(folded(c.label)) for c in mapping.columns), places)
    if header.width == 1 and (delimiter := _other_delimiter(record.fields[0], wanted)):
        shown = "a tab" if delimiter == "\t" else delimiter
        message = (
            f"The labels are separated by {shown}, which is not the folder's delimiter."
            " Export the file with the folder's delimiter, or set csv.delimiter of the folder."
        )
        problems.add(
            "header.missing", message, line=record.line, value=record.fields[0], insist=True
        )
        return header
    _report_odd(record, header, wanted, problems)
    _report_missing(header, mapping, rules, problems, record.line)
    return header


def _match_damaged(places: dict[str, int], wanted: dict[str, str]) -> None:
    """Let a label with undecodable bytes stand for the one it must be, so one defect is told once."""
    for key in [key for key in places if _LONE_SURROGATE.search(key)]:
        pattern = re.compile(".{1,2}".join(re.escape(p) for p in _LONE_SURROGATE.split(key)))
        match = [label for label in wanted if label not in places and pattern.fullmatch(label)]
        if len(match) == 1:
            places[match[0]] = places.pop(key)


def _other_delimiter(text: str, wanted: Container[str]) -> str:
    """The delimiter by which a header of one field falls into labels that are known, if there is one."""
    for delimiter in ",;\t|":
        labels = text.split(delimiter)
        known = sum(folded(label.strip('"')) in wanted for label in labels)
        if len(labels) > 1 and 2 * known > len(labels):
            return delimiter
    return ""


def is_one_of(label: str, labels: Iterable[str]) -> bool:
    """Whether it is among them, however its letters and blanks are written."""
    return folded(label) in map(folded, labels)


def _report_odd(record: Record, header: Header, wanted: dict[str, str], problems: Problems) -> None:
    seen: dict[str, int] = {}
    line = record.line
    for index, text in enumerate(record.fields):
        key = folded(text)
        if not key:
            message = f"Column {index + 1} has no label. Delete the column or name it as the template does."
            problems.add("header.blank", message, line=line, value=text, order=index)
        elif key in seen:
            message = f"Column {index + 1} has the same label as column {seen[key] + 1}. Keep one of them."
            problems.add(
                "header.duplicate",
                message,
                line=line,
                column=header.column(index),
                value=text,
                order=index,
            )
        elif folded(header.column(index)) not in wanted and not _LONE_SURROGATE.search(text):
            message = "The template has no column of this name. Rename or delete the column."
            problems.add(
                "header.unknown",
                message,
                line=line,
                column=header.column(index),
                value=text,
                order=index,
            )
        seen.setdefault(key, index)
        line += text.count("\n")


def _report_missing(
    header: Header, mapping: Mapping, rules: Rules, problems: Problems, line: int
) -> None:
    missing = [c.label for c in mapping.columns if header.find(c.label) is None]
    needed = {folded(label) for label in rules.required}
    for label in missing:
        message = f'The template\'s column "{label}" is missing. Add it to the header and to every record.'
        insist = folded(label) in needed  # sent empty, each record of it would be at fault
        problems.add("header.missing", message, line=line, column=label, insist=insist)
    known = {folded(label) for label in mapping.labels}
    for label in _named_by(rules):
        if folded(label) not in known and header.find(label) is None:
            message = f'The folder\'s checks name the column "{label}", which neither template nor file has.'
            problems.add("header.missing", message, line=line, column=label, insist=True)


def _named_by(rules: Rules) -> Iterable[str]:
    """Every label that the folder's checks name, once."""
    named: defaultdict[str, str] = defaultdict(str)
    for labels in (rules.required, rules.unique, rules.totals, rules.totals_by, rules.allowed):
        for label in labels:
            named.setdefault(folded(label), label)
    return named.values()
