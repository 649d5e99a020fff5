"""A meter: what a caller does before and after each model call, such as reserving what it may cost."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from latency_failover.records import FailoverDecision


@dataclass(frozen=True)
class PlannedModel:
    """A model that a call may ask. `max_tokens`: the longest answer that it is asked for; None if it is not limited."""

    vendor: str
    model_id: str
    max_tokens: int | None


@dataclass(frozen=True)
class PlannedCall:
    """A call that is about to be made: every model that may be asked, the first one first, and the estimated tokens of
    the prompt."""

    models: tuple[PlannedModel, ...]
    prompt_tokens: int


CloseCall = Callable[[FailoverDecision], Awaitable[None]]


class CallMeter(Protocol):
    """Admits calls, and learns what each has used."""

    async def open_call(self, call: PlannedCall) -> CloseCall:
        """Admit the call, or raise: then no model is asked. What it returns is called once with the decision, also when
        the call failed or was cancelled."""
