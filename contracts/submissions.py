"""SUBMISSIONS: what may be submitted, and the case that follows from it."""

from __future__ import annotations

from datetime import timedelta

from contracts.cards import AGENT_CARDS
from contracts.events.case_manager import CaseOpened, EmailCaseOpened
from contracts.events.upstream import CaseSubmitted, EmailCaseSubmitted
from switchyard.app.cards import specialist_cards
from switchyard.protocol.errors import invalid
from switchyard.protocol.submissions import CaseOpening, SealedContent, Submissions, open_user_case


def open_question(submitted: CaseSubmitted) -> CaseOpening:
    """A question to the operator's assistant."""
    deployed = [card.name for card in specialist_cards(AGENT_CARDS.values())]
    if submitted.agent is not None and submitted.agent not in deployed:
        remedy = f"name one of {', '.join(deployed)}, or leave it out and triage chooses"
        raise invalid("no specialist of that name is deployed", "agent", remedy)
    return open_user_case(
        submitted,
        CaseOpened,
        facts={"playbook": submitted.playbook, "agent": submitted.agent},
        sealed={"question": SealedContent(submitted.question.encode(), "text/plain")},
    )


def open_email(submitted: EmailCaseSubmitted) -> CaseOpening:
    """An email to a consumer."""
    facts = submitted.facts.model_dump_json(exclude_none=True).encode()
    return CaseOpening(
        EmailCaseOpened,
        person=submitted.consumer_id,
        facts={"playbook": submitted.playbook, "purpose": submitted.purpose},
        sealed={"account": SealedContent(facts, "application/json")},
        asker=submitted.submitted_for,
        address=submitted.facts.email.address,
        deadline=timedelta(days=7),
    )


SUBMISSIONS: Submissions = {CaseSubmitted: open_question, EmailCaseSubmitted: open_email}
