"""Sends a reply as its plan says: token by token, late, cut off or not at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter

from starlette.types import Receive, Scope, Send

from switchyard.devstack.simulators.models.bedrock import BedrockWire
from switchyard.devstack.simulators.models.calls import CallOutcome, RecordedCall
from switchyard.devstack.simulators.models.exchange import ModelReply, Prompt, split_tokens
from switchyard.devstack.simulators.models.faults import FaultDecision
from switchyard.devstack.simulators.models.openai_wire import OpenAIWire
from switchyard.devstack.simulators.models.plan import FailureResponse, reply_timeline

SCRIPTED_HEADER = "x-simulator"
"""On every answer, so that it is not taken for a model's."""

WireFormat = BedrockWire | OpenAIWire


class ClientDisconnected(Exception):
    """The client left: the rest of the response is not sent."""


@dataclass
class ResponseDelivery:
    """One response, as an ASGI application."""

    wire: WireFormat
    prompt: Prompt
    reply: ModelReply
    decision: FaultDecision
    call: RecordedCall

    def __post_init__(self) -> None:
        self._plan = self.decision.plan
        if self._plan.stop_reason is not None:
            self.reply = replace(self.reply, stop=self._plan.stop_reason)
        self._leaving: asyncio.Task[None] | None = None
        blocks = enumerate(self.reply.blocks)
        self._pieces = [(index, piece) for index, block in blocks for piece in split_tokens(block.text)]
        self._usage = len(split_tokens(self.prompt.everything)), len(self._pieces)
        self._began = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response. The call's record is closed in any case."""
        self._receive, self._send = receive, send
        outcome: CallOutcome = "dropped"  # when the simulator stops meanwhile
        try:
            outcome = await (self._stream() if self.prompt.stream and self._plan.opens else self._whole())
        except ClientDisconnected:
            outcome = "aborted"
        finally:
            if self._leaving is not None:
                self._leaving.cancel()
            self.call.outcome = outcome

    async def _whole(self) -> CallOutcome:
        *_, last = reply_timeline(self._plan, len(self._pieces))
        await self._until(last.at_ms)
        if last.end == "stall":
            await self._wait(self._plan.stall_seconds)
            await self._answer(*self.wire.error(self._labelled(FailureResponse(self.wire.timeout_status))))
            return "expired"
        if last.end == "failure":
            await self._answer(*self.wire.error(self._labelled(self._plan.failure)))
            return "failed"
        await self._answer(200, self.wire.whole(self.reply, self._usage, self._elapsed_ms()), self.wire.headers)
        self.call.tokens_sent = len(self._pieces)
        return "completed"

    async def _stream(self) -> CallOutcome:
        await self._start(200, {"content-type": self.wire.stream_type, **self.wire.headers})
        await self._flush(self.wire.opening())
        sent = 0
        for step in reply_timeline(self._plan, len(self._pieces)):
            await self._until(step.at_ms)
            if step.tokens:
                await self._flush(self._frames(sent, sent + step.tokens))
                sent = self.call.tokens_sent = sent + step.tokens
            if step.end == "stall":
                await self._wait(self._plan.stall_seconds)
                # Returning without an end makes the server cut the connection, as a broken one would be.
                return "expired"
            if step.end == "failure":
                await self._flush(self.wire.error_frame(self._labelled(self._plan.failure)), more=False)
                return "failed"
        stop = self.wire.block_stop(self._pieces[-1][0]) if self._pieces else b""
        closing = self.wire.closing(self.reply, self._usage, self._elapsed_ms(), self._plan.omit)
        await self._flush(stop + closing, more=False)
        return "completed"

    def _frames(self, start: int, end: int) -> bytes:
        """The bytes of some tokens, joined where they are of one block, with the marks between blocks."""
        frames: list[bytes] = []
        previous = self._pieces[start - 1][0] if start else None
        for index, pieces in groupby(self._pieces[start:end], key=itemgetter(0)):
            block = self.reply.blocks[index]
            if index != previous:
                if previous is not None:
                    frames.append(self.wire.block_stop(previous))
                if "block_start" not in self._plan.omit:
                    frames.append(self.wire.block_start(index, block))
            frames.append(self.wire.delta(index, block, "".join(piece for _, piece in pieces)))
            previous = index
        return b"".join(frames)

    async def _until(self, at_ms: float) -> None:
        late = self._began + at_ms / 1000 - time.monotonic()
        if late > 0:
            await self._wait(late)

    async def _wait(self, seconds: float) -> None:
        """Let time pass. Raises `ClientDisconnected` at once when the client leaves."""
        if self._leaving is None:  # only a call that waits pays for this: most are answered before a client could leave
            self._leaving = asyncio.ensure_future(self._client_leaves())
        if (await asyncio.wait({self._leaving}, timeout=seconds))[0]:
            raise ClientDisconnected

    async def _client_leaves(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        await self._start(status, {"content-type": "application/json", **headers, "content-length": str(len(body))})
        await self._flush(body, more=False)

    async def _start(self, status: int, headers: Mapping[str, str]) -> None:
        named = {**headers, SCRIPTED_HEADER: "scripted"}
        if self.decision.planned is not None:
            named["x-simulator-fault"] = self.decision.planned
        raw = [(name.encode(), value.encode("ascii", "replace")) for name, value in named.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def _flush(self, body: bytes, *, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    def _labelled(self, failure: FailureResponse | None) -> FailureResponse:
        failure = failure or FailureResponse(500)
        return replace(failure, message=failure.message or f"Planned by the model simulator: {self.decision.planned}")

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self._began) * 1000)
