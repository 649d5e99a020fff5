"""What a handler gets and what it gives back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from switchyard.protocol.envelope import Envelope
from switchyard.protocol.fields import Access, Contract, Json, ModelCall, StorageRef
from switchyard.protocol.received import ReceivedEvent
from switchyard.runtime.core.clock import Clock, SystemClock

P = TypeVar("P", bound=Contract, covariant=True)


@dataclass(frozen=True)
class Task(Generic[P]):
    """A command in the hands of a handler.

    `deadline` is on the consumer's monotonic clock, in seconds: the graph's relative `time_limit_ms` became absolute
    when the command was received. So is `case_ends`, the case's own deadline. `attempt` is 1 for the first.
    """

    received: ReceivedEvent[P]
    attempt: int
    deadline: float | None
    written_refs: dict[str, StorageRef] = field(default_factory=dict)
    """Places of the artefacts that the handler wrote, by SHA-256."""
    accesses: list[Access] = field(default_factory=list)
    """The credentials that this and earlier attempts used; the consumer records them with the outcome, a failure
    included. Each once."""
    case_deadline_at: float | None = None
    model_attempts: tuple[Json, ...] = ()
    """What models did in earlier attempts at this task, oldest first, as they were recorded."""
    clock: Clock = field(default_factory=SystemClock)

    @property
    def payload(self) -> P:
        """The command's own fields."""
        return self.received.payload

    @property
    def envelope(self) -> Envelope:
        """Who asks, for which case, until when."""
        return self.received.envelope

    def remaining_ms(self, until: float | None) -> int | None:
        """Milliseconds from now to a moment of this task, `deadline` or `case_ends`; None if it has none."""
        return None if until is None else int((until - self.clock.monotonic()) * 1_000)

    @property
    def storage_refs(self) -> Mapping[str, StorageRef]:
        """Places of the artefacts that came with the command."""
        return self.envelope.storage_refs


@dataclass(frozen=True)
class TaskResult:
    """A handler's result, where it is more than a payload."""

    payload: Contract
    model_call: ModelCall | None = None
    rubric_score: int | None = None
    reports: tuple[Contract, ...] = ()
    """What the handler tells the log besides, in events that no node handles."""


TaskHandler = Callable[[Task[Any]], Awaitable[Contract | TaskResult]]
"""A handler with its dependencies bound: `functools.partial(answer, client=…)`."""
