"""Handles DraftAnswer and DraftEmail."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from contracts.documents.accounts import AccountFacts
from contracts.documents.disclosures import required_disclosures
from contracts.documents.memory import quote_memory
from contracts.documents.opt_out import OptOutClaims
from contracts.documents.reviews import Review
from contracts.documents.wording import SHIPPED, Wording
from contracts.events.drafter import AnswerDrafted, EmailDrafted
from contracts.events.router import DraftAnswer, DraftEmail
from contracts.events.specialists import FindingsReady
from latency_failover import FailoverModel
from services.drafter import email
from services.drafter.agent import ANSWER_PROMPT_VERSION, write_answer
from services.drafter.mime import InvalidEmailText, compose, extract_words
from switchyard.protocol.branches import BranchFailure, BranchResult
from switchyard.protocol.canonical import parse_foreign_json
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.received import first_validation_error
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError
from switchyard.runtime.core.task import Task, TaskResult
from switchyard.runtime.models.clients import model_budget, model_call
from switchyard.runtime.storage.artefacts import Artefacts

if TYPE_CHECKING:
    from pydantic_ai import Agent

D = TypeVar("D", bound=BaseModel)
DRAFTER_MARGIN_MS = 1_000
"""Part of the task's time limit that is reserved for sealing and storing the result."""

MAX_REASON_CHARS = 200
"""Of why a part is missing, in the answer's text; the document has all of it."""


async def draft_answer(
    task: Task[DraftAnswer], *, artefacts: Artefacts, model: FailoverModel, agent: Agent[frozenset[str], str]
) -> TaskResult:
    """Write the answer from the granted findings in the order of the specialists, and cite each finding that it uses.
    What no specialist found is said by code, with the reason: no model can leave it out."""
    question = (await artefacts.read(task, task.payload.question)).decode()
    memory = "" if task.payload.memory is None else quote_memory(await artefacts.read(task, task.payload.memory))
    found, missing = await load_findings(task, artefacts)
    findings = [each | {"id": f"F{number}"} for number, each in enumerate(found, start=1)]
    async with model_budget(model, task, margin_ms=DRAFTER_MARGIN_MS) as decisions:
        written = await write_answer(agent, question, findings, memory=memory)
    text = "\n".join((written.text, *map(describe_missing, missing)))
    citations = [_citation(finding) for finding in findings if finding["id"] in written.cites]
    document = json.dumps({"text": text, "citations": citations} | ({"missing": missing} if missing else {})).encode()
    answer = await artefacts.write(task, "answer", document, media_type="application/json")
    call = model_call(decisions, prompt_version=ANSWER_PROMPT_VERSION)
    return TaskResult(AnswerDrafted(answer=answer, cites=written.cites), model_call=call)


