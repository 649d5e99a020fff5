"""What a suite asked of the model: tokens, and each case's transcript for the report."""

from __future__ import annotations

import time
from collections import defaultdict
from contextvars import ContextVar
from typing import Any

from genai_prices import Usage, calc_price
from pydantic import BaseModel, ConfigDict
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

current_case: ContextVar[str] = ContextVar("current_case", default="")
"""The case whose attempt is running."""


class ModelUsage(BaseModel):
    """What a run of a suite cost. Times are seconds."""

    model_config = ConfigDict(frozen=True)

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0

    def scaled(self, factor: float) -> ModelUsage:
        """The same for more or fewer attempts."""
        return ModelUsage(
            calls=round(self.calls * factor),
            input_tokens=round(self.input_tokens * factor),
            output_tokens=round(self.output_tokens * factor),
            seconds=round(self.seconds * factor, 1),
        )

    def dollars(self, model: str) -> float | None:
        """The list price, or None for a model without one. `model` is a pydantic-ai id, or a name."""
        # Bedrock's own ids end in a version after a colon.
        provider, _, name = model.partition(":") if ":" in model else ("", "", model)
        usage = Usage(input_tokens=self.input_tokens, output_tokens=self.output_tokens)
        try:
            price = calc_price(usage, model_ref=name, provider_id="aws" if provider == "bedrock" else provider or None)
        except LookupError:
            return None
        return float(price.total_price)


class RecordingModel(WrapperModel):
    """A model that counts its tokens and keeps what was said, by case."""

    def __init__(self, wrapped: Model[Any]) -> None:
        super().__init__(wrapped)
        self.transcripts: dict[str, list[str]] = defaultdict(list)
        self._calls = self._input = self._output = 0
        self._started = time.monotonic()

    @property
    def usage(self) -> ModelUsage:
        """Everything since the start."""
        seconds = round(time.monotonic() - self._started, 1)
        return ModelUsage(calls=self._calls, input_tokens=self._input, output_tokens=self._output, seconds=seconds)

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask the model, and keep what was said since its last answer."""
        response = await super().request(messages, model_settings, model_request_parameters)
        self._calls += 1
        self._input += response.usage.input_tokens
        self._output += response.usage.output_tokens
        transcript = self.transcripts[current_case.get()]
        transcript += [_text(part) for part in messages[-1].parts]
        transcript += [_text(part) for part in response.parts]
        return response


def _text(part: Any) -> str:
    content = getattr(part, "content", None)
    if content is None:
        content = f"{part.tool_name}({part.args_as_json_str()})" if hasattr(part, "args_as_json_str") else repr(part)
    return f"{part.part_kind}: {content}"
