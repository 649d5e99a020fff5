"""What holds for any application: generated files are fresh, evals pass, every case ends as it should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from services.app import APP
from switchyard.cli.commands.demo import load_demo_cases
from switchyard.router.playbook import Playbook

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str | Path) -> str:
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("module", ["app.generate", "devstack.stack.compose_file", "infra.generate"])
def test_generated_files_are_fresh(module: str) -> None:
    run(sys.executable, "-m", f"switchyard.{module}", "--check")


@pytest.mark.parametrize("playbook", [pytest.param(each, id=each.version) for each in APP.playbooks.values()])
def test_playbook_can_be_drawn(playbook: Playbook) -> None:
    assert playbook.mermaid(APP.catalogue).startswith("flowchart")


def test_demo_has_a_case_for_every_outcome() -> None:
    shown = {case["outcome"] for case in load_demo_cases()}
    assert APP.outcomes.keys() <= shown, "add a case to demo/data/cases.yaml for each outcome"


def test_evals_pass_on_the_simulator() -> None:
    run(sys.executable, "-m", "evals")


def test_demo_cases_end_as_expected_and_the_log_agrees() -> None:
    printed = run(Path(sys.executable).with_name("switchyard"), "demo")
    assert "0 otherwise than expected" in printed
    assert "Hash chain: ok" in printed
