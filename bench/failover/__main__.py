"""`python -m bench.failover [virtual|sockets]`: measure, write bench/results/failover.*, and fail if a claim does."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench.failover.contenders import CONTENDERS, OURS_WITHOUT_SNAPSHOT
from bench.failover.report import FailoverBenchRun, failover_markdown
from bench.failover.score import ScenarioOutcome, build_outcome, failed_claims
from bench.failover.sockets import SAMPLE_SIZE, run_over_sockets, sample_calls
from bench.failover.trace import SCENARIOS, build_trace
from bench.failover.virtual import replay_virtually

FAILOVER_RESULTS = Path(__file__).resolve().parent.parent / "results"


def main() -> int:
    """Run the chosen part, and print the claims that failed; the other part's latest figures stay as they are."""
    parser = argparse.ArgumentParser(prog="bench.failover", description=__doc__)
    parser.add_argument("part", nargs="?", choices=("all", "virtual", "sockets"), default="all")
    part = parser.parse_args().part
    kept = FAILOVER_RESULTS / "failover.json"
    run = FailoverBenchRun.model_validate_json(kept.read_text()) if kept.exists() else FailoverBenchRun()
    failures: list[str] = []
    if part in {"all", "virtual"}:
        run.virtual = _replay_all_virtually()
        failures = [f"{each.scenario}: {claim}" for each in run.virtual for claim in failed_claims(each)]
    if part in {"all", "sockets"}:
        before = os.getloadavg()[0]
        measured = run_over_sockets()
        run.sockets = [
            build_outcome(each, sample_calls(each), {name: found[each.name] for name, found in measured.items()})
            for each in SCENARIOS
        ]
        run.conditions = (
            f"The sample over real sockets: {SAMPLE_SIZE} calls per scenario, all contenders at once, each a process "
            f"of its own, on {os.cpu_count()} cores; the machine's load average was {before:.1f} when it began and "
            f"{os.getloadavg()[0]:.1f} when it ended."
        )
    FAILOVER_RESULTS.mkdir(exist_ok=True)
    kept.write_text(run.model_dump_json(indent=1) + "\n")
    (FAILOVER_RESULTS / "failover.md").write_text(failover_markdown(run))
    for failure in failures:
        print(f"NOT AS CLAIMED  {failure}", file=sys.stderr)
    return 1 if failures else 0


def _replay_all_virtually() -> list[ScenarioOutcome]:
    outcomes = []
    for scenario in SCENARIOS:
        names = [name for name in CONTENDERS if name != OURS_WITHOUT_SNAPSHOT or scenario.restart_every]
        found = {name: replay_virtually(scenario, name) for name in names}
        outcomes.append(build_outcome(scenario, build_trace(scenario), found))
        print(f"{scenario.name} in virtual time: done", flush=True)
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
