"""A pytest plugin for runs in which a skip would go unseen: `-p tests.no_skips` makes every skipped test a failure."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

import pytest

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skips itself, or is skipped by its marker."""
    return _failed((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A module that skips all its tests."""
    return _failed((yield))


def _failed(report: Report) -> Report:
    # An expected failure is reported as skipped, too; it did run.
    if report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason: Any = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: {reason}\nHere a skip is a failure: make the test run, or remove it."
    return report
