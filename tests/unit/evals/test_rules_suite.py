"""The drafts for the rules of the compliance gate, and how they are counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from evals.cases import RuleCase, rule_cases
from evals.rules_suite import RuleCaseResult, false_block_rate, format_table, run_rules, tally_rules

CASES = rule_cases()
PAGE = Path(__file__).parents[3] / "docs" / "build" / "compliance-rules.md"


@pytest.fixture(scope="module")
def results() -> tuple[RuleCaseResult, ...]:
    """What the rules say of every draft."""
    return run_rules(CASES)


def test_bad_drafts_are_each_blocked_by_their_rule(results: tuple[RuleCaseResult, ...]) -> None:
    assert [(each.case.id, each.blocked_by) for each in results if each.case.rule and not each.right] == []


def test_drafts_of_the_set_raise_no_error(results: tuple[RuleCaseResult, ...]) -> None:
    assert [(each.case.id, each.error) for each in results if each.error] == []


def test_rules_block_at_most_two_percent_of_the_clean_drafts(results: tuple[RuleCaseResult, ...]) -> None:
    assert false_block_rate(results) <= 0.02


def test_drafts_for_the_judge_only_pass_the_rules(results: tuple[RuleCaseResult, ...]) -> None:
    assert [each.case.id for each in results if each.case.judge_only and each.blocked_by] == []


def test_page_has_the_counts_of_the_set(results: tuple[RuleCaseResult, ...]) -> None:
    assert format_table(results) in PAGE.read_text(encoding="utf-8")


def test_rule_cases_are_as_many_as_the_readme_states() -> None:
    assert sum(case.rule is not None and not case.judge_only for case in CASES) == 982
    assert sum(case.rule is None for case in CASES) == 288
    assert sum(case.judge_only for case in CASES) == 21
    assert min(Counter(case.kind for case in CASES).values()) >= 5


def test_tally_counts_caught_missed_and_false_blocks_per_rule() -> None:
    bad, clean = RuleCase(id="a", kind="shares", rule="R14"), RuleCase(id="b", kind="clean")
    judged = RuleCase(id="c", kind="judge", rule="R15", judge_only=True)
    results = [
        RuleCaseResult(bad, ("R14", "R15"), 1.0),
        RuleCaseResult(bad, ("R15",), 1.0),
        RuleCaseResult(bad, (), 0.0, "ValueError: x"),
        RuleCaseResult(clean, ("R15",), 1.0),
        RuleCaseResult(clean, (), 1.0),
        RuleCaseResult(judged, (), 1.0),
    ]
    assert [result.right for result in results] == [True, False, False, False, True, True]
    assert false_block_rate(results) == 0.5
    (r14, r15) = tally_rules(results)
    assert (r14.caught, r14.missed, r14.false_blocks) == (1, 2, 0)
    assert (r15.caught, r15.false_blocks, r15.judge_only) == (0, 1, 1)
    assert format_table(results).splitlines()[-1] == "| all | 1 | 2 | 1 | 1 |"
