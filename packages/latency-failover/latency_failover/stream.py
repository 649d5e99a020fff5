"""The winner's stream for the caller: the events buffered during the race, then the live ones."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime

from pydantic_ai.messages import ModelResponse, ModelResponseState, ModelResponseStreamEvent
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.usage import RequestUsage

from latency_failover.attempt import RunningAttempt


class RacedStream(StreamedResponse):
    """Yields one attempt's events. The attempt reads in its own task, so the caller may read from any task."""

    def __init__(
        self,
        parameters: ModelRequestParameters,
        attempt: RunningAttempt,
        inner: StreamedResponse,
        supervisor: "asyncio.Task[RunningAttempt]",
    ) -> None:
        """`supervisor` is the race: it ends with the stream, and its error is the stream's."""
        super().__init__(parameters)
        self._attempt = attempt
        self._inner = inner
        self._supervisor = supervisor
        self.canonical_system = inner.canonical_system

    def __aiter__(self) -> AsyncIterator[ModelResponseStreamEvent]:
        # The inner stream has added its part-end and final-result events; the base class would add them again.
        if self._event_iterator is None:
            self._event_iterator = self._get_event_iterator()
        return self._event_iterator

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        handed_out = 0
        while True:
            self._attempt.pulse.clear()
            while handed_out < len(self._attempt.events):
                event = self._attempt.events[handed_out]
                handed_out += 1
                self._parts_manager.apply_event(event)
                yield event
            if self._attempt.ended_ms is not None:
                break
            await self._attempt.pulse.wait()
        await asyncio.shield(self._supervisor)
        self.final_result_event = self._inner.final_result_event
        self._finished = not self._cancelled

    async def close_stream(self) -> None:
        """Close the vendor's stream."""
        await self._inner.cancel()

    def get(self) -> ModelResponse:
        """The response so far: the yielded events, without those that the attempt has read ahead."""
        response = self._inner.get()
        if self._finished:
            return response
        state: ModelResponseState = "interrupted" if self._cancelled else "incomplete"
        return replace(response, parts=self._parts_manager.get_parts(), state=state)

    @property
    def usage(self) -> RequestUsage:
        """The usage so far, as the vendor reports it."""
        return self._inner.usage

    @property
    def model_name(self) -> str:
        """The answering model."""
        return self._inner.model_name

    @property
    def provider_name(self) -> str | None:
        """The answering vendor."""
        return self._inner.provider_name

    @property
    def provider_url(self) -> str | None:
        """The answering vendor's endpoint."""
        return self._inner.provider_url

    @property
    def timestamp(self) -> datetime:
        """When the answering vendor's response began."""
        return self._inner.timestamp
