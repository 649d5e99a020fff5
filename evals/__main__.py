"""`python -m evals SUITE … | all [--model simulator|MODEL] [--base-url URL] [--vendor openai|bedrock] [--gate]`: see
README.md."""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import ExitStack
from pathlib import Path

from evals.suites import CODE_SUITES, SUITES, run_suite
from switchyard.evals.models import SIMULATOR_MODEL, VENDORS
from switchyard.evals.paired_test import PairedDifference
from switchyard.evals.regression_gate import RegressionGateResult, check_regression
from switchyard.evals.report import write_report
from switchyard.evals.results import EvalRun, SuiteResult

RESULTS_FOLDER = Path(".switchyard") / "evals"
BASELINES = Path(__file__).parent / "baseline"


def main() -> int:
    """Run the suites; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m evals", description="Evals of the agents. See evals/README.md.")
    parser.add_argument(
        "suites", nargs="+", choices=(*SUITES, "all"), metavar="SUITE", help=", ".join((*SUITES, "all"))
    )
    parser.add_argument(
        "--model", default=SIMULATOR_MODEL, help="simulator, or a pydantic-ai model id (bedrock:…, openai:…)"
    )
    parser.add_argument("--base-url", help="an OpenAI-compatible server that has the model")
    parser.add_argument("--vendor", choices=VENDORS, default="openai", help="the wire on which the simulator is asked")
    parser.add_argument("--runs", type=_positive, default=1, help="times each case is run; three or more give pass^k")
    parser.add_argument("--concurrency", type=_positive, default=4)
    parser.add_argument("--out", type=Path, default=RESULTS_FOLDER, help="the folder of the results and the report")
    parser.add_argument("--baselines", type=Path, default=BASELINES, help="the folder of the results to compare with")
    parser.add_argument("--gate", action="store_true", help="exit with 1 if a suite is worse than its baseline")
    parser.add_argument("--accept", action="store_true", help="write the results as the new baselines")
    given = parser.parse_args()
    if given.vendor != "openai" and given.model != SIMULATOR_MODEL:
        parser.error("--vendor is the simulator's wire; a model's vendor is in its id, such as bedrock:…")
    suites = SUITES if "all" in given.suites else tuple(dict.fromkeys(given.suites))
    if given.vendor == "bedrock":
        suites = tuple(suite for suite in suites if suite not in CODE_SUITES)
    baselines = {suite: found for suite in suites if (found := _baseline(given.baselines, suite, given.model))}
    if given.gate and (missing := [suite for suite in suites if suite not in baselines]):
        parser.error(f"--gate has no baseline of {', '.join(missing)} in {given.baselines}: make it with --accept")
    results = []
    for suite in suites:
        _say_cost(suite, given.model, given.runs, baselines.get(suite))
        with ExitStack() as stack:
            run = EvalRun(given.model, given.runs, given.concurrency, _Progress.open(stack))
            result = run_suite(suite, run, base_url=given.base_url, vendor=given.vendor)
        results.append(result)
        out = _file(given.baselines if given.accept else given.out, suite, given.model)
        result.write(out)
        _print(result, out)
    pairs = [(baselines[result.suite], result) for result in results if result.suite in baselines]
    verdict = check_regression(pairs)
    _print_verdict(verdict)
    report = given.out / "report.html"
    write_report(report, results, verdict, baselines)
    print(f"\nreport: {report}")
    return 1 if given.gate and not verdict.passed else 0


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
            print(f"\r  {self._count} attempts done", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._count and sys.stderr.isatty():
            print(file=sys.stderr)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _file(folder: Path, suite: str, model: str) -> Path:
    """Where a suite's results are: a model's id, made a file name."""
    name = "simulator" if suite in CODE_SUITES else re.sub(r"[^A-Za-z0-9.-]+", "-", model)
    return folder / f"{suite}.{name}.json"


def _baseline(folder: Path, suite: str, model: str) -> SuiteResult | None:
    path = _file(folder, suite, model)
    return SuiteResult.read(path) if path.exists() else None


def _say_cost(suite: str, model: str, runs: int, baseline: SuiteResult | None) -> None:
    """What this will take, as the baseline took."""
    if baseline is None or not baseline.usage.calls:
        print(f"{suite}: no earlier run says what this costs")
        return
    expected = baseline.usage.scaled(runs / baseline.cases[0].runs)
    dollars = expected.dollars(model)
    price = "no list price is known" if dollars is None else f"about ${dollars:.2f}"
    print(
        f"{suite}: about {expected.calls} calls, {expected.input_tokens} + {expected.output_tokens} tokens, "
        f"{expected.seconds:.0f} s on {baseline.model}; {price}"
    )


def _print(result: SuiteResult, out: Path) -> None:
    for case in result.cases:
        if case.passes < case.runs:
            count = "" if case.runs == 1 else f" {case.passes}/{case.runs}"
            print(f"  FAIL{count}  {case.id}{f': {case.note}' if case.note else ''}")
    print(f"{result.suite} on {result.model}, prompt {result.prompt_version or '-'}, {len(result.cases)} cases")
    print(f"  cases passed: {result.accuracy:.1%}")
    for name, rate in result.rates.items():
        print(f"  {name.replace('_', ' ')}: {rate:.1%}")
    for violation in result.violations:
        print(f"  must never happen: {violation}")
    if result.model == SIMULATOR_MODEL and result.prompt_version:
        print("  The simulator is scripted, some wrong answers included: this score says that the plumbing works.")
    print(f"  written to {out}\n")


def _print_verdict(verdict: RegressionGateResult) -> None:
    for each in verdict.comparisons:
        print(f"{each.suite} against its baseline: {_difference(each.score)}")
        if each.reliability is not None:
            print(f"  pass^{each.k}: {_difference(each.reliability)}")
        fall = "no fall at all" if each.visible_fall is None else f"a fall of {each.visible_fall:.1%} or more"
        print(f"  with these cases and runs the gate sees {fall}")
        if each.newly_failing:
            print(f"  newly failing: {', '.join(each.newly_failing)}")
    for suite, reason in verdict.reasons:
        print(f"gate: {suite}: {reason}")
    if verdict.comparisons:
        print("gate passed" if verdict.passed else "gate NOT passed")


def _difference(found: PairedDifference) -> str:
    return f"{found.mean:+.1%}, 95 % interval {found.low:+.1%} to {found.high:+.1%}, p {found.p_worse:.3f}"


if __name__ == "__main__":
    sys.exit(main())
