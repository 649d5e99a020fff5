"""The artefact `findings`: what a specialist found, with the evidence. The drafter cites it; code made every number."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

CellValue = str | int | bool | None
"""A value as JSON represents it exactly: whole numbers are ints, other numbers and all dates are text."""

FindingsOutcome = Literal["rows", "no_rows", "figures", "refused", "cannot_answer"]
"""`refused`: the data cannot bear the computation, and the summary says why."""


class ResultColumn(BaseModel):
    """A column of a result."""

    model_config = ConfigDict(frozen=True)

    name: str
    type: str
    unit: str | None = None


class Figure(BaseModel):
    """One computed value with what a reader needs to check it."""

    model_config = ConfigDict(frozen=True)

    name: str
    """What it is, such as `oil volume`."""
    of: str
    """What it is of, such as a well with its API number."""
    value: CellValue
    unit: str
    """Empty for text and dates."""
    period: str
    """The days or months it is of; empty if it has no period."""
    sources: tuple[str, ...] = ()
    """Rows that it was computed from: `file:lines`, or a key of the findings' `sources`."""


class Findings(BaseModel):
    """An answer with its evidence: rows of a query, or figures of a computation."""

    model_config = ConfigDict(frozen=True)

    outcome: FindingsOutcome
    summary: str
    """One paragraph, deterministic for the same rows or figures."""
    columns: tuple[ResultColumn, ...] = ()
    rows: tuple[tuple[CellValue, ...], ...] = ()
    row_count: int = 0
    truncated: bool = False
    figures: tuple[Figure, ...] = ()
    sources: dict[str, str] = {}
    """Rows that several figures were computed from, by key."""
    computation: str = ""
    """What code computed, with its arguments: the citation of the figures."""
    not_known: tuple[str, ...] = ()
    """What the data do not say, and how far the figures can be trusted."""
    explanation: str = ""
    """In the model's words."""
    role: str = ""
    data_label: str = ""
    data_through: str = ""
    elapsed_ms: int = 0
