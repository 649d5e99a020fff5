"""Evaluates the rules, decides whether a person must approve, and builds the review. Pure."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import reduce
from operator import getitem
from typing import Any

from contracts.documents.reviews import Review, ReviewStage, RubricCriterion, RuleFinding
from contracts.events.compliance import RuleResult
from services.specialists.compliance.rules import RULES
from services.specialists.compliance.rules.rule import ComplianceRule, RuleInput, RuleVerdict, passes
from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.fields import Code
from switchyard.runtime.core.clock import timestamp

MAX_ITEMS = 20
"""Maximum of evidence and of revision instructions in a finding."""

SALT_BYTES = 16
_NOT_FACTS = frozenset({"message", "purpose", "now"})
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(?:$|T)")
_FIRST_YEAR, _YEARS_AHEAD = 1900, 50
_STRICTNESS = {"warn": 1, "reschedule": 2, "block": 3, "unknown": 3}


@dataclass(frozen=True)
class RuleEvaluation:
    """One rule's verdict on one situation, and the salted hash of everything that the rule read."""

    rule: ComplianceRule
    verdict: RuleVerdict
    input_hash: str
    salt: bytes = field(repr=False)
    """The review's salt. It leaves this process in the sealed review only."""

    @property
    def blocks(self) -> bool:
        """Whether the rule is broken or could not be checked."""
        return self.verdict.kind in {"block", "unknown"}


def fresh_salt() -> bytes:
    """A salt for one review. A second attempt at a command may draw another one: the first recorded verdict counts."""
    return secrets.token_bytes(SALT_BYTES)