async def load_findings(
    task: Task[DraftAnswer], artefacts: Artefacts
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The findings in the order of the branches, each with its agent and part where there are several; and the parts
    that are missing, with those of several that cannot be read. Raises `PermanentTaskError` for the only one if it is
    unreadable, or without any."""
    found = [read_finding(await artefacts.read(task, artefact)) for artefact in task.payload.findings or ()]
    missing = []
    results = task.payload.results or ()
    for result in results:
        of = {"agent": result.agent, "part": ""}
        why: BranchFailure | PermanentTaskError | None = result.failure
        try:
            if result.part is not None:
                of["part"] = (await artefacts.read(task, result.part)).decode(errors="replace")
            if why is None:
                found += [each | of for each in await _read_answer(task, artefacts, result)]
        except PermanentTaskError as problem:
            if why is None and len(results) == 1:
                raise
            why = why or problem
        if why is not None:
            missing.append(of | {"code": why.code, "message": why.message})
    if not found:
        raise PermanentTaskError(
            "no_findings", "no specialist found anything", "results", "see the specialists' errors"
        )
    return found, missing


async def _read_answer(task: Task[DraftAnswer], artefacts: Artefacts, result: BranchResult) -> list[dict[str, Any]]:
    """All findings of a result; with one that cannot be read, none of them counts."""
    ready = read_input_document(FindingsReady, json.dumps(result.answer).encode(), "results")
    return [read_finding(await artefacts.read(task, artefact)) for artefact in ready.findings]


def describe_missing(part: dict[str, str]) -> str:
    """What the answer lacks, for its reader."""
    why = " ".join(part["message"].split())[:MAX_REASON_CHARS] or part["code"]
    return f"Not answered: {part['part'] or 'a part of the question'} ({part['agent']}: {why})"


def read_finding(data: bytes) -> dict[str, Any]:
    """A finding, written by another agent. Raises `PermanentTaskError` if it is not one JSON object."""
    try:
        found = parse_foreign_json(data)
    except InvalidEvent as problem:
        raise PermanentTaskError("bad_finding", problem.message, "findings", "see the agent that found it") from None
    if not isinstance(found, dict) or not all(isinstance(found.get(name, []), list) for name in ("rows", "figures")):
        message = "a finding is not an object with lists of rows and figures"
        raise PermanentTaskError("bad_finding", message, "findings", "see the agent that found it")
    return found


def _citation(finding: dict[str, Any]) -> dict[str, Any]:
    """The fields with which a reader can check a cited finding."""
    names = ("id", "sql", "tables", "computation", "figures", "sources", "not_known", "row_count", "truncated")
    return {name: finding[name] for name in names if finding.get(name) not in (None, "", [], {})}


async def draft_email(
    task: Task[DraftEmail],
    *,
    artefacts: Artefacts,
    model: FailoverModel,
    agent: Agent[None, email.EmailText],
    opt_out_link: Callable[[OptOutClaims], str],
    clock: Clock,
    wording: Wording = SHIPPED,
) -> TaskResult:
    """Write or revise the email and build the message that will be sent, byte for byte.

    The model writes subject and paragraphs. Recipient, sender, disclosures and links come from the facts: neither the
    model nor a text of the account can change them.
    """
    facts = read_input_document(AccountFacts, await artefacts.read(task, task.payload.account), "account")
    if (unknown := wording.unknown_purpose(task.payload.purpose)) is not None:
        raise PermanentTaskError("unknown_purpose", unknown, "purpose", "then retry the case")
    today = clock.now().date().isoformat()
    previous = await _load_previous(task, artefacts, facts, today, wording)
    prompt = email.email_prompt(
        facts,
        task.payload.purpose,
        review=previous.review if previous else None,
        previous=previous.words if previous else None,
        instructions=task.payload.instructions,
        wording=wording,
    )
    async with model_budget(model, task, margin_ms=DRAFTER_MARGIN_MS) as decisions:
        written = await email.write_email(agent, prompt)
    call = model_call(decisions, prompt_version=email.EMAIL_PROMPT_VERSION)
    envelope = task.envelope
    claims = OptOutClaims(tenant=envelope.tenant, address_key=task.payload.address_key, case_id=envelope.case_id)
    try:
        message = compose(
            facts,
            purpose=task.payload.purpose,
            today=today,
            subject=written.subject,
            paragraphs=written.paragraphs,
            case_id=envelope.case_id,
            opt_out_link=opt_out_link(claims),
            wording=wording,
        )
    except InvalidEmailText as problem:
        if problem.field in {"subject", "paragraphs"}:  # written by the model: another attempt may succeed
            raise RetryableTaskError("bad_draft", str(problem), remedy="see the model's evals") from problem
        remedy = "correct the account's facts"
        raise PermanentTaskError("unwritable_facts", str(problem), problem.field, remedy) from problem
    if task.payload.instructions is not None and previous is not None and message == previous.message:
        # An approver would be asked about the very bytes that one has just sent back.
        raise RetryableTaskError("unchanged_draft", "the model wrote the email that was sent back", "email")
    stored = await artefacts.write(task, "email", message, media_type="message/rfc822")
    return TaskResult(EmailDrafted(email=stored, content_sha256=hashlib.sha256(message).hexdigest()), model_call=call)


def read_input_document(kind: type[D], data: bytes, field: str) -> D:
    """An artefact under its contract. Raises `PermanentTaskError` that names the field."""
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        where, message = first_validation_error(error)
        raise PermanentTaskError("bad_document", message, f"{field}.{where}", "submit the case again") from None


@dataclass(frozen=True)
class PreviousDraft:
    """The draft that is written again, and what compliance said of it; `words` are those that a model wrote."""

    message: bytes
    words: str
    review: Review


async def _load_previous(
    task: Task[DraftEmail], artefacts: Artefacts, facts: AccountFacts, today: str, wording: Wording
) -> PreviousDraft | None:
    """The draft that is revised; None for a first draft."""
    if task.payload.email is None or task.payload.review is None:
        return None
    review = read_input_document(Review, await artefacts.read(task, task.payload.review), "review")
    added = required_disclosures(facts, task.payload.purpose, today, wording)[0].text
    message = await artefacts.read(task, task.payload.email)
    return PreviousDraft(message, extract_words(message, until=added), review)
