from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from switchyard.evals.results import SuiteResult

BASELINES = Path(__file__).parents[3] / "evals" / "baseline"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "evals", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["text_to_sql", "triage", "well_data"])
def test_committed_baseline_holds_on_the_simulator(suite: str, tmp_path: Path) -> None:
    baseline = BASELINES / f"{suite}.simulator.json"
    done = run(suite, "--out", str(tmp_path / "out.json"), "--baseline", str(baseline), "--gate")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "this score says that the plumbing works" in done.stdout
    assert SuiteResult.read(tmp_path / "out.json").accuracy == SuiteResult.read(baseline).accuracy


@pytest.mark.slow
def test_gate_fails_and_lists_newly_failing_cases(tmp_path: Path) -> None:
    better = json.loads((BASELINES / "triage.simulator.json").read_text(encoding="utf-8"))
    failing = [case["id"] for case in better["cases"] if not case["passes"]]
    for case in better["cases"]:
        case["passes"] = 1
    (tmp_path / "better.json").write_text(json.dumps(better), encoding="utf-8")
    done = run("triage", "--out", str(tmp_path / "o.json"), "--baseline", str(tmp_path / "better.json"), "--gate")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"newly failing: {', '.join(failing)}" in done.stdout


@pytest.mark.slow
def test_guard_suite_keeps_its_rates(tmp_path: Path) -> None:
    baseline = BASELINES / "sql_guard.simulator.json"
    done = run("sql_guard", "--out", str(tmp_path / "out.json"), "--baseline", str(baseline), "--gate")
    assert done.returncode == 0, done.stdout + done.stderr
    assert SuiteResult.read(tmp_path / "out.json").rates["hostile_accepted"] == 0.0


def test_gate_without_a_baseline_is_refused() -> None:
    done = run("triage", "--gate")
    assert done.returncode == 2
    assert "give --baseline FILE" in done.stderr
