"""Accounts and drafts, good and bad in one way each: nothing bad gets through, and the false blocks are counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import pytest

from contracts.documents.reviews import ReviewStage
from services.specialists.compliance.review import evaluate_rules
from services.specialists.compliance.rules import RULES
from services.specialists.compliance.rules.rule import RuleInput
from tests.unit.compliance.emails import SALT, situation
from tests.unit.compliance.table import Case, cases, stopping

GOOD, BAD = cases("good"), cases("bad")
RESULTS = cache(lambda case_id: next(case for case in (*GOOD, *BAD) if case.id == case_id).results())


def by_id(case: Case) -> str:
    """The id that pytest shows."""
    return case.id


@pytest.mark.parametrize("case", BAD, ids=by_id)
def test_bad_case_is_stopped_by_its_rule(case: Case) -> None:
    assert case.expect in stopping(RESULTS(case.id))


@pytest.mark.parametrize("case", GOOD, ids=by_id)
def test_good_case_passes_at_all_stages(case: Case) -> None:
    given = case.situation()
    assert stopping(evaluate_rules(given, "email", SALT)) == set()
    assert stopping(evaluate_rules(replace(given, message=None), "contact", SALT)) == set()
    assert stopping(evaluate_rules(replace(given, message=None), "sending", SALT)) == set()


def test_table_has_at_least_120_distinct_cases() -> None:
    assert len(GOOD) + len(BAD) >= 120
    assert len({case.id for case in GOOD + BAD}) == len(GOOD) + len(BAD)


def test_rules_each_have_a_pass_a_block_and_an_unknown() -> None:
    found: dict[str, Counter[str]] = {rule: Counter() for rule in RULES}
    with_draft = [[case for case in BAD if case.expect == rule and case.stage is None][:2] for rule in RULES]
    for case in (GOOD[0], *(case for case in BAD if case.stage), *(case for two in with_draft for case in two)):
        for result in RESULTS(case.id):
            found[result.rule.id][result.verdict.kind] += 1
    stages: tuple[ReviewStage, ...] = ("contact", "email", "sending")
    for stage in stages:
        draft = cases("good")[0].situation() if stage == "email" else situation()
        stale = situation_with_old_facts(draft)
        for result in evaluate_rules(stale, stage, SALT):
            found[result.rule.id][result.verdict.kind] += 1
    blocking = {"R01": "reschedule", "R02": "reschedule"}
    for rule, kinds in found.items():
        assert kinds["pass"], rule
        assert kinds[blocking.get(rule, "block")], rule
        assert kinds["unknown"], rule


def situation_with_old_facts(given: RuleInput) -> RuleInput:
    """The same situation with facts that are too old to rely on."""
    return replace(given, facts=given.facts.model_copy(update={"as_of": "2026-09-01T00:00:00Z"}))
