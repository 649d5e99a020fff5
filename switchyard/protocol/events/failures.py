"""The failure that any consumer may emit."""

from __future__ import annotations

from pydantic import Field

from switchyard.protocol.fields import Code, Contract, Identifier, NonNegativeInt, Sentence, TypeName, Uuid


class ReauthNeeded(Contract):
    """The task waits for the user: nothing may be done in their name for this audience without their consent."""

    audience: Identifier


class TaskFailed(Contract):
    """A task ended without a result. It carries ids and reasons, no state: the message may have been unreadable."""

    task: Uuid = Field(description="The event_id of the command that failed.")
    task_type: TypeName
    code: Code
    message: Sentence
    field: str | None = Field(default=None, max_length=200)
    remedy: Sentence | None = None
    attempts: NonNegativeInt = Field(description="How often a handler was started.")
    causes: tuple[Sentence, ...] = Field(default=(), description="What lay beneath, nearest first.")
