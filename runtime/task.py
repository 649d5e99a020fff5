"""What a handler gets and what it gives back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from contracts.envelope import Envelope
from contracts.fields import Attachment, Contract, ModelCall
from contracts.received import Received

P = TypeVar("P", bound=Contract, covariant=True)


@dataclass(frozen=True)
class Task(Generic[P]):
    """A command in the hands of a handler.

    `deadline` is on the consumer's monotonic clock, in seconds: the graph's relative `time_limit_ms` became absolute
    when the command was received. `attempt` is 1 for the first.
    """

    received: Received[P]
    attempt: int
    deadline: float | None
    written: dict[str, Attachment] = field(default_factory=dict)
    """Places of the artefacts that the handler wrote, by SHA-256."""

    @property
    def payload(self) -> P:
        """The command's own fields."""
        return self.received.payload

    @property
    def envelope(self) -> Envelope:
        """Who asks, for which case, until when."""
        return self.received.envelope

    @property
    def attachments(self) -> Mapping[str, Attachment]:
        """Places of the artefacts that came with the command."""
        return self.envelope.attachments


@dataclass(frozen=True)
class Reply:
    """A handler's result, where it is more than a payload."""

    payload: Contract
    model_call: ModelCall | None = None
    rubric_score: int | None = None


Handler = Callable[[Task[Any]], Awaitable[Contract | Reply]]
"""A handler with its dependencies bound: `functools.partial(answer_question, warehouse=…)`."""
