"""When an email that passed needs a person's approval: the policy of the rule pack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from services.specialists.compliance.review import RuleEvaluation
from services.specialists.compliance.rules.rule import RuleInput
from switchyard.protocol.fields import Code

APPROVAL_REASONS: dict[Code, str] = {
    "work_address": "Whether the address belongs to an employer is unknown (R09).",
    "warning": "A rule warns.",
    "settlement_offer": "The email offers a settlement.",
    "first_contact": "The email is the first communication with the consumer.",
    "purpose": "The policy requires approval for this purpose.",
    "large_amount": "The balance is over the policy's limit.",
    "rubric_low": "The score passes every floor and is below the comfort threshold.",
}


def approval_reasons(situation: RuleInput, results: Sequence[RuleEvaluation], rubric_score: int) -> tuple[Code, ...]:
    """Every reason why approval is needed, the weightiest first; empty if it is not needed."""
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
