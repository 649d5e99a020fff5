"""The results of both parts, and their page."""

from __future__ import annotations

from pydantic import BaseModel

from bench.failover.score import LatencyFigures, ScenarioOutcome


class FailoverBenchRun(BaseModel):
    """Everything that was measured."""

    virtual: list[ScenarioOutcome] = []
    sockets: list[ScenarioOutcome] = []
    conditions: str = ""


def failover_markdown(run: FailoverBenchRun) -> str:
    """The report: the three figures that decide, by scenario and contender."""
    lines = [
        "# Latency failover: the bench",
        "",
        "Written by `make bench-failover`; [the method](../../docs/build/failover.md#the-bench). `failover.json` has",
        "every figure (P50, P95, maximum, extra tokens, wrong abandons). Cells: P99, deadlines met, extra calls.",
        "A call without an answer counts as 60,000 ms.",
        run.conditions,
        "",
    ]
    lines += [
        f"- `{each.scenario}`: {each.description}; {each.calls} calls; P99 {each.allowed_p99_ms:,} ms allowed."
        for each in run.virtual or run.sockets
    ]
    for title, outcomes in (("In virtual time", run.virtual), ("A sample over real sockets", run.sockets)):
        if not outcomes:
            continue
        names = list(dict.fromkeys(name for outcome in outcomes for name in outcome.contenders))
        lines += ["", f"## {title}", "", f"| P99 ms/met %/extra % | oracle | {' | '.join(names)} |"]
        lines += [f"|---|{'---:|' * (len(names) + 1)}"]
        for outcome in outcomes:
            row = (outcome.oracle, *(outcome.contenders.get(name) for name in names))
            lines += [f"| {outcome.scenario} | {' | '.join(map(_format_figures, row))} |"]
    return "\n".join(lines) + "\n"


def _format_figures(each: LatencyFigures | None) -> str:
    return f"{each.p99_ms:,}/{each.deadlines_met:g}/{each.extra_calls or 0:g}" if each else ""
