"""What a file becomes: records for the tables, and the lines that were refused with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

FileKind = Literal["wells", "production", "downtime", "lease_meters", "survey", "log"]


class FileRefused(Exception):
    """A whole file cannot be used. The message names what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A line that was not loaded."""

    line: int
    field: str
    reason: str


@dataclass(slots=True)
class ParsedFile:
    """The records of one file, by column of its table, with `line`."""

    kind: FileKind
    records: list[Mapping[str, Any]] = field(default_factory=list)
    refused: list[RefusedRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What the reader of the report should know: columns that were ignored, headers that were repaired."""
