"""What the figures say: the claims that must hold, and the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from bench.failover.score import LatencyFigures
from bench.failover.virtual import OUR_CONTENDER

MOST_EXTRA_PERCENT = 5.0


class ScenarioOutcome(BaseModel):
    """A scenario's figures by contender, next to the oracle's."""

    scenario: str
    description: str
    faulty: bool
    calls: int
    oracle: LatencyFigures
    detection_ms: int
    allowed_p99_ms: int
    contenders: dict[str, LatencyFigures]


class FailoverBenchRun(BaseModel):
    """Everything that was measured."""

    virtual: list[ScenarioOutcome] = []
    sockets: list[ScenarioOutcome] = []
    conditions: str = ""


def failed_claims(outcome: ScenarioOutcome) -> Iterator[str]:
    """The claims that a scenario's figures do not bear out, in words."""
    ours = outcome.contenders[OUR_CONTENDER]
    others = {name: each for name, each in outcome.contenders.items() if not name.startswith(OUR_CONTENDER)}
    if not outcome.faulty:
        alone = others["primary only"]
        if (ours.p50_ms, ours.p95_ms, ours.p99_ms) != (alone.p50_ms, alone.p95_ms, alone.p99_ms) or ours.extra_calls:
            yield "it costs something although nothing is wrong"
    for name, each in others.items():
        if each.deadlines_met > ours.deadlines_met:
            yield f"{name} meets more deadlines"
    if (ours.extra_calls or 0) > MOST_EXTRA_PERCENT:
        yield f"{ours.extra_calls} % extra calls"
    if ours.p99_ms > outcome.allowed_p99_ms:
        yield f"P99 {ours.p99_ms} ms, allowed {outcome.allowed_p99_ms}"


def scenario_table(outcome: ScenarioOutcome) -> str:
    """One scenario as a Markdown table."""
    lines = [
        f"### {outcome.scenario}",
        "",
        f"{outcome.description}; {outcome.calls} calls. "
        f"Allowed P99: 1.25 * {outcome.oracle.p99_ms} + {outcome.detection_ms}"
        f" = {outcome.allowed_p99_ms} ms.",
        "",
        "| | p50 ms | p95 ms | p99 ms | max ms | deadlines met | extra calls | extra tokens | wrong abandons |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    rows: Mapping[str, LatencyFigures] = {"oracle": outcome.oracle} | outcome.contenders
    for name, each in rows.items():
        shown = f"**{name}**" if name == OUR_CONTENDER else name
        cells = [shown, *(_milliseconds(ms) for ms in (each.p50_ms, each.p95_ms, each.p99_ms, each.max_ms))]
        cells += [_percent(each.deadlines_met), _percent(each.extra_calls), _percent(each.extra_tokens)]
        cells.append("" if each.wrong_abandons is None else str(each.wrong_abandons))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def failover_markdown(run: FailoverBenchRun) -> str:
    """The whole report."""
    parts = [
        "# Latency failover: the bench",
        "",
        "Written by `make bench-failover`; [docs/failover.md](../../docs/failover.md) says what is measured and why.",
        f"A call without an answer counts as 60,000 ms. {run.conditions}",
    ]
    if run.virtual:
        parts += ["", "## In virtual time", "", *_markdown_tables(run.virtual)]
    if run.sockets:
        parts += ["", "## A sample over real sockets", "", *_markdown_tables(run.sockets)]
    return "\n".join(parts) + "\n"


def _markdown_tables(outcomes: list[ScenarioOutcome]) -> list[str]:
    return ["\n\n".join(scenario_table(outcome) for outcome in outcomes)]


def _milliseconds(value: int) -> str:
    return f"{value:,}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:g} %"
