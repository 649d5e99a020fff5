"""The rule about time-barred debt."""

from __future__ import annotations

from contracts.documents.disclosures import time_barred
from services.specialists.compliance.rules.rule import DRAFT, Problem, Rule, Situation, Verdict, judged, passed, unknown
from services.specialists.compliance.rules.wording import missing, said


def no_suit(situation: Situation) -> Verdict:
    """12 CFR 1006.26(b): no suit, and no threat of one, on a time-barred debt; and the email says so."""
    barred = time_barred(situation.facts, situation.today.isoformat())
    if barred is None:
        return unknown("ledger.limitation_ends_on", "ledger.limitation_ended")
    if not barred:
        return passed("the debt is not time-barred")
    problems = missing(situation, "R13")
    problems += [
        Problem(f"{term!r} in the {where} threatens a suit on a time-barred debt", f"leave out {term!r}")
        for term, _, where in said(situation, *situation.pack.conduct.suit)
    ]
    return judged(problems, "no threat of a suit, and the disclosure")


R13 = Rule(
    id="R13",
    name="Time-barred debt",
    citation="12 CFR 1006.26(b)",
    about="draft",
    severity="block",
    stages=DRAFT,
    reads=("message", "purpose", "history", "ledger", "agency", "consumer.first_name", "consumer.last_name", "now"),
    check=no_suit,
)
