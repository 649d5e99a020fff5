"""The command line of an application's evals: `python -m evals SUITE … | all [--model simulator|MODEL] [--gate]`."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from switchyard.evals.models import SIMULATOR_MODEL, VENDORS, Vendor, open_model
from switchyard.evals.paired_test import PairedDifference
from switchyard.evals.prompted_suite import DatasetError, run_prompted_suite
from switchyard.evals.recording import RecordingModel
from switchyard.evals.regression_gate import RegressionGateResult, check_regression
from switchyard.evals.report import write_report
from switchyard.evals.results import EvalRun, SuiteResult

RESULTS_FOLDER = Path(".switchyard") / "evals"
ModelSuite = Callable[[Any, EvalRun], Awaitable[SuiteResult]]
"""Runs a suite on a model."""
CodeSuite = Callable[[EvalRun], SuiteResult]
"""Runs a suite that asks no model."""


@dataclass(frozen=True)
class EvalSuites:
    """An application's suites."""

    asked: Mapping[str, ModelSuite]
    """Those that ask a model, by name."""
    scripts: Sequence[Path]
    """What the simulator answers them."""
    baselines: Path
    """The folder of the results that runs are compared with."""
    code: Mapping[str, CodeSuite] = field(default_factory=dict)
    """Those of code alone."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every suite."""
        return tuple(sorted((*self.asked, *self.code)))

    def run(self, suite: str, run: EvalRun, *, base_url: str | None = None, vendor: Vendor = "openai") -> SuiteResult:
        """Run every case of a suite. `vendor` is the wire on which the simulator is asked."""
        if suite in self.code:
            return self.code[suite](run)
        with open_model(run.model, base_url, self.scripts, vendor=vendor) as model:
            recording = RecordingModel(model)
            result = asyncio.run(_await(self.asked[suite](recording, run)))
        return result.model_copy(update={"usage": recording.usage, "transcripts": dict(recording.transcripts)})

    def baseline_file(self, folder: Path, suite: str, model: str) -> Path:
        """Where a suite's results are: a model's id, made a file name."""
        name = SIMULATOR_MODEL if suite in self.code else re.sub(r"[^A-Za-z0-9.-]+", "-", model)
        return folder / f"{suite}.{name}.json"


def run_folder(folder: Path, scripts: Sequence[Path], arguments: Sequence[str] | None = None) -> int:
    """Run suites of `folder`/datasets, one file per suite; returns the exit status.

    Without arguments every one is run on the simulator, and each of its cases must pass.
    """
    files = sorted((folder / "datasets").glob("*.yaml"))
    asked = {path.stem: partial(run_prompted_suite, path) for path in files}
    suites = EvalSuites(asked, scripts, folder / "baseline")
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return run_evals(suites, arguments or ["all", "--all-must-pass"])
    except DatasetError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def run_evals(suites: EvalSuites, arguments: Sequence[str] | None = None) -> int:
    """Run the suites that the command line names; returns the exit status. Raises `DatasetError`."""
    given = _read_arguments(suites, arguments)
    names = suites.names if "all" in given.suites else tuple(dict.fromkeys(given.suites))
    if given.vendor != "openai":
        names = tuple(name for name in names if name not in suites.code)
    files = {name: suites.baseline_file(given.baselines, name, given.model) for name in names}
    baselines = {name: SuiteResult.read(file) for name, file in files.items() if file.exists()}
    if given.gate and (missing := [name for name in names if name not in baselines]):
        sys.stderr.write(
            f"--gate has no baseline of {', '.join(missing)} in {given.baselines}: make it with --accept\n"
        )
        return 2
    results = []
    for name in names:
        _write(_cost(name, given, baselines.get(name)))
        with ExitStack() as stack:
            run = EvalRun(given.model, given.runs, given.concurrency, _Progress.open(stack))
            result = suites.run(name, run, base_url=given.base_url, vendor=given.vendor)
        results.append(result)
        out = files[name] if given.accept else suites.baseline_file(given.out, name, given.model)
        result.write(out)
        _write(*_lines(result, out))
    pairs = [(baselines[result.suite], result) for result in results if result.suite in baselines]
    verdict = check_regression(pairs)
    page = given.out / "report.html"
    write_report(page, results, verdict, baselines)
    _write(*_verdict_lines(verdict), f"\nreport: {page}")
    fallen = given.gate and not verdict.passed
    return int(fallen or (given.all_must_pass and any(result.accuracy < 1 for result in results)))


