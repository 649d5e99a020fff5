"""What the email sender emits. Each says what happened to exactly one content of one case."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from switchyard.protocol.events.case_manager import OperatorSignature
from switchyard.protocol.fields import Code, Contract, Identifier, Sentence, Sha256, Timestamp, Uuid


class EmailSent(Contract):
    """The provider accepted the email."""

    content_sha256: Sha256
    provider: Identifier = Field(description="ses")
    provider_message_id: Identifier


class SendingHalted(Contract):
    """The playbook is halted: nothing was sent. The checks run again when it resumes."""

    until: None = None
    halted: Literal[True] = True


class SendingTooLate(Contract):
    """The checked moment had passed before the email sender could send.

    Nothing was sent, the moment is checked again.
    """

    content_sha256: Sha256


class SendingStopped(Contract):
    """Nothing was sent, and nothing will be: cancelled, closed, opted out, or without a valid approval."""

    code: Code
    message: Sentence


class EmailUndeliverable(Contract):
    """The provider refused the email for good. Nothing was sent."""

    code: Code
    message: Sentence


class SendingUnknown(Contract):
    """The provider was asked and its answer was never recorded: the email may or may not have been sent.

    A person resolves it with `switchyard email resolve`.
    """

    code: Code = "outcome_unknown"
    message: Sentence
    content_sha256: Sha256


class SendingResolved(Contract):
    """An operator found out what became of a sending whose outcome was unknown. Follows the case's end.

    Signed over `switchyard.protocol.statements.resolution_statement` of these fields and the case. Unsigned only if the
    provider's own answer came late: then `operator` is `service:email_sender`.
    """

    content_sha256: Sha256
    sent: bool
    provider_message_id: Identifier | None = None
    operator: Identifier
    evidence: Sentence
    resolution_id: Uuid | None = None
    signed_at: Timestamp | None = None
    signature: OperatorSignature | None = None
