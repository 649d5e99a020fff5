"""`python -m bench.failover [virtual|sockets]`: measure, write bench/results/failover.*, and fail if a claim does."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.failover import sockets, virtual
from bench.failover.report import FailoverBenchRun, ScenarioOutcome, failed_claims, failover_markdown
from bench.failover.score import LatencyFigures, allowed_p99_ms, score_oracle
from bench.failover.trace import TRACE_CALLS, Scenario, TracedCall, build_trace, scenarios

FAILOVER_RESULTS = Path(__file__).resolve().parent.parent / "results"


def main() -> int:
    """Run what is asked for, and say what is not as claimed."""
    parser = argparse.ArgumentParser(prog="bench.failover", description=__doc__)
    parser.add_argument("part", nargs="?", choices=("all", "virtual", "sockets"), default="all")
    parser.add_argument("--scenario", action="append", help="only this one (repeatable); results are not written")
    options = parser.parse_args()
    chosen = [each for each in scenarios() if not options.scenario or each.name in options.scenario]
    failures: list[str] = []
    if options.part in {"all", "virtual"}:
        measured = [_virtually(scenario) for scenario in chosen]
        failures = [f"{each.scenario}: {claim}" for each in measured for claim in failed_claims(each)]
        if not options.scenario:
            _write(virtual=measured)
    if options.part in {"all", "sockets"}:
        before = os.getloadavg()[0]
        sampled = _over_sockets(chosen)
        conditions = (
            f"The sample over real sockets: {sockets.SAMPLE_SIZE} calls per scenario, time "
            f"{sockets.CLOCK_SPEED:g} times as fast, "
            f"all contenders at once, each a process of its own, on {os.cpu_count()} cores; the machine's load average "
            f"was {before:.1f} when it began and {os.getloadavg()[0]:.1f} when it ended."
        )
        if not options.scenario:
            _write(sockets=sampled, conditions=conditions)
    for failure in failures:
        print(f"NOT AS CLAIMED  {failure}", file=sys.stderr)
    return 1 if failures else 0


def _virtually(scenario: Scenario) -> ScenarioOutcome:
    calls = build_trace(scenario)
    found = {}
    for name, build in virtual.virtual_builders().items():
        if name == virtual.OURS_WITHOUT_SNAPSHOT and not scenario.restart_every:
            continue
        found[name] = virtual.replay_trace(scenario, build)
        _show(scenario, name, found[name])
    return _outcome(scenario, calls, found)


def _over_sockets(chosen: Sequence[Scenario]) -> list[ScenarioOutcome]:
    found = sockets.run_over_sockets(chosen, list(sockets.socket_builders(sockets.CLOCK_SPEED)))
    for scenario in chosen:
        for name, figures in found[scenario.name].items():
            _show(scenario, f"{name} (sockets)", figures)
    return [_outcome(scenario, sockets.sample_calls(scenario), found[scenario.name]) for scenario in chosen]


def _outcome(scenario: Scenario, calls: tuple[TracedCall, ...], found: Mapping[str, LatencyFigures]) -> ScenarioOutcome:
    ideal = score_oracle(calls)
    return ScenarioOutcome(
        scenario=scenario.name,
        description=scenario.description,
        faulty=scenario.faulty,
        calls=len(calls),
        oracle=ideal,
        detection_ms=scenario.detection_ms,
        allowed_p99_ms=allowed_p99_ms(scenario, ideal),
        contenders=dict(found),
    )


def _show(scenario: Scenario, name: str, each: LatencyFigures) -> None:
    latency = f"{each.p50_ms:>6} {each.p95_ms:>6} {each.p99_ms:>6} {each.max_ms:>6} ms"
    print(f"{scenario.name:<20} {name:<36} {latency}  met {each.deadlines_met:>6} %  extra {each.extra_calls} %")
    sys.stdout.flush()


def _write(**measured: object) -> None:
    """Replace what was measured; the other part's latest figures stay as they are."""
    from bench.failover.plot import draw_plot

    FAILOVER_RESULTS.mkdir(exist_ok=True)
    kept = FAILOVER_RESULTS / "failover.json"
    run = (
        FailoverBenchRun.model_validate_json(kept.read_text(encoding="utf-8")) if kept.exists() else FailoverBenchRun()
    )
    run = run.model_copy(update=measured)
    kept.write_text(run.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (FAILOVER_RESULTS / "failover.md").write_text(failover_markdown(run), encoding="utf-8")
    if run.virtual:
        draw_plot(run.virtual, FAILOVER_RESULTS / "failover.svg")


if __name__ == "__main__":
    print(f"{TRACE_CALLS} calls a scenario in virtual time, {sockets.SAMPLE_SIZE} over real sockets")
    sys.exit(main())
