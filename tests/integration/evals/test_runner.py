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
@pytest.mark.parametrize("vendor", ["openai", "bedrock"])
def test_committed_baseline_holds_on_both_vendors_wires(vendor: str, tmp_path: Path) -> None:
    suite = "triage"  # `make evals` runs every suite; this is about what a run leaves
    done = run(suite, "--vendor", vendor, "--out", str(tmp_path), "--gate")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "this says that the plumbing works" in done.stdout
    found = SuiteResult.read(tmp_path / f"{suite}.simulator.json")
    assert found.accuracy == SuiteResult.read(BASELINES / f"{suite}.simulator.json").accuracy
    assert found.usage.calls >= len(found.cases)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(case.id in page for case in found.cases if case.passes < case.runs)


@pytest.mark.slow
def test_gate_fails_and_lists_newly_failing_cases(tmp_path: Path) -> None:
    better = json.loads((BASELINES / "triage.simulator.json").read_text(encoding="utf-8"))
    failing = [case["id"] for case in better["cases"] if not case["passes"]]
    for case in better["cases"]:
        case["passes"] = 1
    (tmp_path / "triage.simulator.json").write_text(json.dumps(better), encoding="utf-8")
    done = run("triage", "--out", str(tmp_path / "out"), "--baselines", str(tmp_path), "--gate")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"newly failing: {', '.join(failing)}" in done.stdout


@pytest.mark.slow
def test_guard_suite_keeps_its_rates(tmp_path: Path) -> None:
    done = run("sql_guard", "--out", str(tmp_path), "--gate")
    assert done.returncode == 0, done.stdout + done.stderr
    assert SuiteResult.read(tmp_path / "sql_guard.simulator.json").rates["hostile_accepted"] == 0.0


def test_gate_without_a_baseline_is_refused(tmp_path: Path) -> None:
    done = run("triage", "--gate", "--baselines", str(tmp_path))
    assert done.returncode == 2
    assert "make it with --accept" in done.stderr
