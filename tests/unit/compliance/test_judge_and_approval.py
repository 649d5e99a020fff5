"""The judge's marks, and when a person must agree."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from services.specialists.compliance.judge import Judgement, below_floor, build_judge_prompt, criteria, rubric_score
from services.specialists.compliance.pack import CRITERIA
from services.specialists.compliance.review import APPROVAL_REASONS, approval_reasons, evaluate_rules
from tests.unit.compliance.emails import SALT, Email, drafted, facts, first_contact, pack, situation

GOOD = {name: {"score": 90, "reason": "Good."} for name in CRITERIA}


def judged(**scores: int) -> Judgement:
    """A judgement with some other scores."""
    marks = {name: {"score": scores.get(name, 90), "reason": "So."} for name in CRITERIA}
    return Judgement.model_validate_json(json.dumps(marks))


@pytest.mark.parametrize(
    "spoilt",
    [
        {"accuracy": {"score": "90", "reason": "x"}},
        {"accuracy": {"score": 90.0, "reason": "x"}},
        {"accuracy": {"score": 101, "reason": "x"}},
        {"accuracy": {"score": -1, "reason": "x"}},
        {"accuracy": {"score": True, "reason": "x"}},
        {"accuracy": {"score": None, "reason": "x"}},
        {"accuracy": {"score": 90}},
        {"accuracy": {"score": 90, "reason": ""}},
        {"accuracy": {"score": 90, "reason": "two\nlines"}},
        {"accuracy": {"score": 90, "reason": "x" * 301}},
        {"accuracy": {"score": 90, "reason": "x", "verdict": "pass"}},
        {"accuracy": 90},
        {"overall": {"score": 100, "reason": "x"}},
        {"accuracy": None},
    ],
)
def test_judgement_without_exactly_six_marks_is_invalid(spoilt: dict[str, Any]) -> None:
    Judgement.model_validate_json(json.dumps(GOOD))
    with pytest.raises(ValidationError):
        Judgement.model_validate_json(json.dumps(GOOD | spoilt))


@pytest.mark.parametrize("name", CRITERIA)
def test_judgement_with_a_missing_criterion_is_invalid(name: str) -> None:
    with pytest.raises(ValidationError):
        Judgement.model_validate_json(json.dumps({other: mark for other, mark in GOOD.items() if other != name}))


def test_score_is_the_weighted_mean_in_basis_points() -> None:
    assert rubric_score(criteria(judged(), pack())) == 9_000
    assert rubric_score(criteria(judged(accuracy=100, readable=0), pack())) == 9_000 + 30 * 10 - 10 * 90
    assert rubric_score(criteria(judged(**dict.fromkeys(CRITERIA, 100)), pack())) == 10_000


@pytest.mark.parametrize("name", CRITERIA)
def test_criterion_below_its_floor_fails_at_any_other_marks(name: str) -> None:
    floor = next(rule.floor for rule in pack().rubric if rule.name == name)
    others = dict.fromkeys(CRITERIA, 100)
    assert below_floor(criteria(judged(**others | {name: floor}), pack())) == ()
    assert [mark.name for mark in below_floor(criteria(judged(**others | {name: floor - 1}), pack()))] == [name]


@pytest.mark.parametrize(
    ("given", "score", "why"),
    [
        (drafted(), 9_000, ()),
        (drafted(), 8_499, ("rubric_low",)),
        (drafted(purpose="settlement_offer"), 9_000, ("settlement_offer",)),
        (drafted(facts(email__work_address=None, email__address="d@bigcorp.com")), 9_000, ("work_address",)),
        (drafted(drop="R17"), 9_000, ("warning",)),
        (drafted(first_contact(), "initial_notice"), 9_000, ("first_contact",)),
        (situation(facts(ledger__balance="10000.01")), 9_000, ("large_amount",)),
        (situation(facts(ledger__balance="10000.00")), 9_000, ()),
        (
            drafted(facts(email__work_address=None, email__address="d@bigcorp.com"), "settlement_offer"),
            8_000,
            ("work_address", "settlement_offer", "rubric_low"),
        ),
    ],
)
def test_approval_reasons_are_the_policys(given: Any, score: int, why: tuple[str, ...]) -> None:
    found = approval_reasons(given, evaluate_rules(given, "email" if given.message else "sending", SALT), score)
    assert found == why
    assert set(found) <= set(APPROVAL_REASONS)


def test_draft_after_a_return_is_seen_by_a_person_under_any_policy() -> None:
    given = situation(facts(ledger__balance="10000.00"))
    results = evaluate_rules(given, "sending", SALT)
    assert approval_reasons(given, results, 9_000, returned=True) == ("returned",)
    assert approval_reasons(given, results, 9_000) == ()


def test_judge_gets_no_telephone_address_or_unneeded_name() -> None:
    given = situation(email=Email(facts()))
    assert given.message is not None
    account = build_judge_prompt(given, given.message).split("</account>")[0]
    assert not [each for each in ("Whitfield", "gmail.com", "+1614555", "43215") if each in account]
