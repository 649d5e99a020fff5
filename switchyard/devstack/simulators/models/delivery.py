"""Sends a reply as its plan says: token by token, late, cut off or not at all."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import groupby
from operator import itemgetter

from starlette.types import Receive, Scope, Send

from switchyard.devstack.simulators.models import tokens
from switchyard.devstack.simulators.models.calls import CallLog, CallOutcome, RecordedCall
from switchyard.devstack.simulators.models.connection import ClientConnection, ClientDisconnected, OpenConnections
from switchyard.devstack.simulators.models.exchange import ModelReply, Prompt, TokenUsage
from switchyard.devstack.simulators.models.faults import FaultDecision
from switchyard.devstack.simulators.models.plan import FailureResponse, TimelineStep, reply_timeline
from switchyard.devstack.simulators.models.wire import HttpAnswer, WireFormat

SCRIPTED_HEADER = "x-simulator"
"""On every answer, so that nobody takes one for a model's."""

_TIMEOUT = {"bedrock": 408, "openai": 504}
"""With what status a call that never began is given up on."""


class ResponseDelivery:
    """One response, as an ASGI application."""

    def __init__(
        self,
        wire: WireFormat,
        prompt: Prompt,
        reply: ModelReply,
        course: FaultDecision,
        call: RecordedCall,
        *,
        book: CallLog,
        connections: OpenConnections,
    ) -> None:
        self._wire = wire
        self._prompt = prompt
        self._reply = reply
        self._plan = course.plan
        self._planned = course.planned
        self._call = call
        self._book = book
        self._connections = connections
        self._pieces = [
            (index, piece) for index, block in enumerate(reply.blocks) for piece in tokens.split_tokens(block.streamed)
        ]
        self._began = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response. The call's record is closed whatever happens."""
        outcome: CallOutcome = "dropped"
        try:
            with self._connections.line(receive) as line:
                streamed = self._prompt.stream and self._plan.opens
                outcome = await (self._stream(send, line) if streamed else self._whole(send, line))
        except ClientDisconnected as closed:
            outcome = closed.outcome
        finally:
            self._book.end(self._call, outcome)

    async def _whole(self, send: Send, line: ClientConnection) -> CallOutcome:
        *_, last = reply_timeline(self._plan, len(self._pieces))
        await self._until(last, line)
        if last.end == "stall":
            await line.wait(self._plan.stall_seconds)
            await self._answer(send, self._wire.error(self._labelled(FailureResponse(_TIMEOUT[self._prompt.wire]))))
            return "expired"
        if last.end == "failure":
            await self._answer(send, self._wire.error(self._failure()))
            return "failed"
        body = self._wire.whole(self._reply, self._usage(), self._elapsed_ms())
        await self._answer(send, HttpAnswer(200, body, self._wire.headers))
        self._call.tokens_sent = len(self._pieces)
        return "completed"

    async def _stream(self, send: Send, line: ClientConnection) -> CallOutcome:
        await self._start(send, 200, self._wire.stream_type, self._wire.headers)
        await _flush(send, self._wire.opening())
        sent = 0
        for step in reply_timeline(self._plan, len(self._pieces)):
            await self._until(step, line)
            if step.tokens:
                await _flush(send, self._frames(sent, sent + step.tokens))
                sent = self._call.tokens_sent = sent + step.tokens
            if step.end == "stall":
                await line.wait(self._plan.stall_seconds)
                # Returning without an end makes the server cut the connection, as a broken one would be.
                return "expired"
            if step.end == "failure":
                await _flush(send, self._wire.error_frame(self._failure()), more=False)
                return "failed"
        stop = self._wire.block_stop(self._pieces[-1][0]) if self._pieces else b""
        await _flush(send, stop + self._wire.closing(self._reply, self._usage(), self._elapsed_ms()), more=False)
        return "completed"

    def _frames(self, start: int, end: int) -> bytes:
        """The bytes of some tokens, joined where they are of one block, with the marks between blocks."""
        frames: list[bytes] = []
        for index, tokens_of_block in groupby(self._pieces[start:end], key=itemgetter(0)):
            block = self._reply.blocks[index]
            previous = self._pieces[start - 1][0] if start else None
            if index != previous:
                if previous is not None:
                    frames.append(self._wire.block_stop(previous))
                frames.append(self._wire.block_start(index, block))
            pieces = [piece for _, piece in tokens_of_block]
            frames.append(self._wire.delta(index, block, "".join(pieces)))
            start += len(pieces)
        return b"".join(frames)

    async def _until(self, step: TimelineStep, line: ClientConnection) -> None:
        late = self._began + step.at_ms / 1000 - time.monotonic()
        if late > 0:
            await line.wait(late)

    async def _answer(self, send: Send, answered: HttpAnswer) -> None:
        headers = {**answered.headers, "content-length": str(len(answered.body))}
        await self._start(send, answered.status, "application/json", headers)
        await _flush(send, answered.body, more=False)

    async def _start(self, send: Send, status: int, media_type: str, headers: dict[str, str]) -> None:
        named = {"content-type": media_type, SCRIPTED_HEADER: "scripted", **headers}
        if self._call.rule is not None:
            named["x-simulator-rule"] = self._call.rule
        if self._planned is not None:
            named["x-simulator-fault"] = self._planned
        raw = [(name.encode(), value.encode("ascii", "replace")) for name, value in named.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})

    def _failure(self) -> FailureResponse:
        if self._plan.failure is None:
            raise RuntimeError("a timeline ended in a failure that its plan does not have")
        return self._labelled(self._plan.failure)

    def _labelled(self, failure: FailureResponse) -> FailureResponse:
        if failure.message is not None:
            return failure
        return replace(failure, message=f"Planned by the model simulator: {self._planned}")

    def _usage(self) -> TokenUsage:
        return TokenUsage(self._prompt.input_tokens, len(self._pieces))

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self._began) * 1000)


async def _flush(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
