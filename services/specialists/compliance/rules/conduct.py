"""Rules about what no collector may write: abuse and threats, and a suit on a time-barred debt."""

from __future__ import annotations

from contracts.documents.disclosures import is_time_barred
from services.specialists.compliance.rules.rule import DraftProblem, RuleInput, RuleVerdict, blocks_for, passes, unknown


def check_conduct(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.14(b)-(d) and 1006.18(b), (c), (d): no abuse, no threat, no false attorney or authority.

    Word lists of the pack over subject, text and HTML: whole words, in any case, look-alike and spaced-out
    letters included. They find words, not meanings: a threat in polite words is left to the judge.
    """
    problems = [
        DraftProblem(f"{term!r} in the {where} ({name.replace('_', ' ')})", f"leave out {term!r} and what it implies")
        for term, name, where in situation.listed_terms(*situation.pack.conduct.forbidden)
    ]
    return blocks_for(problems, fine="no word of the forbidden lists")


def check_time_barred(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.26(b): no suit, and no threat of one, on a time-barred debt; and the email says so."""
    barred = is_time_barred(situation.facts, situation.today.isoformat())
    if barred is None:
        return unknown("ledger.limitation_ends_on", "ledger.limitation_ended")
    if not barred:
        return passes("the debt is not time-barred")
    problems = situation.missing_texts("R13")
    problems += [
        DraftProblem(f"{term!r} in the {where} threatens a suit on a time-barred debt", f"leave out {term!r}")
        for term, _, where in situation.listed_terms(*situation.pack.conduct.suit)
    ]
    return blocks_for(problems, fine="no threat of a suit, and the disclosure")