def _read_arguments(suites: EvalSuites, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line's options. Ends the process with status 2 for an invalid one."""
    known = (*suites.names, "all")
    parser = argparse.ArgumentParser(prog="python -m evals", description="Evals of the agents. See evals/README.md.")
    parser.add_argument("suites", nargs="+", choices=known, metavar="SUITE", help=", ".join(known))
    parser.add_argument(
        "--model", default=SIMULATOR_MODEL, help="simulator, or a pydantic-ai model id (bedrock:…, openai:…)"
    )
    parser.add_argument("--base-url", help="an OpenAI-compatible server that has the model")
    parser.add_argument("--vendor", choices=VENDORS, default="openai", help="the wire on which the simulator is asked")
    parser.add_argument("--runs", type=_positive, default=1, help="times each case is run; three or more give pass^k")
    parser.add_argument("--concurrency", type=_positive, default=4)
    parser.add_argument("--out", type=Path, default=RESULTS_FOLDER, help="the folder of the results and the report")
    parser.add_argument(
        "--baselines", type=Path, default=suites.baselines, help="the folder of the results to compare with"
    )
    parser.add_argument("--gate", action="store_true", help="exit with 1 if a suite is worse than its baseline")
    parser.add_argument("--accept", action="store_true", help="write the results as the new baselines")
    parser.add_argument("--all-must-pass", action="store_true", help="exit with 1 if a case does not pass every time")
    given = parser.parse_args(arguments)
    if given.vendor != "openai" and given.model != SIMULATOR_MODEL:
        parser.error("--vendor is the simulator's wire; a model's vendor is in its id, such as bedrock:…")
    return given


async def _await(running: Awaitable[SuiteResult]) -> SuiteResult:
    return await running


class _Progress:
    """A dot an attempt, on a terminal only."""

    def __init__(self) -> None:
        self._count = 0

    @classmethod
    def open(cls, stack: ExitStack) -> _Progress:
        progress = cls()
        stack.callback(progress.end)
        return progress

    def __call__(self) -> None:
        self._count += 1
        if sys.stderr.isatty():
            sys.stderr.write(f"\r  {self._count} attempts done")
            sys.stderr.flush()

    def end(self) -> None:
        if self._count and sys.stderr.isatty():
            sys.stderr.write("\n")


def _write(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _cost(suite: str, given: argparse.Namespace, baseline: SuiteResult | None) -> str:
    """What this will take, as the baseline took."""
    if baseline is None or not baseline.usage.calls:
        return f"{suite}: no earlier run says what this costs"
    expected = baseline.usage.scaled(given.runs / baseline.cases[0].runs)
    dollars = expected.dollars(given.model)
    price = "no list price is known" if dollars is None else f"about ${dollars:.2f}"
    return (
        f"{suite}: about {expected.calls} calls, {expected.input_tokens} + {expected.output_tokens} tokens, "
        f"{expected.seconds:.0f} s on {baseline.model}; {price}"
    )


def _lines(result: SuiteResult, out: Path) -> list[str]:
    lines = []
    for case in result.cases:
        if case.passes < case.runs:
            count = "" if case.runs == 1 else f" {case.passes}/{case.runs}"
            lines.append(f"  FAIL{count}  {case.id}{f': {case.note}' if case.note else ''}")
    lines.append(f"{result.suite} on {result.model}, prompt {result.prompt_version or '-'}, {len(result.cases)} cases")
    rates = {"cases passed": result.accuracy, **result.rates}
    lines += [f"  {name.replace('_', ' ')}: {rate:.1%}" for name, rate in rates.items()]
    lines += [f"  {name.replace('_', ' ')}: {count:g}" for name, count in result.counts.items()]
    lines += [f"  must never happen: {violation}" for violation in result.violations]
    if result.model == SIMULATOR_MODEL and result.prompt_version:
        lines.append("  The simulator is scripted, some wrong answers included: this says that the plumbing works.")
    return [*lines, f"  written to {out}\n"]


def _verdict_lines(verdict: RegressionGateResult) -> list[str]:
    lines = []
    for each in verdict.comparisons:
        lines.append(f"{each.suite} against its baseline: {_difference(each.score)}")
        if each.reliability is not None:
            lines.append(f"  pass^{each.k}: {_difference(each.reliability)}")
        fall = "no fall at all" if each.visible_fall is None else f"a fall of {each.visible_fall:.1%} or more"
        lines.append(f"  with these cases and runs the gate sees {fall}")
        if each.newly_failing:
            lines.append(f"  newly failing: {', '.join(each.newly_failing)}")
    lines += [f"gate: {suite}: {reason}" for suite, reason in verdict.reasons]
    if verdict.comparisons:
        lines.append("gate passed" if verdict.passed else "gate NOT passed")
    return lines


def _difference(found: PairedDifference) -> str:
    return f"{found.mean:+.1%}, 95 % interval {found.low:+.1%} to {found.high:+.1%}, p {found.p_worse:.3f}"
