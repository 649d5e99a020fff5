"""What the router emits: the application's commands."""

from __future__ import annotations

from contracts.documents.accounts import Purpose
from switchyard.protocol.fields import Artefact, Code, Contract, PackVersion, Sha256, Timestamp, Uuid


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
    """To the drafter: write the email; with a review, revise the draft that failed it."""

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


class CheckSending(Contract):
    """To compliance: the rules about person and moment again, now, and that this content passed the current pack."""

    account: Artefact
    purpose: Purpose
    email: Artefact
    content_sha256: Sha256
    pack: PackVersion


class SendEmail(Contract):
    """To the email sender: send these bytes, once."""

    email: Artefact
    content_sha256: Sha256
    pack: PackVersion
    valid_until: Timestamp
    address_key: Sha256
    approval: Code | None = None
    approval_id: Uuid | None = None
