"""When a person must agree to an email that passed: the policy is the pack's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from services.specialists.compliance.review import RuleEvaluation
from services.specialists.compliance.rules.rule import RuleInput
from switchyard.protocol.fields import Code

APPROVAL_REASONS: dict[Code, str] = {
    "work_address": "Nobody knows whether the address is an employer's (R09).",
    "warning": "A rule warns.",
    "settlement_offer": "It offers a settlement.",
    "first_contact": "It is the first communication with the consumer.",
    "purpose": "The policy names the purpose.",
    "large_amount": "The balance is over the policy's limit.",
    "rubric_low": "It passed every floor, but its score is below the comfort threshold.",
}


def approval_reasons(situation: RuleInput, results: Sequence[RuleEvaluation], rubric_score: int) -> tuple[Code, ...]:
    """Every reason why a person must agree, weightiest first; none if nobody must."""
    return tuple(_reasons(situation, results, rubric_score))


def _reasons(situation: RuleInput, results: Sequence[RuleEvaluation], rubric_score: int) -> Iterator[Code]:
    policy = situation.pack.approval
    warned = {result.rule.id for result in results if result.verdict.kind == "warn"}
    if policy.work_address and "R09" in warned:
        yield "work_address"
    if policy.warnings and warned - {"R09"}:
        yield "warning"
    if situation.purpose in policy.purposes:
        yield "settlement_offer" if situation.purpose == "settlement_offer" else "purpose"
    if policy.first_contact and situation.facts.history.contacted_before is False:
        yield "first_contact"
    if Decimal(situation.facts.ledger.balance) > Decimal(policy.amount_over):
        yield "large_amount"
    if rubric_score < policy.comfort_basis_points:
        yield "rubric_low"
