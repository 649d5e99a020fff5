"""What the figures say: the claims that must hold, and the tables."""

from __future__ import annotations

from collections.abc import Iterator

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


def failover_markdown(run: FailoverBenchRun) -> str:
    """The report: the three figures that decide, by scenario and contender."""
    parts = [
        "# Latency failover: the bench",
        "",
        "Written by `make bench-failover`; [the method](../../docs/build/failover.md#the-bench). `failover.json` has",
        "every figure (P50, P95, maximum, extra tokens, wrong abandons). Cells: P99, deadlines met, extra calls.",
        "A call without an answer counts as 60,000 ms.",
        run.conditions,
        "",
        *_scenario_list(run.virtual or run.sockets),
    ]
    for title, outcomes in (("In virtual time", run.virtual), ("A sample over real sockets", run.sockets)):
        if outcomes:
            parts += ["", f"## {title}", "", *_figure_table(outcomes)]
    return "\n".join(parts) + "\n"


def _scenario_list(outcomes: list[ScenarioOutcome]) -> list[str]:
    return [
        f"- `{each.scenario}`: {each.description}; {each.calls} calls; P99 {each.allowed_p99_ms:,} ms allowed."
        for each in outcomes
    ]


def _figure_table(outcomes: list[ScenarioOutcome]) -> list[str]:
    """P99, deadlines met and extra calls of every contender in every scenario."""
    names = list(dict.fromkeys(name for outcome in outcomes for name in outcome.contenders))
    lines = [f"| P99 ms/met %/extra % | oracle | {' | '.join(names)} |", f"|---|{'---:|' * (len(names) + 1)}"]
    for outcome in outcomes:
        row = (outcome.oracle, *(outcome.contenders.get(name) for name in names))
        lines.append(f"| {outcome.scenario} | {' | '.join(map(_figures, row))} |")
    return lines


def _figures(each: LatencyFigures | None) -> str:
    return f"{each.p99_ms:,}/{each.deadlines_met:g}/{each.extra_calls or 0:g}" if each else ""
