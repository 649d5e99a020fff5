"""From rules to a verdict: pure functions that the handlers call."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from contracts.documents.reviews import Review, ReviewStage, RubricCriterion, RuleFinding
from contracts.events.compliance import RuleResult
from services.specialists.compliance.rules import RULES
from services.specialists.compliance.rules.rule import ComplianceRule, RuleInput, RuleVerdict, pass_with
from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.fields import Code
from switchyard.runtime.core.clock import timestamp

MAX_ITEMS = 20
"""Pieces of evidence and remedies that a finding keeps."""

SALT_BYTES = 16


@dataclass(frozen=True)
class RuleEvaluation:
    """One rule's verdict on one situation, and the salted hash of all that it read."""

    rule: ComplianceRule
    verdict: RuleVerdict
    input_hash: str
    salt: bytes = field(repr=False)
    """The review's. It leaves this process in the sealed review only."""

    @property
    def blocks(self) -> bool:
        """A broken rule, or one that could not be checked."""
        return self.verdict.kind in {"block", "unknown"}


def fresh_salt() -> bytes:
    """A salt for one review. A second attempt at a command may draw another: the first verdict on record stays."""
    return secrets.token_bytes(SALT_BYTES)


def evaluate_rules(situation: RuleInput, stage: ReviewStage, salt: bytes) -> tuple[RuleEvaluation, ...]:
    """Every rule that runs at this stage, in order of its id. Raises `ValueError` for a salt of another length."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"salt: should be {SALT_BYTES} bytes, use fresh_salt()")
    facts = situation.facts.model_dump(mode="json")
    return tuple(
        RuleEvaluation(rule, _check_rule(rule, situation), _input_hash(rule, situation, facts, salt), salt)
        for rule in RULES.values()
        if stage in rule.stages
    )


def _check_rule(rule: ComplianceRule, situation: RuleInput) -> RuleVerdict:
    effective_dates = situation.pack.effective_from_of(rule.id)
    if situation.today < effective_dates:
        return pass_with(f"in force from {effective_dates}")
    age = situation.now - datetime.fromisoformat(situation.facts.as_of)
    limits = situation.pack.facts
    if age > timedelta(hours=limits.max_age_hours):
        return RuleVerdict("unknown", (f"the facts are older than {limits.max_age_hours} hours: submit fresh ones",))
    if age < -timedelta(minutes=limits.clock_skew_minutes):
        return RuleVerdict("unknown", ("the facts are dated in the future",))
    return rule.check(situation)


def _input_hash(rule: ComplianceRule, situation: RuleInput, facts: dict[str, Any], salt: bytes) -> str:
    """SHA-256 over the salt and the canonical JSON of what the rule reads: the facts that it names, age, and pack."""
    inputs: dict[str, Any] = {"as_of": facts["as_of"], "day": situation.today.isoformat()}
    for path in rule.reads:
        match path:
            case "message":
                inputs[path] = None if situation.message is None else situation.message.sha256
            case "purpose":
                inputs[path] = situation.purpose
            case "now":
                inputs[path] = timestamp(situation.now)
            case _:
                inputs[path] = _lookup_fact(facts, path)
    read = {"rule": rule.id, "pack": situation.pack.version, "inputs": inputs}
    return hashlib.sha256(salt + canonical_json(read)).hexdigest()


def _lookup_fact(facts: dict[str, Any], path: str) -> Any:
    value: Any = facts
    for name in path.split("."):
        value = value[name]
    return value


def blocking_results(results: Sequence[RuleEvaluation]) -> tuple[RuleEvaluation, ...]:
    """Those that stop the email."""
    return tuple(result for result in results if result.blocks)


def is_revisable(stopped: Sequence[RuleEvaluation]) -> bool:
    """Whether writing it again can help: every rule that stops it is broken by words, and says which to change."""
    return all(result.verdict.kind == "block" and result.verdict.revision_instructions for result in stopped)


def deferred_until(results: Sequence[RuleEvaluation]) -> datetime | None:
    """The next permitted moment, if any rule asks to wait."""
    moments = [result.verdict.until for result in results if result.verdict.until is not None]
    return max(moments, default=None)


def rule_ids(results: Sequence[RuleEvaluation]) -> tuple[str, ...]:
    """Their rules' ids."""
    return tuple(result.rule.id for result in results)


def describe_rules(results: Sequence[RuleEvaluation]) -> str:
    """The rules by id and name, without evidence: it stands in the open."""
    return "; ".join(f"{result.rule.id} {result.rule.name} ({result.verdict.kind})" for result in results)


def without_evidence(results: Sequence[RuleEvaluation]) -> tuple[RuleResult, ...]:
    """The results without their evidence."""
    return tuple(
        RuleResult(rule=result.rule.id, verdict=result.verdict.kind, input_hash=result.input_hash) for result in results
    )


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
