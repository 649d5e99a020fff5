"""ragas is reported and never a gate, in an environment that nothing of ours imports from."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from evals.ragas.__main__ import METRICS, format_report, main

ROOT = Path(__file__).resolve().parents[3]


def test_only_the_script_of_its_own_environment_imports_ragas() -> None:
    files = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    imports = re.compile(r"^\s*(?:from|import) ragas\b", re.MULTILINE)
    found = [
        name for name in files.split() if (ROOT / name).exists() and imports.search((ROOT / name).read_text("utf-8"))
    ]
    assert found in ([], ["evals/ragas/score.py"])  # before its first commit git does not list it


def test_ragas_is_in_no_environment_of_the_product() -> None:
    assert "ragas" not in (ROOT / "requirements.lock").read_text(encoding="utf-8")
    lock = (ROOT / "evals" / "ragas" / "requirements.txt").read_text(encoding="utf-8")
    assert re.search(r"^ragas==0\.4\.3 \\$", lock, re.MULTILINE)
    assert "--hash=sha256:" in lock


def test_report_counts_what_has_no_figure_and_says_what_a_simulators_figure_is() -> None:
    scores = [
        {"id": "a", "faithfulness": 1.0, "answer_relevancy": 0.5},
        {"id": "b", "faithfulness": float("nan"), "answer_relevancy": "APIError"},
    ]
    text = format_report(scores, "simulator")
    assert "faithfulness: 1.000 over 1 answers; 1 without a figure" in text
    assert "answer_relevancy: 0.500 over 1 answers; 1 without a figure" in text
    assert "the wires fit, no more" in text
    assert "no gate" in text
    assert "wires" not in format_report(scores, "qwen3")
    assert format_report([], "qwen3").count("none over 0 answers") == len(METRICS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "qwen3"], "--base-url is missing"),
        (["--python", "/nowhere/python"], "run `make evals-ragas`"),
    ],
)
def test_missing_part_is_named_with_its_remedy(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
