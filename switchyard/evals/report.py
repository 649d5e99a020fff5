"""The results of a run as one HTML page: what fell, by how much, which cases, and what was said in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader

from switchyard.evals.regression_gate import RegressionGateResult
from switchyard.evals.results import SuiteResult


def write_report(
    path: Path, results: Sequence[SuiteResult], verdict: RegressionGateResult, baselines: Mapping[str, SuiteResult]
) -> None:
    """Write the page. It has the transcripts, beside those of the baseline where that run kept them."""
    page = Environment(loader=PackageLoader("switchyard.evals", "."), autoescape=True, trim_blocks=True).get_template(
        "report.html.jinja"
    )
    compared = {each.suite: each for each in verdict.comparisons}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        page.render(results=results, verdict=verdict, compared=compared, baselines=baselines), encoding="utf-8"
    )
