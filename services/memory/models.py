"""Model choice of memory. To change vendor, change a function body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from switchyard.runtime.models.clients import ModelSettings, bedrock_model, openai_model

if TYPE_CHECKING:
    from pydantic_ai.models import Model


def pick_primary(settings: ModelSettings) -> Model[Any]:
    """The model that is called first."""
    return bedrock_model(settings)


def pick_fallback(settings: ModelSettings) -> Model[Any]:
    """The model that is called when the primary misses its latency objective or fails."""
    return openai_model(settings)
