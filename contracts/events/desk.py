"""What the desk emits: cases open and close here, and nowhere else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from contracts.fields import (
    Artefact,
    Code,
    Contract,
    Identifier,
    Name,
    Sentence,
    Sha256,
    Timestamp,
    TypeName,
    Uuid,
)

Outcome = Literal["answered", "no_agent", "failed", "expired", "cancelled", "rejected"]


class CaseOpened(Contract):
    """A submission became a case. The first event of every chain."""

    playbook: Name
    question: Artefact
    agent: Name | None = None
    submitted_by: Identifier = Field(description="The bus source that submitted it.")


class CaseClosed(Contract):
    """The case's one terminal event: the first outcome wins."""

    outcome: Outcome
    code: Code
    message: Sentence = ""
    field: str | None = Field(default=None, max_length=200)
    remedy: Sentence | None = None
    node: Name | None = Field(default=None, description="Where it failed.")
    answer: Artefact | None = None


class TaskRetried(Contract):
    """An operator had a failed task done again: the case is open once more. A child of the failure.

    What the operator signed is `contracts.statements.retry_statement` of these fields and the envelope's.
    """

    task: Uuid = Field(description="The event_id of the command that failed.")
    task_type: TypeName
    command: dict[str, JsonValue] = Field(
        description="The command as it stood in the log, its seal included, without the places of its artefacts."
    )
    closed: Sha256 = Field(description="Digest of the ending that this undoes.")
    operator: Identifier
    reason: Annotated[Sentence, Field(min_length=1)] = Field(description="What was fixed. Never payload text.")
    requested_at: Timestamp
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")] = Field(description="Ed25519, in hex.")


class SubmissionRejected(Contract):
    """A submission that never became a case: the only event of its chain."""

    outcome: Literal["rejected"] = "rejected"
    code: Code
    message: Sentence
    field: str | None = Field(default=None, max_length=200)
    remedy: Sentence | None = None
    type: TypeName = "CaseSubmitted"
    submitted_by: Identifier
