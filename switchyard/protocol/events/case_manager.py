"""What the case manager emits: cases end here, and nowhere else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from switchyard.protocol.branches import BranchResult
from switchyard.protocol.feedback import Thumb
from switchyard.protocol.fields import (
    Artefact,
    Code,
    Contract,
    Day,
    Identifier,
    Name,
    NonNegativeInt,
    Sentence,
    Sha256,
    Timestamp,
    TypeName,
    Uuid,
)


class Attestation(Contract):
    """The signed statement that the case was opened on, kept so that its signature can be checked again."""

    kid: Identifier = Field(description="The key of the ingress that signed it.")
    statement: Artefact = Field(description="The compact JWS; sealed, because it names the user.")
    statement_sha256: Sha256 = Field(description="Of the JWS itself.")
    grant: Artefact | None = Field(default=None, description="The grant of the user: a compact JWS; sealed.")


class UserCaseOpened(Contract):
    """A submission of a user became a case: the base of such a first event, which records who vouched for the user."""

    playbook: Name
    submitted_by: Identifier = Field(description="The bus source that submitted it.")
    attested: Attestation | None = Field(default=None, description="Absent if the source does not sign who asks.")


class SessionTurn(Contract):
    """What the opening of a case says of its place in its session; an application's opening derives from it. A session
    is one person's, of one tenant and source."""

    turn: Annotated[int, Field(ge=1, le=2**31 - 1)] = Field(
        default=1, description="1 for the first turn of the session."
    )
    previous_case: Uuid | None = Field(default=None, description="The turn before this one, which has ended.")


OperatorSignature = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$", description="Ed25519 in hex, by the operator.")]


class Cancellation(Contract):
    """The signed command that cancelled a case: `switchyard.protocol.statements.command_statement` of these fields, of
    the action `cancel` and of the case."""

    command_id: Uuid
    operator: Identifier
    reason: Sentence
    signed_at: Timestamp
    signature: OperatorSignature


ApprovalSignature = Annotated[
    str,
    Field(
        pattern=r"^[0-9a-f]{128}$",
        description="Ed25519 in hex, by the approver, over switchyard.protocol.statements.approval_statement.",
    ),
]


class CoApproval(Contract):
    """Another person who agreed to the same content before."""

    approver: Identifier
    reason: Sentence = ""
    signed_at: Timestamp
    signature: ApprovalSignature


class ApprovalGranted(Contract):
    """A named person agreed to exactly this content. Used once."""

    approval_id: Uuid
    content_sha256: Sha256
    approver: Identifier
    reason: Sentence = ""
    signed_at: Timestamp
    signature: ApprovalSignature
    co_approvals: tuple[CoApproval, ...] | None = Field(
        default=None, description="Who agreed before, where two persons must: each signed the same statement."
    )


class ApprovalDenied(Contract):
    """A named person refused this content."""

    approval_id: Uuid
    content_sha256: Sha256
    approver: Identifier
    code: Code = "denied"
    message: Sentence = Field(default="", description="The approver's reason.")
    signed_at: Timestamp
    signature: ApprovalSignature


class ApprovalReturned(Contract):
    """A named person sent this content back: other content is made, and goes through every check again."""

    approval_id: Uuid
    content_sha256: Sha256
    approver: Identifier
    instructions: Annotated[Sentence, Field(min_length=1)] = Field(
        description="What to change, by the approver. It is stored in the clear, as every reason is."
    )
    signed_at: Timestamp
    signature: ApprovalSignature


class ApprovalExpired(Contract):
    """The approval was not decided in time."""

    approval_id: Uuid
    code: Code = "approval_expired"
    message: Sentence = "The approval was not decided in time."


class WaitOver(Contract):
    """The time has come, or the playbook runs again."""

    waited_for: Literal["time", "resume"]


class ConsentRequested(Contract):
    """The case waits for its user. An upstream tells the user where to give consent."""

    grant: Uuid
    audience: Identifier
    until: Timestamp
    url: str = Field(default="", max_length=1_000, description="Where; empty if the deployment has no such page.")


class ConsentGranted(Contract):
    """The user has given consent again: the task is done again."""

    grant: Uuid


class ConsentExpired(Contract):
    """The user did not give consent in time."""

    code: Code = "needs_reauth"
    message: Sentence = "The user did not give consent again in time."


class BranchesJoined(Contract):
    """Every branch has ended, and at least one of the case has a result. A child of the gather and of each branch's
    end."""

    results: tuple[BranchResult, ...] = Field(min_length=1, description="In the order of the branches.")
    tokens: NonNegativeInt = Field(default=0, description="What the branches left of the gather's token budget.")