def evaluate_rules(situation: RuleInput, stage: ReviewStage, salt: bytes) -> tuple[RuleEvaluation, ...]:
    """Evaluate the rules of a stage, in order of id. A verdict milder than the rule's severity counts as `unknown`.

    Raises `ValueError` for a salt of another length.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"salt: should be {SALT_BYTES} bytes, use fresh_salt()")
    facts = situation.facts.model_dump(mode="json")
    return tuple(
        RuleEvaluation(rule, _check_rule(rule, situation, facts), _input_hash(rule, situation, facts, salt), salt)
        for rule in RULES.values()
        if stage in rule.stages
    )


def _check_rule(rule: ComplianceRule, situation: RuleInput, facts: dict[str, Any]) -> RuleVerdict:
    first_day = situation.pack.effective_from_of(rule.id)
    if situation.today < first_day:
        return passes(f"in force from {first_day}")
    age = situation.now - datetime.fromisoformat(situation.facts.as_of)
    limits = situation.pack.facts
    if age > timedelta(hours=limits.max_age_hours):
        return RuleVerdict("unknown", (f"the facts are older than {limits.max_age_hours} hours: submit fresh ones",))
    if age < -timedelta(minutes=limits.clock_skew_minutes):
        return RuleVerdict("unknown", ("the facts are dated in the future",))
    read = {path: reduce(getitem, path.split("."), facts) for path in rule.reads if path not in _NOT_FACTS}
    if implausible := [path for path, value in read.items() if not _plausible(value, situation.now.year)]:
        return RuleVerdict("unknown", (f"no plausible day: {', '.join(implausible)}",))
    verdict = rule.check(situation)
    if verdict.kind != "pass" and _STRICTNESS[verdict.kind] < _STRICTNESS[rule.severity]:
        return RuleVerdict("unknown", (f"{rule.id} returned {verdict.kind}, milder than its severity {rule.severity}",))
    return verdict


def _plausible(value: Any, year: int) -> bool:
    """Whether every day in a fact is one that a ledger may have: 9999-12-31 is a placeholder."""
    if isinstance(value, dict):
        return all(_plausible(each, year) for each in value.values())
    if isinstance(value, list):
        return all(_plausible(each, year) for each in value)
    if isinstance(value, str) and _DAY.match(value):
        return _FIRST_YEAR <= int(value[:4]) <= year + _YEARS_AHEAD
    return True


def _input_hash(rule: ComplianceRule, situation: RuleInput, facts: dict[str, Any], salt: bytes) -> str:
    """SHA-256 over the salt and the canonical JSON of what the rule reads: named facts, their age, and the pack."""
    digest = None if situation.message is None else situation.message.sha256
    known = {"message": digest, "purpose": situation.purpose, "now": timestamp(situation.now)}
    inputs: dict[str, Any] = {"as_of": facts["as_of"], "day": situation.today.isoformat()}
    for path in rule.reads:
        inputs[path] = known[path] if path in known else reduce(getitem, path.split("."), facts)
    read = {"rule": rule.id, "pack": situation.pack.version, "inputs": inputs}
    return hashlib.sha256(salt + canonical_json(read)).hexdigest()


def blocking_results(results: Sequence[RuleEvaluation]) -> tuple[RuleEvaluation, ...]:
    """The results that stop the email."""
    return tuple(result for result in results if result.blocks)


def is_revisable(stopped: Sequence[RuleEvaluation]) -> bool:
    """Whether a revision can help: every blocking result carries revision instructions."""
    return all(result.verdict.kind == "block" and result.verdict.revision_instructions for result in stopped)


def deferred_until(results: Sequence[RuleEvaluation]) -> datetime | None:
    """The next permitted moment, if a rule reschedules."""
    moments = [result.verdict.until for result in results if result.verdict.until is not None]
    return max(moments, default=None)


def rule_ids(results: Sequence[RuleEvaluation]) -> tuple[str, ...]:
    """The ids of the rules."""
    return tuple(result.rule.id for result in results)


def describe_rules(results: Sequence[RuleEvaluation]) -> str:
    """The rules by id and name, without evidence, for an event that is not encrypted."""
    return "; ".join(f"{result.rule.id} {result.rule.name} ({result.verdict.kind})" for result in results)


def without_evidence(results: Sequence[RuleEvaluation]) -> tuple[RuleResult, ...]:
    """The results without evidence, for an event that is not encrypted."""
    return tuple(
        RuleResult(rule=result.rule.id, verdict=result.verdict.kind, input_hash=result.input_hash) for result in results
    )


APPROVAL_REASONS: dict[Code, str] = {
    "work_address": "Whether the address belongs to an employer is unknown (R09).",
    "warning": "A rule warns.",
    "settlement_offer": "The email offers a settlement.",
    "first_contact": "The email is the first communication with the consumer.",
    "purpose": "The policy requires approval for this purpose.",
    "large_amount": "The balance is over the policy's limit.",
    "rubric_low": "The score passes every floor and is below the comfort threshold.",
    "returned": "A person sent an earlier draft back.",
}


def approval_reasons(
    situation: RuleInput, results: Sequence[RuleEvaluation], rubric_score: int, *, returned: bool = False
) -> tuple[Code, ...]:
    """Every reason why approval is needed by the pack's policy, the weightiest first; empty if it is not needed.
    `returned`: a person sent an earlier draft back, and sees this one under any policy."""
    return (*_approval_reasons(situation, results, rubric_score), *(("returned",) if returned else ()))


def _approval_reasons(situation: RuleInput, results: Sequence[RuleEvaluation], rubric_score: int) -> Iterator[Code]:
    policy = situation.pack.approval
    warned = {result.rule.id for result in results if result.verdict.kind == "warn"}
    if policy.work_address and "R09" in warned:
        yield "work_address"
    if policy.warnings and warned - {"R09"}:
        yield "warning"
    if situation.purpose in policy.purposes:
        yield "settlement_offer" if situation.email_purpose.offer else "purpose"
    if policy.first_contact and situation.facts.history.contacted_before is False:
        yield "first_contact"
    if Decimal(situation.facts.ledger.balance) > Decimal(policy.amount_over):
        yield "large_amount"
    if rubric_score < policy.comfort_basis_points:
        yield "rubric_low"


def build_review(
    situation: RuleInput,
    stage: ReviewStage,
    results: Sequence[RuleEvaluation],
    *,
    rubric: tuple[RubricCriterion, ...] = (),
    rubric_score: int | None = None,
    approval: tuple[Code, ...] = (),
) -> bytes:
    """The review with its evidence, as JSON."""
    findings = tuple(
        RuleFinding(
            rule=result.rule.id,
            name=result.rule.name,
            citation=result.rule.citation,
            verdict=result.verdict.kind,
            evidence=tuple(each[:600] for each in result.verdict.evidence[:MAX_ITEMS]),
            revision_instructions=tuple(each[:2_000] for each in result.verdict.revision_instructions[:MAX_ITEMS]),
            input_hash=result.input_hash,
        )
        for result in results
    )
    review = Review(
        stage=stage,
        pack=situation.pack.version,
        reviewed_at=timestamp(situation.now),
        content_sha256=situation.message.sha256 if situation.message is not None else None,
        findings=findings,
        rubric=rubric,
        rubric_score=rubric_score,
        salt=results[0].salt.hex(),
        approval=approval,
    )
    return review.model_dump_json(exclude_none=True).encode()
