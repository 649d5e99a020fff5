"""LiteLLM's Router with its own fallback settings, over its own HTTP clients."""

from __future__ import annotations

from typing import Any

from bench.failover.contenders import FIXED_S, ContenderGaveUp
from bench.failover.playing import build_prompt
from bench.failover.trace import TracedCall

COOLDOWN_S = 5.0
"""LiteLLM's default (`cooldown_time`); `allowed_fails` keeps its default too."""


class LiteLLMRouter:
    """The primary with a timeout of 2 s, then the fallback: `fallbacks=[{"primary": ["fallback"]}]`, no retries."""

    def __init__(self, bedrock_url: str, openai_url: str, *, speed: float) -> None:
        import litellm
        from litellm import Router

        litellm.telemetry = False
        litellm.suppress_debug_info = True
        models: list[dict[str, Any]] = [
            {
                "model_name": "primary",
                "litellm_params": {
                    "model": "bedrock/converse/primary",
                    "aws_bedrock_runtime_endpoint": bedrock_url,
                    "aws_region_name": "us-east-1",
                    "aws_access_key_id": "test",
                    "aws_secret_access_key": "test",
                    "timeout": FIXED_S / speed,
                },
            },
            {
                "model_name": "fallback",
                "litellm_params": {"model": "openai/fallback", "api_base": openai_url, "api_key": "test"},
            },
        ]
        self._router = Router(
            model_list=models, fallbacks=[{"primary": ["fallback"]}], num_retries=0, cooldown_time=COOLDOWN_S / speed
        )

    async def ask(self, call: TracedCall) -> None:
        """Ask for the whole answer, as an agent's run does."""
        try:
            await self._router.acompletion(model="primary", messages=[{"role": "user", "content": build_prompt(call)}])
        except Exception as error:
            raise ContenderGaveUp from error
