"""The model choice of every agent, in one place. To change a vendor, change a function body.

`agent` is the one that asks, so that one of them can differ: `if agent == "drafter": return openai_model(settings)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from switchyard.runtime.models.clients import MeteredModel, ModelSettings, build_failover_model, configured_model

if TYPE_CHECKING:
    from pydantic_ai.models import Model


def pick_primary(agent: str, settings: ModelSettings) -> Model[Any]:
    """The model that is called first."""
    return configured_model(settings.primary, settings)


def pick_fallback(agent: str, settings: ModelSettings) -> Model[Any] | None:
    """The model that is called when the primary misses its latency objective or fails; None for no other one."""
    return None if settings.fallback == "none" else configured_model(settings.fallback, settings)


def build_agent_model(agent: str, settings: ModelSettings, *, policy_version: str) -> MeteredModel:
    """An agent's models under the failover policy, whose version every decision records."""
    primary, fallback = pick_primary(agent, settings), pick_fallback(agent, settings)
    return build_failover_model(primary, fallback, settings, version=policy_version)
