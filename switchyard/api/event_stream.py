"""The events of a case as server-sent events: `id` is the position, so that a client resumes where it was."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from switchyard.api.callers import Caller
from switchyard.api.cases import CallerCases, CaseEvents, event_view
from switchyard.api.problems import InvalidRequest, TooManyRequests
from switchyard.api.views import EndView
from switchyard.api.watcher import CaseWatcher
from switchyard.runtime.core.errors import Unavailable

log = structlog.get_logger(__name__)
HEARTBEAT_S = 10.0
LONGEST_STREAM_S = 900.0
"""Then a stream ends, and its client resumes it: no reader holds a place for ever."""

SEND_TIMEOUT_S = 30.0
"""How long a reader may take for one piece."""

AWAY_RETRY_S = 1.0
STREAMS_RETRY_S = 30
LAST_EVENT_ID = "last-event-id"


@dataclass
class StreamLimits:
    """How many streams one caller, and this process, may have open."""

    per_caller: int
    all: int
    _open: Counter[tuple[str, str]] = field(default_factory=Counter)

    @contextmanager
    def hold(self, key: tuple[str, str]) -> Iterator[None]:
        """Hold a place. Raises `TooManyRequests` without one."""
        if self._open[key] >= self.per_caller:
            remedy = "close a stream, or read one case at a time"
            raise TooManyRequests(f"you have {self.per_caller} streams open", after_s=STREAMS_RETRY_S, remedy=remedy)
        if self._open.total() >= self.all:
            raise TooManyRequests("too many streams are open", after_s=STREAMS_RETRY_S)
        self._open[key] += 1
        try:
            yield
        finally:
            self._open[key] -= 1
            self._open += Counter()  # without callers who have none


@dataclass(frozen=True)
class EventStreams:
    """Streams of events, each from the log itself: nothing is kept between reads."""

    cases: CallerCases
    watcher: CaseWatcher
    limits: StreamLimits
    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    async def follow(self, caller: Caller, case_id: UUID, after: int) -> AsyncIterator[str]:
        """The events after a position, until the case has ended and what led to it is there. Beside them: `gap` if the
        log ends before the position that the client had, `away` and `back` as the log can be read, `expired` when the
        token does."""
        began, position, away, late = self.monotonic(), after, False, False
        yield "retry: 1000\n\n"
        with self.watcher.watch(case_id) as changed:
            while True:
                changed.clear()
                try:
                    found = await self.cases.events(case_id)
                except Unavailable:
                    if not away:
                        away = True
                        yield _event("away", {"message": "the log cannot be read now: the stream goes on when it can"})
                    await asyncio.sleep(AWAY_RETRY_S)
                else:
                    if away:
                        away = False
                        yield _event("back", {})
                    last = found.last or 0
                    if position > last:
                        # Another log, or one that was restored: the client has seen what is not there.
                        yield _event("gap", {"position": position, "last": last})
                        position = last
                    for text in _new(found, position):
                        yield text
                    position = last
                    if found.ending is not None and (found.whole or late):
                        end = EndView(outcome=str(found.ending["outcome"]), position=position)
                        yield _event("end", end.model_dump())
                        return
                    try:
                        await asyncio.wait_for(changed.wait(), HEARTBEAT_S)
                    except TimeoutError:
                        late = found.ending is not None
                        yield ": still here\n\n"
                if self.now() >= caller.until:
                    yield _event("expired", {"message": "the token has expired: log in, and resume with a new one"})
                    return
                if self.monotonic() - began >= LONGEST_STREAM_S:
                    return


def _new(found: CaseEvents, position: int) -> Iterator[str]:
    for row in found.rows:
        if row["place_in_case"] > position:
            view = event_view(row)
            yield f"id: {view.position}\n" + _event("transition", view.model_dump(exclude_none=True))


async def rejected_stream() -> AsyncIterator[str]:
    """The stream of a submission that became no case."""
    yield _event("end", EndView(outcome="rejected", position=0).model_dump())


def read_position(text: str | None) -> int:
    """The position that a client has seen, from its Last-Event-ID; 0 without one. Raises `InvalidRequest`."""
    if not text:
        return 0
    if not text.isascii() or not text.isdecimal() or len(text) > 12:
        raise InvalidRequest(
            "no id of an event", field=LAST_EVENT_ID, remedy="send the `id` of the last event, or none"
        )
    return int(text)


class EventStreamResponse(StreamingResponse):
    """Server-sent events. A reader that takes too long for a piece is cut off; `release` is called in the end."""

    def __init__(self, events: AsyncIterator[str], release: Callable[[], None]) -> None:
        super().__init__(
            events,
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await send(message)

        try:
            await super().__call__(scope, receive, send_in_time)
        except TimeoutError:
            log.info("stream.slow_reader")
        finally:
            self._release()


def _event(name: str, data: dict[str, Any]) -> str:
    # ASCII without a line break outside strings, where it is escaped: content cannot forge an event.
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
