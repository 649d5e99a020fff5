"""The rule about tone: what no collector may write."""

from __future__ import annotations

from services.specialists.compliance.rules.draft_checks import find_listed_terms
from services.specialists.compliance.rules.rule import (
    DRAFT_STAGES,
    ComplianceRule,
    DraftProblem,
    RuleInput,
    RuleVerdict,
    verdict_of_problems,
)


def check_conduct(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.14(b)-(d) and 1006.18(b), (c), (d): no abuse, no threat, no false attorney or authority.

    Word lists of the pack over subject, text and HTML: whole words, in any case, look-alike and spaced-out
    letters included. They find words, not meanings: a threat in polite words is the judge's to see.
    """
    problems = [
        DraftProblem(f"{term!r} in the {where} ({name.replace('_', ' ')})", f"leave out {term!r} and what it implies")
        for term, name, where in find_listed_terms(situation, *situation.pack.conduct.forbidden)
    ]
    return verdict_of_problems(problems, "no word of the forbidden lists")


R15 = ComplianceRule(
    id="R15",
    name="No abuse, threat or false authority",
    citation="12 CFR 1006.14, 1006.18",
    topic="draft",
    severity="block",
    stages=DRAFT_STAGES,
    reads=("message", "purpose", "history", "ledger", "agency", "consumer.first_name", "consumer.last_name", "now"),
    check=check_conduct,
)
