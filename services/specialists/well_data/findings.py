"""Findings of a computation. The summary is made from the figures, never by a model."""

from __future__ import annotations

from datetime import date

from contracts.documents.findings import Figure, Findings
from services.specialists.well_data.results import NotComputable, ToolResult, describe_figure

SUMMARY_FIGURES = 8
MAX_FIGURES = 400


def build_figures(result: ToolResult, *, computation: str, role: str, as_of: date | None) -> Findings:
    """Findings of a result. Rows that several figures share are written once, under a key such as S1."""
    keys: dict[str, str] = {}
    figures = tuple(
        figure.model_copy(
            update={"sources": tuple(keys.setdefault(source, f"S{len(keys) + 1}") for source in figure.sources)}
        )
        for figure in result.figures[:MAX_FIGURES]
    )
    return Findings(
        outcome="figures",
        summary=_summary(result),
        figures=figures,
        sources={key: source for source, key in keys.items()},
        row_count=len(figures),
        truncated=len(result.figures) > MAX_FIGURES,
        computation=computation,
        not_known=tuple(dict.fromkeys(result.not_known)),
        role=role,
        data_through=as_of.isoformat() if as_of else "",
    )


def build_refused(refused: NotComputable, *, computation: str, role: str, as_of: date | None) -> Findings:
    """Findings that say why there are no figures."""
    return Findings(
        outcome="refused",
        summary=f"This was not computed: {refused.reason}.",
        computation=computation,
        not_known=(refused.reason,),
        role=role,
        data_through=as_of.isoformat() if as_of else "",
    )


def _summary(result: ToolResult) -> str:
    shown = result.figures[:SUMMARY_FIGURES]
    several = len({figure.of for figure in result.figures}) > 1
    parts = [_described(figure, several) for figure in shown]
    more = len(result.figures) - len(shown)
    rest = f"; and {more} more figures" if more else ""
    limits = f" Not known: {'; '.join(dict.fromkeys(result.not_known))}." if result.not_known else ""
    return f"{result.lead}: {'; '.join(parts)}{rest}.{limits}"


def _described(figure: Figure, several: bool) -> str:
    return f"{figure.of}: {describe_figure(figure)}" if several else describe_figure(figure)
