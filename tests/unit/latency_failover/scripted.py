"""Models that do what a script says, when it says so, and remember what was done to them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.messages import (
    FinishReason,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelResponseStreamEvent,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

FOR_EVER = 1_000_000.0
PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Draft a reminder, please.")])]
NO_TOOLS = ModelRequestParameters()


@dataclass(frozen=True)
class Script:
    """One call: wait `opens_after` seconds for headers, then each chunk after its delay, then fail or end."""

    chunks: Sequence[tuple[float, str]] = ()
    opens_after: float = 0.0
    error: Exception | None = None
    usage: RequestUsage = field(default_factory=RequestUsage)
    finish: FinishReason | None = "stop"


def answers(*, first_after: float, tokens: int = 10, every: float = 0.01, usage: RequestUsage | None = None) -> Script:
    """An answer of so many four-character tokens."""
    chunks = [(first_after, "word"), *[(every, "word")] * (tokens - 1)]
    return Script(chunks, usage=usage or RequestUsage(input_tokens=70, output_tokens=tokens))


def fails(error: Exception, *, after: float = 0.0) -> Script:
    """An error instead of headers."""
    return Script(opens_after=after, error=error)


def silent() -> Script:
    """Headers never come."""
    return Script(opens_after=FOR_EVER)


def stalls(*, first_after: float, tokens: int, every: float = 0.01) -> Script:
    """A good start, then nothing."""
    return Script([(first_after, "word"), *[(every, "word")] * (tokens - 1), (FOR_EVER, "never")])


class ScriptedModel(Model[Any]):
    """Plays its scripts one call after another; the last one again and again."""

    def __init__(self, name: str, *scripts: Script, system: str = "scripted") -> None:
        super().__init__()
        self.scripts = list(scripts)
        self.calls = 0
        self.running = 0
        self._name = name
        self._system = system

    @property
    def model_name(self) -> str:
        return self._name

    @property
    def system(self) -> str:
        return self._system

    @property
    def base_url(self) -> str | None:
        return None

    async def request(self, *_: Any, **__: Any) -> ModelResponse:
        raise AssertionError("the failover asks by streaming")

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        script = self.scripts[min(self.calls, len(self.scripts) - 1)]
        self.calls += 1
        self.running += 1
        try:
            await asyncio.sleep(script.opens_after)
            if script.error is not None and not script.chunks:
                raise script.error
            yield _ScriptedStream(model_request_parameters, self, script)
        finally:
            self.running -= 1


class _ScriptedStream(StreamedResponse):
    def __init__(self, parameters: ModelRequestParameters, model: ScriptedModel, script: Script) -> None:
        super().__init__(parameters)
        self._model = model
        self._script = script
        self._closed = asyncio.Event()

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        for delay, text in self._script.chunks:
            waiting = asyncio.ensure_future(self._closed.wait())
            try:
                await asyncio.wait({waiting}, timeout=delay)
            finally:
                waiting.cancel()
            if self._closed.is_set():
                return
            for event in self._parts_manager.handle_text_delta(vendor_part_id=0, content=text):
                yield event
        if self._script.error is not None:
            raise self._script.error
        self._usage = self._script.usage
        self.finish_reason = self._script.finish

    async def close_stream(self) -> None:
        self._closed.set()

    @property
    def model_name(self) -> str:
        return self._model.model_name

    @property
    def provider_name(self) -> str:
        return self._model.system

    @property
    def provider_url(self) -> None:
        return None

    @property
    def timestamp(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)
