"""From rules to a verdict: what was read, what can be revised, when it waits, how long it is kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from contracts.documents.reviews import Review, ReviewStage
from contracts.events.compliance import VerdictKind
from services.specialists.compliance.review import (
    MAX_ITEMS,
    blocking_results,
    build_review,
    deferred_until,
    describe_rules,
    evaluate_rules,
    fresh_salt,
    is_revisable,
    rule_ids,
    without_evidence,
)
from services.specialists.compliance.rules import RULES
from services.specialists.compliance.rules.record import retain_at_least, retain_until
from services.specialists.compliance.rules.rule import RuleVerdict, Severity
from switchyard.protocol.canonical import canonical_json
from tests.unit.compliance.emails import NOW, PARAGRAPHS, SALT, drafted, facts, first_contact, situation
from tests.unit.compliance.table import cases

STAGES: tuple[ReviewStage, ...] = ("contact", "email", "sending")


class Watched:
    """A model that remembers which of its fields are read, by dotted path."""

    def __init__(self, inner: BaseModel, path: str, seen: set[str]) -> None:
        self.__dict__.update(_inner=inner, _path=path, _seen=seen)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        path = f"{self._path}.{name}" if self._path else name
        if isinstance(value, BaseModel) and self._path == "":
            return Watched(value, path, self._seen)
        self._seen.add(path)
        return value


def test_rule_reads_only_its_declared_fields() -> None:
    for case in (*cases("good"), *cases("bad")[::6]):
        given = case.situation()
        for rule in RULES.values():
            if (case.stage or "email") not in rule.stages:
                continue
            seen: set[str] = set()
            watched = Watched(given.facts, "", seen)
            rule.check(replace(given, facts=watched))  # type: ignore[arg-type]
            undeclared = {path for path in seen if not path.startswith(rule.reads)}
            assert not undeclared, f"{rule.id} reads {undeclared}"


@pytest.mark.parametrize(
    ("kind", "severity", "counts_as"),
    [
        ("warn", "block", "unknown"), ("reschedule", "block", "unknown"), ("warn", "reschedule", "unknown"),
        ("warn", "warn", "warn"), ("block", "warn", "block"), ("unknown", "block", "unknown"),
        ("pass", "block", "pass"),
    ],
)  # fmt: skip
def test_verdict_milder_than_its_severity_is_unknown(
    kind: VerdictKind, severity: Severity, counts_as: VerdictKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = replace(RULES["R03"], severity=severity, check=lambda _: RuleVerdict(kind, until=NOW))
    monkeypatch.setitem(RULES, "R03", rule)
    (result,) = (each for each in evaluate_rules(situation(), "contact", SALT) if each.rule.id == "R03")
    assert result.verdict.kind == counts_as
    assert result.blocks == (counts_as in {"block", "unknown"})


def test_rules_over_all_cases_return_no_verdict_milder_than_their_severity() -> None:
    for case in (*cases("good")[::6], *cases("bad")[::6]):
        for result in evaluate_rules(case.situation(), case.stage or "email", SALT):
            assert not any("milder than its severity" in each for each in result.verdict.evidence), result.rule.id


def test_input_hash_depends_on_the_fields_the_rule_reads_only() -> None:
    def hashes(**changes: Any) -> dict[str, str]:
        return {
            result.rule.id: result.input_hash for result in evaluate_rules(situation(facts(**changes)), "sending", SALT)
        }

    first, again = hashes(), hashes()
    assert first == again
    changed = hashes(consumer__attorney=True)
    assert [rule for rule in first if first[rule] != changed[rule]] == ["R03"]


def test_input_hash_is_unguessable_without_salt_and_checkable_with_it() -> None:
    given = situation()
    results = evaluate_rules(given, "sending", fresh_salt())
    shown = [result.input_hash for result in results]
    guesses = {each.input_hash for each in evaluate_rules(given, "sending", fresh_salt())}
    assert not guesses & set(shown)
    unsalted = canonical_json(
        {
            "rule": "R03",
            "pack": given.pack.version,
            "inputs": {
                "as_of": given.facts.as_of, "day": given.today.isoformat(), "consumer.attorney": False
            },
        }
    )  # fmt: skip
    (attorney,) = (result.input_hash for result in results if result.rule.id == "R03")
    assert attorney != hashlib.sha256(unsalted).hexdigest()

    review = Review.model_validate_json(build_review(given, "sending", results))
    assert review.salt is not None
    salt = bytes.fromhex(review.salt)
    assert attorney == hashlib.sha256(salt + unsalted).hexdigest()
    assert [each.input_hash for each in evaluate_rules(given, "sending", salt)] == shown


def test_salt_is_in_the_sealed_review_only() -> None:
    results = evaluate_rules(situation(), "sending", SALT)
    shown = json.dumps([result.model_dump(mode="json") for result in without_evidence(results)]) + repr(results)
    assert SALT.hex() not in shown
    assert repr(SALT) not in shown
    with pytest.raises(ValueError, match="salt: should be 16 bytes"):
        evaluate_rules(situation(), "sending", b"")


@pytest.mark.parametrize(
    ("changes", "can"),
    [
        ({"paragraphs": [*PARAGRAPHS["payment_reminder"], "You deadbeat, send $5.00."]}, True),
        ({"subject": "Your debt"}, True),
        ({"drop": "R10"}, True),
        ({"headers": {"To": "other@gmail.com"}}, False),
        ({"headers": {"From": "other@gmail.com"}}, False),
        ({"subject": "Your debt", "headers": {"To": "other@gmail.com"}}, False),
    ],
)
def test_review_is_revisable_only_if_words_broke_the_rule(changes: dict[str, Any], can: bool) -> None:
    stopped = blocking_results(evaluate_rules(drafted(**changes), "email", SALT))
    assert stopped
    assert is_revisable(stopped) is can


def test_review_with_a_missing_fact_is_not_revisable() -> None:
    given = drafted(facts(history__last_activity_on=None), subject="Your debt")
    stopped = blocking_results(evaluate_rules(given, "email", SALT))
    assert rule_ids(stopped) == ("R16", "R20")
    assert not is_revisable(stopped)


def test_email_at_night_is_deferred_to_eight_and_not_blocked() -> None:
    night = situation(now=datetime.fromisoformat("2026-09-16T04:00:00+00:00"))
    results = evaluate_rules(night, "sending", SALT)
    assert blocking_results(results) == ()
    assert deferred_until(results) == datetime.fromisoformat("2026-09-16T12:00:00+00:00")


def test_deferral_ends_when_hours_and_the_consumers_wishes_allow() -> None:
    periods = [{"days": ["wed"], "start": "07:00", "end": "10:30"}]
    night = situation(
        facts(consumer__inconvenient_times=periods), now=datetime.fromisoformat("2026-09-16T04:00:00+00:00")
    )
    assert deferred_until(evaluate_rules(night, "sending", SALT)) == datetime.fromisoformat("2026-09-16T14:30:00+00:00")


def test_new_yorks_rule_begins_in_september() -> None:
    account = facts(
        consumer__residences=[{"state": "NY", "postal_code": "10027"}], email__consented=False,
        as_of="2026-08-31T12:00:00Z", history__last_activity_on="2026-08-01",
    )  # fmt: skip
    before = datetime.fromisoformat("2026-08-31T23:59:59+00:00")
    for moment, kind in ((before, "pass"), (before + timedelta(seconds=1), "block")):
        found = {
            result.rule.id: result.verdict for result in evaluate_rules(situation(account, now=moment), "contact", SALT)
        }
        assert found["R18"].kind == kind


def test_open_results_have_no_evidence_and_sealed_review_has_all() -> None:
    given = drafted(paragraphs=["You deadbeat, Dana.", "Send $5.00."])
    results = evaluate_rules(given, "email", SALT)
    shown = json.dumps([result.model_dump(mode="json") for result in without_evidence(results)]) + describe_rules(
        blocking_results(results)
    )
    assert "Dana" not in shown
    assert "deadbeat" not in shown
    review = Review.model_validate_json(build_review(given, "email", results, rubric_score=0))
    assert [finding.rule for finding in review.findings] == list(RULES)[2:]
    (conduct,) = (finding for finding in review.findings if finding.rule == "R15")
    assert any("deadbeat" in each for each in conduct.evidence)
    assert any(each.startswith("R15 ") for each in review.required_changes())


def test_review_of_a_draft_with_all_faults_stays_small() -> None:
    given = drafted(paragraphs=[f"Send ${number}.00 now." for number in range(1, 200)])
    review = build_review(given, "email", evaluate_rules(given, "email", SALT))
    assert len(review) < 200_000
    assert all(len(finding.evidence) <= MAX_ITEMS for finding in Review.model_validate_json(review).findings)


@pytest.mark.parametrize(
    ("last", "until"),
    [("2026-09-01", date(2029, 9, 15)), ("2026-09-15", date(2029, 9, 15)), (None, None)],
)
def test_review_is_kept_for_three_years_after_the_last_activity(last: str | None, until: date | None) -> None:
    assert retain_until(situation(facts(history__last_activity_on=last))) == until


def test_review_of_a_leap_day_is_kept_until_march() -> None:
    leap = datetime.fromisoformat("2028-02-29T16:00:00+00:00")
    assert retain_at_least(situation(first_contact(), now=leap)) == date(2031, 3, 1)


def test_rules_cite_their_source_in_their_docstring() -> None:
    assert list(RULES) == [f"R{number:02}" for number in range(1, 21)]
    for rule in RULES.values():
        assert rule.check.__doc__
        assert rule.citation.split()[0] in rule.check.__doc__, rule.id
        assert rule.stages
        assert set(rule.stages) <= set(STAGES)
        assert rule.check(situation(now=NOW)).kind if "email" not in rule.stages else True