class ContactSuppressed(Contract):
    """An address may no longer be written to: opted out, bounced or complained. A chain of its own."""

    address_key: Sha256
    reason: Literal["opted_out", "bounced", "complained"]
    reported_by: Identifier


class PlaybookHalted(Contract):
    """An operator halted a playbook: nothing of it has an effect until it is resumed. A chain of its own.

    The signature is over `switchyard.protocol.statements.command_statement` of these fields and the action `halt`.
    """

    playbook: Name
    operator: Identifier
    why: Sentence
    command_id: Uuid
    signed_at: Timestamp
    signature: OperatorSignature


class PlaybookResumed(Contract):
    """An operator let a halted playbook run again. A chain of its own.

    The signature is over `switchyard.protocol.statements.command_statement` of these fields and the action `resume`.
    """

    playbook: Name
    operator: Identifier
    why: Sentence
    command_id: Uuid
    signed_at: Timestamp
    signature: OperatorSignature


class BudgetSet(Contract):
    """An operator set what a tenant may spend on models; the envelope's tenant is `every-tenant` for all that have no
    limit of their own. A chain of its own.

    The signature is over `switchyard.protocol.statements.command_statement` of these fields and the action `budget`.
    """

    target: str = Field(
        max_length=230,
        pattern=r"^[!-~]+/(day|case)/([0-9]+\.[0-9]{6}|none)$",
        description="Tenant, period (day in UTC, or case) and US dollars, as in harbor/day/50.000000.",
    )
    operator: Identifier
    why: Sentence
    command_id: Uuid
    signed_at: Timestamp
    signature: OperatorSignature


class BudgetReached(Contract):
    """A tenant has spent half, four fifths or all of what it may in a day: one event for each. A chain of its own.
    Amounts are micro-dollars."""

    day: Day = Field(description="In UTC.")
    percent: Annotated[int, Field(ge=1, le=100)] = Field(
        description="50, 80 or 100; 100 also if a model call was stopped by the limit."
    )
    limit_micros: NonNegativeInt
    spent_micros: NonNegativeInt
    stopped_calls: NonNegativeInt = Field(description="Model calls that the limit has stopped so far.")


class CaseClosed(Contract):
    """The case's one terminal event: the first outcome wins."""

    outcome: Name
    code: Code
    message: Sentence = ""
    field: str | None = Field(default=None, max_length=200)
    remedy: Sentence | None = None
    node: Name | None = Field(default=None, description="Where it failed.")
    answer: Artefact | None = None
    rules: tuple[Identifier, ...] | None = Field(default=None, description="The rules that blocked it.")
    cancellation: Cancellation | None = Field(default=None, description="Of the outcome `cancelled`.")


class CaseFeedback(Contract):
    """What a user says about a case that has ended. A child of the ending, or of the feedback before it."""

    thumb: Thumb
    by: Identifier = Field(description="`user:` and the pseudonym of who says it.")
    reviewer: bool = Field(default=False, description="Whether it is not the person who asked, but a reviewer.")
    reason: Artefact | None = Field(default=None, description="In the user's words; sealed.")


class TaskRetried(Contract):
    """An operator had a failed task done again: the case is open once more. A child of the failure.

    What the operator signed is `switchyard.protocol.statements.retry_statement` of these fields and the envelope's.
    """

    task: Uuid = Field(description="The event_id of the command that failed.")
    task_type: TypeName
    command: dict[str, JsonValue] = Field(
        description="The command as the log has it, its seal included, without the places of its artefacts."
    )
    closed: Sha256 = Field(description="Digest of the ending that this undoes.")
    operator: Identifier
    reason: Annotated[Sentence, Field(min_length=1)] = Field(description="What was fixed. Never payload text.")
    requested_at: Timestamp
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")] = Field(description="Ed25519, in hex.")


class SubmissionRejected(Contract):
    """A submission that never became a case: the only event of its chain. Of many alike in an hour only the first few
    have one; `RejectionsCounted` reports the rest."""

    outcome: Literal["rejected"] = "rejected"
    code: Code
    message: Sentence
    field: str | None = Field(default=None, max_length=200)
    remedy: Sentence | None = None
    type: TypeName = Field(description="What was submitted.")
    submitted_by: Identifier
    would_be: Uuid | None = Field(
        default=None, description="The case that it would have become; absent if it cannot be read."
    )


class RejectionsCounted(Contract):
    """How many submissions of one source and tenant were rejected for one reason in one hour, if there were more than
    have an event of their own. A chain of its own."""

    submitted_by: Identifier
    code: Code
    hour: Timestamp = Field(description="The beginning of the hour.")
    count: NonNegativeInt = Field(description="All of them.")
    events: NonNegativeInt = Field(description="Those that have a `SubmissionRejected`.")
    first_at: Timestamp
    last_at: Timestamp
