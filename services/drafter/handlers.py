"""What the drafter does with a command."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contracts.documents.accounts import AccountFacts
from contracts.documents.disclosures import required
from contracts.documents.opt_out import OptOut, opt_out_url
from contracts.documents.reviews import Review
from contracts.events.drafter import AnswerDrafted, EmailDrafted
from contracts.events.router import DraftAnswer, DraftEmail
from latency_failover import FailoverModel
from services.drafter import email
from services.drafter.agent import PROMPT_VERSION, draft
from services.drafter.email_text import words_of
from services.drafter.mime import OptOutWays, Unwritable, compose
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.core.errors import Rejected, Retryable
from switchyard.runtime.core.task import Reply, Task
from switchyard.runtime.crypto.tokens import SignedTokens
from switchyard.runtime.models.clients import model_call, spending
from switchyard.runtime.storage.artefacts import Artefacts

if TYPE_CHECKING:
    from pydantic_ai import Agent

MARGIN_MS = 1_000
"""Of the task's time limit, kept for sealing and storing the result."""


async def draft_answer(
    task: Task[DraftAnswer], *, artefacts: Artefacts, model: FailoverModel, agent: Agent[frozenset[str], str]
) -> Reply:
    """Write the answer from the granted findings, and cite each one that it uses."""
    question = (await artefacts.read(task, task.payload.question)).decode()
    findings = []
    for number, artefact in enumerate(task.payload.findings, start=1):
        found = json.loads(await artefacts.read(task, artefact))
        findings.append({"id": f"F{number}"} | found)
    async with spending(model, task, margin_ms=MARGIN_MS) as decisions:
        written = await draft(agent, question, findings)
    sources = [finding for finding in findings if finding["id"] in written.cites]
    answer = await artefacts.write(
        task,
        "answer",
        json.dumps({"text": written.text, "citations": [_citation(source) for source in sources]}).encode(),
        media_type="application/json",
    )
    return Reply(
        AnswerDrafted(answer=answer, cites=written.cites),
        model_call=model_call(decisions, prompt_version=PROMPT_VERSION),
    )


def _citation(finding: dict[str, object]) -> dict[str, object]:
    """What a reader needs to check a cited finding."""
    return {name: finding[name] for name in ("id", "sql", "tables", "row_count", "truncated") if name in finding}


@dataclass(frozen=True)
class OptOutLinks:
    """Makes the link by which a consumer stops the emails; `base` is the public address of the mail service."""

    tokens: SignedTokens[OptOut]
    base: str

    def link(self, claims: OptOut) -> str:
        """The link for one address of one tenant."""
        return opt_out_url(self.base, self.tokens.sign(claims))


async def draft_email(
    task: Task[DraftEmail],
    *,
    artefacts: Artefacts,
    model: FailoverModel,
    agent: Agent[None, email.EmailText],
    links: OptOutLinks,
    clock: Clock,
) -> Reply:
    """Write the email, or mend it, and make the message that will be sent, byte for byte.

    The model writes subject and paragraphs. Recipient, sender, disclosures and links come from the facts: no text, the
    model's or the account's, can change them.
    """
    facts = AccountFacts.model_validate_json(await artefacts.read(task, task.payload.account))
    today = clock.now().date().isoformat()
    review, previous = await _to_mend(task, artefacts, facts, today)
    prompt = email.email_prompt(facts, task.payload.purpose, review=review, previous=previous)
    async with spending(model, task, margin_ms=MARGIN_MS) as decisions:
        written = await email.write_email(agent, prompt)
    call = model_call(decisions, prompt_version=email.PROMPT_VERSION)
    envelope = task.envelope
    claims = OptOut(tenant=envelope.tenant, address_key=task.payload.address_key, case_id=envelope.case_id)
    try:
        message = compose(
            facts,
            purpose=task.payload.purpose,
            today=today,
            subject=written.subject,
            paragraphs=written.paragraphs,
            case_id=envelope.case_id,
            opt_out=OptOutWays(url=links.link(claims)),
        )
    except Unwritable as problem:
        if problem.field in {"subject", "paragraphs"}:  # the model's words: another attempt may be better
            raise Retryable("bad_draft", str(problem), remedy="see the model's evals") from problem
        raise Rejected("unwritable_facts", str(problem), problem.field, "correct the account's facts") from problem
    stored = await artefacts.write(task, "email", message, media_type="message/rfc822")
    return Reply(EmailDrafted(email=stored, content_sha256=hashlib.sha256(message).hexdigest()), model_call=call)


async def _to_mend(
    task: Task[DraftEmail], artefacts: Artefacts, facts: AccountFacts, today: str
) -> tuple[Review | None, str | None]:
    """The review and the words that it found wanting; nothing for a first draft."""
    if task.payload.email is None or task.payload.review is None:
        return None, None
    review = Review.model_validate_json(await artefacts.read(task, task.payload.review))
    added = required(facts, task.payload.purpose, today)[0].text
    return review, words_of(await artefacts.read(task, task.payload.email), until=added)
