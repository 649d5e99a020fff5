"""The rule about time-barred debt."""

from __future__ import annotations

from contracts.documents.disclosures import is_time_barred
from services.specialists.compliance.rules.draft_checks import find_listed_terms, missing_required_texts
from services.specialists.compliance.rules.rule import (
    DRAFT_STAGES,
    ComplianceRule,
    DraftProblem,
    RuleInput,
    RuleVerdict,
    block_for_missing_facts,
    pass_with,
    verdict_of_problems,
)


def check_time_barred(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.26(b): no suit, and no threat of one, on a time-barred debt; and the email says so."""
    barred = is_time_barred(situation.facts, situation.today.isoformat())
    if barred is None:
        return block_for_missing_facts("ledger.limitation_ends_on", "ledger.limitation_ended")
    if not barred:
        return pass_with("the debt is not time-barred")
    problems = missing_required_texts(situation, "R13")
    problems += [
        DraftProblem(f"{term!r} in the {where} threatens a suit on a time-barred debt", f"leave out {term!r}")
        for term, _, where in find_listed_terms(situation, *situation.pack.conduct.suit)
    ]
    return verdict_of_problems(problems, "no threat of a suit, and the disclosure")


R13 = ComplianceRule(
    id="R13",
    name="Time-barred debt",
    citation="12 CFR 1006.26(b)",
    topic="draft",
    severity="block",
    stages=DRAFT_STAGES,
    reads=("message", "purpose", "history", "ledger", "agency", "consumer.first_name", "consumer.last_name", "now"),
    check=check_time_barred,
)
