"""The upload template as the tenant describes it: columns in order, their types, the date mask.

Source: the API reference's `GET /v1/upload/mapping`; see docs/revenue-api.md.
"""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self


class ColumnType(StrEnum):
    """How the tenant reads a column."""

    CHARACTER = "character"
    NUMBER = "number"
    DATE = "date"


class Kind(StrEnum):
    """What a template's records are; stage errors are polled per kind."""

    TRANSACTION = "transaction"
    EVENT = "event"
    BUNDLE = "bundle"


@dataclass(frozen=True, slots=True)
class MappedColumn:
    """One column: `label` stands in the file's header, `name` is the staging field (`col_name`)."""

    label: str
    name: str
    type: ColumnType


@dataclass(frozen=True, slots=True)
class Mapping:
    """A template's columns in the tenant's order (`seq`) and its date mask (an Oracle mask)."""

    date_format: str
    columns: tuple[MappedColumn, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The header row in the tenant's order."""
        return tuple(column.label for column in self.columns)

    @property
    def digest(self) -> str:
        """`sha256:…` over the mapping's content: equal mappings have equal digests."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        columns = [{"label": c.label, "name": c.name, "type": c.type.value} for c in self.columns]
        return {"date_format": self.date_format, "columns": columns}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        columns = tuple(
            MappedColumn(c["label"], c["name"], ColumnType(c["type"])) for c in data["columns"]
        )
        return cls(data["date_format"], columns)
