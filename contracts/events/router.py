"""What the router emits: commands, and the decision that a case is over."""

from __future__ import annotations

from pydantic import Field

from contracts.documents.accounts import Purpose
from contracts.events.case_manager import CaseOutcome
from contracts.events.compliance import PackVersion, RuleId
from switchyard.protocol.fields import Artefact, Code, Contract, Name, Sentence, Sha256, Timestamp, Uuid


class ChooseAgent(Contract):
    """To triage: say which specialist fits the question."""

    question: Artefact


class AnswerQuestion(Contract):
    """To a specialist: find what answers the question."""

    question: Artefact


class DraftAnswer(Contract):
    """To the drafter: write the answer from the findings, and cite them."""

    question: Artefact
    findings: tuple[Artefact, ...]


class CheckContact(Contract):
    """To compliance: may this person be contacted by email, about this, at all?"""

    account: Artefact
    purpose: Purpose


class DraftEmail(Contract):
    """To the drafter: write the email; with a review, mend the one that it found wanting."""

    account: Artefact
    purpose: Purpose
    address_key: Sha256
    email: Artefact | None = None
    review: Artefact | None = None


class ReviewEmail(Contract):
    """To compliance: does this email keep every rule, and how good is it?"""

    account: Artefact
    purpose: Purpose
    email: Artefact
    content_sha256: Sha256


class AskApproval(Contract):
    """To the case manager: let a person decide on exactly this content."""

    email: Artefact
    content_sha256: Sha256
    pack: PackVersion
    approval: Code = Field(description="Why a person must decide.")


class CheckSending(Contract):
    """To compliance: the rules about person and moment again, now, and that this content passed the current pack."""

    account: Artefact
    purpose: Purpose
    email: Artefact
    content_sha256: Sha256
    pack: PackVersion


class Wait(Contract):
    """To the case manager: say when the time has come, or, if the playbook is halted, when it runs again."""

    until: Timestamp | None = None
    halted: bool = False


class SendEmail(Contract):
    """To the email sender: send these bytes, once."""

    email: Artefact
    content_sha256: Sha256
    pack: PackVersion
    valid_until: Timestamp
    address_key: Sha256
    approval: Code | None = None
    approval_id: Uuid | None = None


class CloseCase(Contract):
    """To the case manager: the case is over, with this outcome."""

    outcome: CaseOutcome
    code: Code
    message: Sentence = ""
    field: str | None = Field(default=None, max_length=200)
    remedy: Sentence | None = None
    node: Name | None = None
    answer: Artefact | None = None
    rules: tuple[RuleId, ...] | None = Field(default=None, description="The rules that blocked it.")
