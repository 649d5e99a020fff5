"""What a computation gives back: figures with their sources, what is not known, and perhaps a chart; or a refusal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from contracts.documents.findings import CellValue, Figure
from services.specialists.well_data.field_data import SourceRow, cite_rows


class NotComputable(Exception):
    """The data cannot bear the computation. The message is for the asking user."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(slots=True)
class ToolResult:
    """Figures in the order in which they are to be read; `lead` is the sentence before them."""

    lead: str
    figures: list[Figure] = field(default_factory=list)
    not_known: list[str] = field(default_factory=list)
    chart: str | None = None
    """SVG."""

    def add(  # noqa: PLR0917 - the columns of a figure, in order
        self,
        name: str,
        of: str,
        value: float | str | None,
        unit: str,
        period: str,
        sources: Iterable[SourceRow],
        *,
        digits: int = 2,
    ) -> None:
        """Add a figure. A number is rounded to `digits` decimals."""
        shown: CellValue = format_number(value, digits) if isinstance(value, float | int) else value
        self.figures.append(Figure(name=name, of=of, value=shown, unit=unit, period=period, sources=cite_rows(sources)))


def format_number(value: float, digits: int = 2) -> str:
    """A number as a figure holds it: so many decimals at most, no exponent."""
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"-0", ""} else text


def describe_figure(figure: Figure) -> str:
    """A figure as a sentence holds it: with thousands separated, and its unit."""
    value = figure.value
    if value is None:
        return f"{figure.name} is not known"
    text = str(value)
    if figure.unit or figure.name.endswith(("count", "exponent")):
        whole, _, decimals = text.partition(".")
        if whole.lstrip("-").isdecimal():
            text = f"{int(whole):,}" if whole not in {"-0", ""} else whole
            text = f"{text}.{decimals}" if decimals else text
    return f"{figure.name} {text}{f' {figure.unit}' if figure.unit else ''}"
