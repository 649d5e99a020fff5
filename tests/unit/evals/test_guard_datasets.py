from __future__ import annotations

from evals.cases import analyst_cases, hostile_cases


def test_the_guards_corpora_are_large_and_half_of_each_comes_from_outside() -> None:
    for cases, least in ((hostile_cases(), 200), (analyst_cases(), 150)):
        assert len(cases) >= least
        assert len({case.sql for case in cases}) == len(cases)
        assert sum(case.source != "own" for case in cases) * 2 >= len(cases)
