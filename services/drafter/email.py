"""The email agent: prompt, output model, factory. It writes the text; `mime.py` builds the message."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from pydantic_ai import Agent, UnexpectedModelBehavior
from pydantic_ai.models import Model

from contracts.documents.accounts import AccountFacts, Purpose
from contracts.documents.disclosures import format_dollars, format_long_date
from contracts.documents.reviews import Review
from contracts.documents.wording import SHIPPED, Wording
from services.drafter.agent import escape_markup
from switchyard.runtime.core.errors import RetryableTaskError

EMAIL_PROMPT = (Path(__file__).parent / "prompts" / "email.md").read_text(encoding="utf-8")
EMAIL_PROMPT_VERSION = f"email/{hashlib.sha256(EMAIL_PROMPT.encode()).hexdigest()[:12]}"


class EmailText(BaseModel):
    """Subject and paragraphs of an email."""

    subject: str = Field(description="One line that reveals no debt.", min_length=1, max_length=150)
    paragraphs: list[str] = Field(description="The text, a paragraph each.", min_length=1, max_length=20)


def build_email_agent(model: Model[Any], prompt: str = EMAIL_PROMPT) -> Agent[None, EmailText]:
    """The agent on this model."""
    return Agent(model, output_type=EmailText, instructions=prompt, retries={"output": 2})


async def write_email(agent: Agent[None, EmailText], prompt: str) -> EmailText:
    """Write the text. Raises `RetryableTaskError` if the model returns no valid email text."""
    try:
        result = await agent.run(prompt)
    except UnexpectedModelBehavior as error:
        message, remedy = "the model wrote no subject and paragraphs", "see the prompt and the model's evals"
        raise RetryableTaskError("bad_draft", message, remedy=remedy) from error
    return result.output


def email_prompt(
    facts: AccountFacts,
    purpose: Purpose,
    *,
    review: Review | None,
    previous: str | None,
    instructions: str | None = None,
    wording: Wording = SHIPPED,
) -> str:
    """The user message: purpose, permitted facts, texts of others, a review's findings, an approver's instructions."""
    parts: list[tuple[str, str | None]] = [
        ("purpose", purpose),
        ("task", wording.purposes[purpose].write),
        ("facts", json.dumps(disclosable_facts(facts), ensure_ascii=False)),
        ("notes", facts.notes),
        ("consumer_reply", facts.consumer_reply),
    ]
    if previous is not None:
        changes = review.required_changes() if review is not None else ()
        parts += [
            ("previous", previous),
            ("review", json.dumps(changes, ensure_ascii=False) if changes else None),
            ("approver", instructions),
        ]
    return "\n".join(f"<{name}>{escape_markup(text)}</{name}>" for name, text in parts if text)


def disclosable_facts(facts: AccountFacts) -> dict[str, Any]:
    """The facts that an email may state, as they must be written: no address, phone or flag of the consumer."""
    ledger, agency = facts.ledger, facts.agency
    offers = [
        {"amount": format_dollars(each.amount), "due_on": format_long_date(each.due_on)} for each in ledger.offers
    ]
    shown: dict[str, Any] = {
        "consumer": f"{facts.consumer.first_name} {facts.consumer.last_name}",
        "agency": agency.name,
        "agency_phone": agency.phone,
        "agency_website": agency.website,
        "original_creditor": ledger.original_creditor,
        "current_creditor": ledger.current_creditor,
        "account": ledger.reference,
        "balance": format_dollars(ledger.balance),
        "offers": offers,
    }
    if ledger.last_payment is not None and ledger.last_payment_on is not None:
        amount, day = format_dollars(ledger.last_payment), format_long_date(ledger.last_payment_on)
        shown["last_payment"] = {"amount": amount, "on": day}
    return shown
