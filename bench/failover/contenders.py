"""The contenders: each asks a primary and a fallback model in its own way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import ModelAPIError
from pydantic_ai.messages import ModelRequest, UserPromptPart
from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.settings import ModelSettings

from bench.failover.trace import PROMPT_TOKENS, TracedCall
from latency_failover import (
    AllModelsFailed,
    FailoverModel,
    FailoverPolicy,
    LatencyBudget,
    MonotonicClock,
    Snapshot,
)

OURS = "ours"
OURS_WITHOUT_SNAPSHOT = "ours, no snapshot"
FIXED_S = 2.0
"""The classic constant. It is the healthy primary's P99 here: a well-chosen one."""


class ContenderGaveUp(Exception):
    """The contender gave the call up."""


class FailoverContender(Protocol):
    """Answers calls."""

    async def ask(self, call: TracedCall) -> None:
        """Return when the answer is complete. Raises `ContenderGaveUp`."""
        ...


class SingleModel:
    """One pydantic-ai model as it is: the primary alone, or pydantic-ai's own `FallbackModel`."""

    def __init__(self, model: Model[Any]) -> None:
        self._model = model

    async def ask(self, call: TracedCall) -> None:
        """Ask, and wait."""
        try:
            await _ask_model(self._model, call)
        except (ExceptionGroup, ModelAPIError, OSError) as error:
            raise ContenderGaveUp from error


class FixedTimeout:
    """The primary for 2 s, then the fallback."""

    def __init__(self, primary: Model[Any], fallback: Model[Any]) -> None:
        self._primary = SingleModel(primary)
        self._fallback = SingleModel(fallback)

    async def ask(self, call: TracedCall) -> None:
        """Ask one after the other."""
        try:
            async with asyncio.timeout(FIXED_S):
                await self._primary.ask(call)
        except (TimeoutError, ContenderGaveUp):
            await self._fallback.ask(call)


class OurFailover:
    """`FailoverModel` with the defaults that production uses."""

    def __init__(self, primary: Model[Any], fallback: Model[Any], clock: MonotonicClock, *, keeps: bool = True) -> None:
        self.model = FailoverModel(primary, fallback, policy=FailoverPolicy(version="bench"), clock=clock)
        self.keeps = keeps
        self.snapshots: list[Snapshot] = []
        self.reasons: list[str] = []

    async def ask(self, call: TracedCall) -> None:
        """Ask within the call's own budget."""
        with self.model.budget(LatencyBudget(total_ms=call.budget_ms)) as record:
            try:
                await _ask_model(self.model, call)
            except (AllModelsFailed, ModelAPIError) as error:
                raise ContenderGaveUp from error
            finally:
                self.reasons += [decision.reason for decision in record.decisions]

    def restarted(self, new: OurFailover, wall_ms: int) -> OurFailover:
        """A new process, which reads the snapshots of its predecessors."""
        new.reasons = self.reasons
        if self.keeps:
            new.snapshots = [*self.snapshots, self.model.snapshot(wall_ms=wall_ms)]
            new.model.restore_history(new.snapshots, wall_ms=wall_ms)
        return new


class LiteLLMRouter:
    """LiteLLM's Router: the primary with a timeout of 2 s, then the fallback; no retries, its default cooldown."""

    def __init__(self, url: str) -> None:
        import litellm

        litellm.telemetry = False
        litellm.suppress_debug_info = True
        primary = {
            "model": "bedrock/converse/primary",
            "aws_bedrock_runtime_endpoint": url,
            "aws_region_name": "us-east-1",
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
            "timeout": FIXED_S,
        }
        fallback = {"model": "openai/fallback", "api_base": f"{url}/v1", "api_key": "test"}
        models = [
            {"model_name": "primary", "litellm_params": primary},
            {"model_name": "fallback", "litellm_params": fallback},
        ]
        self._router = litellm.Router(models, fallbacks=[{"primary": ["fallback"]}], num_retries=0, cooldown_time=5.0)

    async def ask(self, call: TracedCall) -> None:
        """Ask for the whole answer, as an agent's run does."""
        try:
            await self._router.acompletion(model="primary", messages=[{"role": "user", "content": build_prompt(call)}])
        except Exception as error:
            raise ContenderGaveUp from error


ModelFactory = Callable[[str, ModelSettings | None], Model[Any]]
"""Makes the model of a role, `primary` or `fallback`, with settings of its own."""

CONTENDERS: dict[str, Callable[[ModelFactory, MonotonicClock], FailoverContender]] = {
    "primary only": lambda make, _: SingleModel(make("primary", None)),
    "fixed 2 s": lambda make, _: FixedTimeout(make("primary", None), make("fallback", None)),
    "pydantic-ai FallbackModel": lambda make, _: SingleModel(
        FallbackModel(make("primary", ModelSettings(request_timeout=FIXED_S)), make("fallback", None))
    ),
    OURS: lambda make, clock: OurFailover(make("primary", None), make("fallback", None), clock),
    OURS_WITHOUT_SNAPSHOT: lambda make, clock: OurFailover(
        make("primary", None), make("fallback", None), clock, keeps=False
    ),
}


def build_prompt(call: TracedCall) -> str:
    """The prompt names the call and the length of the answer, for the model that plays the trace."""
    return f"call {call.number} <say>{' word' * call.tokens}</say>{' word' * PROMPT_TOKENS}"


async def _ask_model(model: Model[Any], call: TracedCall) -> None:
    await model_request(model, [ModelRequest([UserPromptPart(build_prompt(call))])])
