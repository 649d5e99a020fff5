"""What competes: each asks two pydantic-ai models in its own way. LiteLLM's router is in `litellm_router.py`."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import ModelAPIError
from pydantic_ai.messages import ModelRequest, UserPromptPart
from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel

from bench.failover.playing import build_prompt
from bench.failover.trace import TracedCall
from latency_failover import (
    AllModelsFailed,
    FailoverDecision,
    FailoverModel,
    FailoverPolicy,
    LatencyBudget,
    MonotonicClock,
    Snapshot,
)

FIXED_S = 2.0
"""The classic constant. It is the healthy primary's P99 here: a well-chosen one."""


class FailoverContender(Protocol):
    """Answers one call, or raises `ContenderGaveUp`."""

    async def ask(self, call: TracedCall) -> None:
        """Return when the answer is complete."""
        ...


class ContenderGaveUp(Exception):
    """The contender gave the call up."""


class PrimaryOnly:
    """No failover at all."""

    def __init__(self, primary: Model[Any]) -> None:
        self._primary = primary

    async def ask(self, call: TracedCall) -> None:
        """Ask, and wait."""
        try:
            await _ask_model(self._primary, call)
        except (ModelAPIError, OSError) as error:
            raise ContenderGaveUp from error


class FixedTimeout:
    """The primary for 2 s, then the fallback."""

    def __init__(self, primary: Model[Any], fallback: Model[Any], *, speed: float = 1.0) -> None:
        self._primary = primary
        self._fallback = fallback
        self._timeout_s = FIXED_S / speed

    async def ask(self, call: TracedCall) -> None:
        """Ask one after the other."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await _ask_model(self._primary, call)
                return
        except (TimeoutError, ModelAPIError, OSError):
            pass
        try:
            await _ask_model(self._fallback, call)
        except (ModelAPIError, OSError) as error:
            raise ContenderGaveUp from error


class PydanticFallback:
    """pydantic-ai's own `FallbackModel`, with its default conditions. The primary has a `request_timeout` of 2 s."""

    def __init__(self, primary: Model[Any], fallback: Model[Any]) -> None:
        self._model = FallbackModel(primary, fallback)

    async def ask(self, call: TracedCall) -> None:
        """Ask the chain."""
        try:
            await _ask_model(self._model, call)
        except (ExceptionGroup, ModelAPIError, OSError) as error:
            raise ContenderGaveUp from error


class OurFailover:
    """`FailoverModel` with the defaults that production uses."""

    def __init__(self, primary: Model[Any], fallback: Model[Any], *, clock: MonotonicClock, keeps: bool = True) -> None:
        self.model = FailoverModel(primary, fallback, policy=FailoverPolicy(version="bench"), clock=clock)
        self.keeps = keeps
        self.snapshots: list[Snapshot] = []
        self.decisions: dict[int, FailoverDecision] = {}

    async def ask(self, call: TracedCall) -> None:
        """Ask within the call's own budget."""
        with self.model.budget(LatencyBudget(total_ms=call.budget_ms)) as record:
            try:
                await _ask_model(self.model, call)
            except (AllModelsFailed, ModelAPIError) as error:
                raise ContenderGaveUp from error
            finally:
                for decision in record.decisions:
                    self.decisions[call.number] = decision


async def _ask_model(model: Model[Any], call: TracedCall) -> None:
    await model_request(model, [ModelRequest([UserPromptPart(build_prompt(call))])])
