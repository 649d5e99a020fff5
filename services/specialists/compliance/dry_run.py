"""What the rules would say of an account and a draft: nothing is recorded, no model is asked. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.utils import formatdate
from html import escape
from typing import Any, get_args

from pydantic import ValidationError

from contracts.documents.accounts import AccountFacts, Purpose
from contracts.documents.reviews import ReviewStage
from contracts.events.upstream import EmailCaseSubmitted
from services.specialists.compliance.email_text.characters import fold_text
from services.specialists.compliance.email_text.message import read_message
from services.specialists.compliance.pack import RulePack
from services.specialists.compliance.review import RuleEvaluation, evaluate_rules, fresh_salt
from services.specialists.compliance.rules.rule import RuleInput
from switchyard.protocol.canonical import parse_json
from switchyard.protocol.errors import InvalidEvent

STAGES: tuple[ReviewStage, ...] = get_args(ReviewStage)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_QUOTED = re.compile(r"'([^'\n]+)'|\"([^\"\n]+)\"")
_HEADER = re.compile(rb"^(from|to|subject|date|message-id|mime-version|received|return-path):", re.IGNORECASE)


class InvalidFacts(ValueError):
    """The facts cannot be read: the text names the field."""


@dataclass(frozen=True)
class GivenFacts:
    """The facts of an account, and what a whole submission says besides."""

    facts: AccountFacts
    purpose: Purpose | None = None
    tenant: str | None = None


def read_facts(text: str) -> GivenFacts:
    """The facts in a JSON document: an account, or a whole submission. Raises `InvalidFacts`."""
    try:
        found = parse_json(text)
        whole = "facts" in found
        read: Any = (EmailCaseSubmitted if whole else AccountFacts).model_validate_json(json.dumps(found))
    except InvalidEvent as error:
        raise InvalidFacts(str(error)) from error
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False))
        raise InvalidFacts("; ".join(problems)) from error
    return GivenFacts(read.facts, read.purpose, read.tenant) if whole else GivenFacts(read)


def read_draft(raw: bytes, facts: AccountFacts, now: datetime) -> bytes:
    """A draft as a message: one with headers as it is, and a text as both parts of a message to the consumer."""
    if _HEADER.match(raw.lstrip()):
        return raw
    text = raw.decode("utf-8", "replace").replace("\r\n", "\n")
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = facts.agency.from_address
    message["To"] = facts.email.address
    message["Subject"] = "A message about your account"
    message["Date"] = formatdate(now.timestamp())
    message["Message-ID"] = "<draft@dry-run.invalid>"
    message.set_content(text)
    paragraphs = "".join(f"<p>{escape(part)}</p>" for part in text.split("\n\n") if part.strip())
    page = f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"></head><body>{paragraphs}</body></html>'
    message.add_alternative(page, subtype="html")
    return message.as_bytes()


@dataclass(frozen=True)
class DryVerdict:
    """One rule's verdict, why, the sentences of the draft that it is about, and what would help."""

    result: RuleEvaluation
    sentences: tuple[str, ...]

    def fields(self) -> dict[str, Any]:
        """As JSON."""
        verdict, rule = self.result.verdict, self.result.rule
        return {
            "rule": rule.id,
            "name": rule.name,
            "citation": rule.citation,
            "verdict": verdict.kind,
            "evidence": verdict.evidence,
            "sentences": self.sentences,
            "instructions": verdict.revision_instructions,
            "until": verdict.until,
        }


def check_draft(
    facts: AccountFacts, purpose: Purpose, now: datetime, pack: RulePack, *, draft: bytes | None, stage: ReviewStage
) -> tuple[DryVerdict, ...]:
    """The verdicts of a stage's rules, in order of id. Raises `ValueError` for the stage `email` without a draft."""
    if stage == "email" and draft is None:
        raise ValueError("the stage email needs a draft")
    message = None if draft is None else read_message(draft, pack.email)
    situation = RuleInput(facts, purpose, now, pack, message)
    results = evaluate_rules(situation, stage, fresh_salt())
    return tuple(DryVerdict(result, _sentences(result, situation.parts)) for result in results)


def _sentences(result: RuleEvaluation, parts: dict[str, str]) -> tuple[str, ...]:
    """The sentences in which what the evidence quotes stands."""
    if result.verdict.kind == "pass":
        return ()
    quoted = {fold_text(one or two) for each in result.verdict.evidence for one, two in _QUOTED.findall(each)}
    found = (
        sentence.strip()
        for text in parts.values()
        for sentence in _SENTENCE.split(text)
        if any(term and term in fold_text(sentence) for term in quoted)
    )
    return tuple(dict.fromkeys(found))
