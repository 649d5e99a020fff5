"""The rule about tone: what no collector may write."""

from __future__ import annotations

from services.specialists.compliance.rules.rule import DRAFT, Problem, Rule, Situation, Verdict, judged
from services.specialists.compliance.rules.wording import said


def conduct(situation: Situation) -> Verdict:
    """12 CFR 1006.14(b)-(d) and 1006.18(b), (c), (d): no abuse, no threat, no false attorney or authority.

    Word lists of the pack over subject, text and HTML: whole words, in any case, look-alike and spaced-out
    letters included. They find words, not meanings: a threat in polite words is the judge's to see.
    """
    problems = [
        Problem(f"{term!r} in the {where} ({name.replace('_', ' ')})", f"leave out {term!r} and what it implies")
        for term, name, where in said(situation, *situation.pack.conduct.forbidden)
    ]
    return judged(problems, "no word of the forbidden lists")


R15 = Rule(
    id="R15",
    name="No abuse, threat or false authority",
    citation="12 CFR 1006.14, 1006.18",
    about="draft",
    severity="block",
    stages=DRAFT,
    reads=("message", "purpose", "history", "ledger", "agency", "consumer.first_name", "consumer.last_name", "now"),
    check=conduct,
)
