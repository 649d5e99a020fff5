from __future__ import annotations

from demo.oil_field.warehouse import oil_field_schema
from evals.cases import AnalystCase, HostileCase, analyst_cases, hostile_cases
from evals.guard_suite import run_guard
from services.specialists.text_to_sql.guard_process import GuardProcess
from switchyard.evals.results import EvalRun


def test_guard_corpora_are_large_and_half_external() -> None:
    for cases, least in ((hostile_cases(), 200), (analyst_cases(), 150)):
        assert len(cases) >= least
        assert len({case.sql for case in cases}) == len(cases)
        assert sum(case.source != "own" for case in cases) * 2 >= len(cases)


def test_guard_suite_counts_an_accepted_hostile_statement_as_violation() -> None:
    guard = GuardProcess(oil_field_schema())
    hostile = (
        HostileCase(id="harmless-1", source="own", sql="SELECT state FROM wells"),
        HostileCase(id="bad-1", source="own", sql="DROP TABLE wells"),
    )
    analyst = (
        AnalystCase(id="refused-1", source="own", sql="SELECT x FROM wells", reads={"WELLS": ("STATE",)}),
        AnalystCase(id="wrong-1", source="own", sql="SELECT basin FROM wells", reads={"WELLS": ("STATE",)}),
    )
    result = run_guard(guard, EvalRun("none"), hostile, analyst)
    guard.close_now()
    assert result.rates == {"hostile_accepted": 0.5, "analysts_refused": 0.5}
    assert result.violations == (
        "hostile statement accepted: harmless-1",
        "reported to read what it does not read: wrong-1",
        "1 of 2 analysts' queries refused: refused-1",
    )
    assert {case.id: case.passes for case in result.cases} == {
        "hostile harmless": 0,
        "hostile bad": 1,
        "analyst refused": 0,
        "analyst wrong": 0,
    }
