"""Names of the GenAI semantic conventions, which are in development: those of `SCHEMA`, in this one place.

https://github.com/open-telemetry/semantic-conventions/tree/v1.44.0/docs/gen-ai
"""

from __future__ import annotations

SCHEMA = "https://opentelemetry.io/schemas/1.44.0"

OPERATION = "gen_ai.operation.name"
CHAT = "chat"
INVOKE_AGENT = "invoke_agent"
PROVIDER = "gen_ai.provider.name"
MODEL = "gen_ai.request.model"
AGENT = "gen_ai.agent.name"
CONVERSATION = "gen_ai.conversation.id"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 - tokens of a model
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
ERROR_TYPE = "error.type"

DURATION_METRIC = "gen_ai.client.operation.duration"
FIRST_CHUNK_METRIC = "gen_ai.client.operation.time_to_first_chunk"
TOKENS_METRIC = "gen_ai.client.token.usage"

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Bounds of the buckets of durations, as the conventions advise."""

FIRST_CHUNK_SECONDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
TOKEN_COUNTS = tuple(4**power for power in range(14))

VENDORS = {"bedrock": "aws.bedrock", "openai": "openai"}
"""Values of `PROVIDER` by our names of vendors."""
