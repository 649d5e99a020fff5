"""The live page and its stream."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from starlette.responses import Response, StreamingResponse

from switchyard.console.app import BadInput, Call, Handler
from switchyard.console.pages import Pages
from switchyard.console.tail import Tail


@dataclass(frozen=True)
class TailViews:
    """The newest entries of the log, and those that follow."""

    pages: Pages
    tail: Tail

    def handlers(self) -> dict[str, Handler]:
        """By the names of `ENDPOINTS`."""
        return {
            "tail": self.show_tail,
            "tail_events": self.stream_tail,
        }

    async def show_tail(self, call: Call) -> Response:
        tenants = call.user.tenants
        entries = [entry for entry in self.tail.entries if entry.is_of(tenants)][-100:][::-1]
        newest = self.tail.entries[-1].log_index if self.tail.entries else self.tail.newest or 0
        # Who sees some tenants' entries only gets those, and sees no gap between them.
        cursor = entries[0].log_index if entries and tenants is None else newest
        return self.pages.page(
            "tail.html", call.user, here="tail", entries=entries, cursor=cursor, problem=self.tail.problem
        )

    async def stream_tail(self, call: Call) -> Response:
        text = call.request.headers.get("last-event-id") or call.query.get("after") or ""
        if text and not (text.isdecimal() and len(text) < 19):
            raise BadInput("after is not a log index: write a number")
        ended = partial(self.pages.sessions.has_ended, call.user)
        events = self.tail.follow(
            int(text) if text else None, user=call.user.name, ended=ended, tenants=call.user.tenants
        )
        return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
