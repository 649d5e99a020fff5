"""The command line of an application's evals: `python -m evals SUITE --model simulator|MODEL [--gate]`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from switchyard.evals.models import SIMULATOR_MODEL, open_model
from switchyard.evals.prompted_suite import DatasetError, run_prompted_suite
from switchyard.evals.regression_gate import check_regression
from switchyard.evals.results import EvalRun, SuiteResult

RESULTS_FOLDER = Path(".switchyard") / "evals"
Suite = Callable[[Any, EvalRun], Awaitable[SuiteResult]]
"""Runs a suite on a model."""


def read_arguments(suites: Sequence[str], arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line's options. Ends the process with status 2 for an invalid one."""
    parser = argparse.ArgumentParser(prog="python -m evals", description="Evals of the agents. See evals/README.md.")
    parser.add_argument("suite", choices=suites)
    parser.add_argument(
        "--model", default=SIMULATOR_MODEL, help="simulator, or a pydantic-ai model id (bedrock:…, openai:…)"
    )
    parser.add_argument("--base-url", help="an OpenAI-compatible server that has the model")
    parser.add_argument("--runs", type=int, default=1, help="times each case is run; three or more give pass^k")
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--out", type=Path, help=f"where the results go (default: {RESULTS_FOLDER}/SUITE.json)")
    parser.add_argument("--baseline", type=Path, help="results to compare with")
    parser.add_argument("--gate", action="store_true", help="exit with 1 if worse than the baseline")
    given = parser.parse_args(arguments)
    if given.gate and given.baseline is None:
        parser.error("--gate compares with a baseline: give --baseline FILE")
    return given


def run_evals(folder: Path, scripts: Sequence[Path], arguments: Sequence[str] | None = None) -> int:
    """Run a suite of `folder`/datasets, one file per suite; returns the exit status. `scripts`: the simulator's.

    Without a suite every one is run on the simulator, and each of its cases must pass.
    """
    suites = {path.stem: path for path in sorted((folder / "datasets").glob("*.yaml"))}
    arguments = sys.argv[1:] if arguments is None else arguments
    failed = 0
    for name in [*suites] if not arguments else [None]:
        given = read_arguments([*suites], [name] if name else arguments)
        try:
            result, status = run_suite(given, partial(run_prompted_suite, suites[given.suite]), scripts)
        except DatasetError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        failed |= status or int(name is not None and result.accuracy < 1)
    return failed


def run_suite(given: argparse.Namespace, suite: Suite, scripts: Sequence[Path]) -> tuple[SuiteResult, int]:
    """Run one suite on the model that was given, and report it; the result and the exit status."""
    run = EvalRun(given.model, given.runs, given.concurrency)
    with open_model(given.model, given.base_url, scripts) as model:
        result = asyncio.run(_await(suite(model, run)))
    return result, report(given, result)


async def _await(running: Awaitable[SuiteResult]) -> SuiteResult:
    return await running


def report(given: argparse.Namespace, result: SuiteResult) -> int:
    """Write and print a result, and compare it with the baseline, if there is one; returns the exit status."""
    out = given.out or RESULTS_FOLDER / f"{given.suite}.json"
    result.write(out)
    sys.stdout.writelines(f"{line}\n" for line in _lines(result, out))
    if given.baseline is None:
        return 0
    return _compare_with_baseline(SuiteResult.read(given.baseline), result, gate=given.gate)


def _lines(result: SuiteResult, out: Path) -> list[str]:
    lines = []
    for case in result.cases:
        mark = "pass" if case.passes == case.runs else "FAIL"
        count = "" if case.runs == 1 else f" {case.passes}/{case.runs}"
        lines.append(f"  {mark}{count}  {case.id}{f': {case.note}' if case.note else ''}")
    lines.append(f"\n{result.suite} on {result.model}, prompt {result.prompt_version}, {len(result.cases)} cases")
    rates: Mapping[str, float] = {"cases passed": result.accuracy, **result.rates}
    for name, rate in rates.items():
        lines.append(f"  {name.replace('_', ' ')}: {rate if name.startswith('tokens') else f'{rate:.1%}'}")
    lines += [f"  must never happen: {violation}" for violation in result.violations]
    if result.model == SIMULATOR_MODEL and result.prompt_version:
        lines.append("  The simulator is scripted: this score says that the plumbing works.")
    return [*lines, f"  written to {out}"]


def _compare_with_baseline(baseline: SuiteResult, result: SuiteResult, *, gate: bool) -> int:
    verdict = check_regression(baseline, result)
    lines = [
        f"\nagainst the baseline ({baseline.model}, prompt {baseline.prompt_version}):",
        f"  mean difference {verdict.difference:+.4f}, 95 % upper bound {verdict.upper_bound:+.4f}",
        *([f"  newly failing: {', '.join(verdict.newly_failing)}"] if verdict.newly_failing else []),
        *(f"  gate: {reason}" for reason in verdict.reasons),
        f"  {'passed' if verdict.passed else 'NOT passed'}",
    ]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 1 if gate and not verdict.passed else 0
