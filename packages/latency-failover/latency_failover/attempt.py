"""One attempt: a call to one model, consumed in its own task, which can be cut."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.exceptions import AgentRunError, FallbackExceptionGroup
from pydantic_ai.messages import ModelMessage, ModelResponse, ModelResponseStreamEvent
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.settings import ModelSettings

from latency_failover.candidate import Candidate
from latency_failover.classify import is_transport_error
from latency_failover.clock import MonotonicClock
from latency_failover.completeness import require_whole
from latency_failover.connections import AttemptConnections, current_connections
from latency_failover.errors import FailoverError, MalformedAnswer
from latency_failover.race_steps import AttemptProgress
from latency_failover.records import AttemptOutcome, ModelAttempt, TokensSource
from latency_failover.tokens import estimate_tokens, streamed_characters

TOKENS_FOR_PACE = 4
"""Minimum of tokens for a pace: fewer may arrive in one packet, or around one pause."""

MAX_ANSWER_CHARACTERS = 2_000_000
"""Of one answer: several times what any model can write. A stream beyond it would only fill the memory."""

_NAMED = (AgentRunError, FallbackExceptionGroup, FailoverError, OSError)
"""Errors that say themselves whose fault they are."""


@dataclass(frozen=True)
class Request:
    """The request of every attempt of a call, and the call's start (clock seconds)."""

    messages: list[ModelMessage]
    settings: ModelSettings | None
    parameters: ModelRequestParameters
    run_context: RunContext[Any] | None
    prompt_tokens: int
    started: float


class RunningAttempt:
    """A call in progress. `changed` is set on its first token and at its end; `pulse` on every event too."""

    def __init__(
        self,
        candidate: Candidate,
        request: Request,
        clock: MonotonicClock,
        changed: asyncio.Event,
        *,
        limit_s: float,
        probe: bool,
    ) -> None:
        """Start the call. `limit_s`: how long it may take; `probe`: its outcome decides about an open breaker."""
        self.candidate = candidate
        self.probe = probe
        self.events: list[ModelResponseStreamEvent] = []
        self.pulse = asyncio.Event()
        self.stream: StreamedResponse | None = None
        self.response: ModelResponse | None = None
        self.error: Exception | None = None
        self.error_code: str | None = None
        self.outcome: AttemptOutcome | None = None
        self.first_token_ms: int | None = None
        self.last_token_ms: int | None = None
        self.ended_ms: int | None = None
        self.longest_gap_ms: int | None = None
        self._request = request
        self._clock = clock
        self._changed = changed
        self._characters = 0
        self._recent: deque[tuple[int, int]] = deque()
        self._connections = AttemptConnections(limit_s)
        self.started_ms = self._now_ms()
        self.task = asyncio.create_task(self._consume(), name=f"failover {candidate.role} {candidate.name}")

    def cut(self, outcome: AttemptOutcome) -> None:
        """End the call now: the task at its next await, a blocked thread by its socket. Returns at once."""
        self.outcome = outcome
        self._end()
        self.task.cancel()
        self._connections.cut()

    def progress(self, rate_window_ms: int, min_stream_ms: int) -> AttemptProgress:
        """The progress on which race steps are decided. The pace covers the recent window: a slowdown shows soon.

        The window is extended where it holds few tokens, because a pause between two tokens is not a pace.
        """
        now, tokens = self._now_ms(), estimate_tokens(self._characters)
        while len(self._recent) > 1:
            since, before = self._recent[1]
            if since > now - rate_window_ms or tokens - before < TOKENS_FOR_PACE:
                break
            self._recent.popleft()
        pace = None
        if self._recent:
            since, before = self._recent[0]
            if now - since >= min_stream_ms and tokens - before >= TOKENS_FOR_PACE:
                pace = (now - since) * 1000 // (tokens - before)
        return AttemptProgress(
            role=self.candidate.role,
            started_ms=self.started_ms,
            first_token_ms=self.first_token_ms,
            last_token_ms=self.last_token_ms,
            tokens=tokens,
            us_per_token=pace,
        )

    def usage(self) -> tuple[int, int, TokensSource]:
        """Input and output tokens and their source. A cut stream has no final count, so it is estimated.

        A model that was cut before its first token has probably read the prompt, and its vendor may bill that.
        """
        if self.outcome in ("throttled", "rejected") or (self.outcome == "error" and not self._characters):
            return 0, 0, "none"
        if self.response is not None and self.response.usage.has_values():
            return self.response.usage.input_tokens, self.response.usage.output_tokens, "reported"
        return self._request.prompt_tokens, estimate_tokens(self._characters), "estimated"

    def record(self) -> ModelAttempt:
        """The attempt's record for the decision; call it when the attempt has ended."""
        input_tokens, output_tokens, source = self.usage()
        return ModelAttempt(
            vendor=self.candidate.vendor,
            model_id=self.candidate.model_id,
            role=self.candidate.role,
            started_ms=self.started_ms,
            ttft_ms=None if self.first_token_ms is None else self.first_token_ms - self.started_ms,
            ended_ms=self._now_ms() if self.ended_ms is None else self.ended_ms,
            outcome=self.outcome or "cancelled",
            error_code=self.error_code,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            tokens_source=source,
        )

    async def _consume(self) -> None:
        current_connections.set(self._connections)
        model = self.candidate.model
        try:
            # Each model has its own profile, so messages are prepared per model.
            messages = model.prepare_messages(self._request.messages, self._request.parameters)
            settings = self.candidate.settings(self._request.settings)
            async with model.request_stream(
                messages, settings, self._request.parameters, self._request.run_context
            ) as stream:
                self.stream = stream
                async for event in stream:
                    self._observe(event)
            self.response = stream.get()
            if self.response.state != "interrupted":  # the caller cancelled it, and wants no more
                require_whole(self.response, vendor=self.candidate.vendor, own_word=self.candidate.own_word)
        except Exception as error:  # noqa: BLE001 (the boundary: the race classifies what any SDK may raise)
            self.error = self._blame(error)
        finally:
            self._connections.release()
            self._end()

    def _blame(self, error: Exception) -> Exception:
        """The error, as the vendor's if it was raised while its answer was read and no adapter has named it."""
        reading = self.stream is not None or self._connections.answered
        if not reading or isinstance(error, _NAMED) or is_transport_error(error):
            return error
        malformed = MalformedAnswer(type(error).__name__)
        malformed.__cause__ = error
        return malformed

    def _observe(self, event: ModelResponseStreamEvent) -> None:
        self.events.append(event)
        self.pulse.set()
        characters = streamed_characters(event)
        if not characters:
            return
        self._characters += characters
        if self._characters > MAX_ANSWER_CHARACTERS:
            raise MalformedAnswer("too_long")
        now = self._now_ms()
        if self.last_token_ms is not None:
            self.longest_gap_ms = max(self.longest_gap_ms or 0, now - self.last_token_ms)
        self.last_token_ms = now
        self._recent.append((self.last_token_ms, estimate_tokens(self._characters)))
        if self.first_token_ms is None:
            self.first_token_ms = self.last_token_ms
            self._changed.set()

    def _end(self) -> None:
        if self.ended_ms is None:
            self.ended_ms = self._now_ms()
        self.pulse.set()
        self._changed.set()

    def _now_ms(self) -> int:
        return round((self._clock.monotonic() - self._request.started) * 1000)
