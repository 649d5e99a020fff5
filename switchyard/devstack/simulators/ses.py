"""`python -m switchyard.devstack.simulators.ses`: SES v2's SendEmail on the wire.

It keeps the bytes of each email, and can fail as a provider may: before or after it accepted the email.

GET /outbox lists the accepted emails; POST /outbox/faults {"faults": [...]} plans the faults of the next requests.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import random
import uuid
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from switchyard.devstack.simulators.serving import serve_simulator
from switchyard.devstack.supervisor.ports import LOOPBACK

SEND_EMAIL_PATH = "/v2/email/outbound-emails"

SesFault = Literal[
    "none",
    "throttle",  # 429, not accepted
    "reject",  # 400 MessageRejected, not accepted
    "pause",  # 400 SendingPausedException, not accepted
    "error",  # 500, not accepted
    "drop",  # connection closed, not accepted
    "hang",  # no answer, not accepted
    "hold",  # accepted once `released` is set
    "error_after",  # 500, accepted
    "drop_after",  # connection closed, accepted
    "reset_after",  # connection reset, accepted
    "hang_after",  # no answer, accepted
]
_ERROR_RESPONSES = {
    "throttle": (429, "TooManyRequestsException"),
    "reject": (400, "MessageRejected"),
    "pause": (400, "SendingPausedException"),
    "error": (500, "InternalServiceError"),
}


@dataclass(frozen=True)
class AcceptedEmail:
    """An accepted email. `raw` is base64 of exactly the bytes that were sent."""

    message_id: str
    sender: str
    recipients: tuple[str, ...]
    tags: dict[str, str]
    configuration_set: str | None
    sha256: str
    raw: str


@dataclass
class SesSimulator:
    """The accepted emails and the planned faults.

    A request takes up to `latency_s` seconds on the way in, and again on the way back. `released` ends held requests.
    """

    latency_s: float = 0.0
    taken: list[AcceptedEmail] = field(default_factory=list)
    faults: deque[SesFault] = field(default_factory=deque)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application. Only uvicorn's own `send` leads to the connection, which faults cut."""
        routes = [
            Route(SEND_EMAIL_PATH, self._send, methods=["POST"]),
            Route("/outbox", self._list),
            Route("/outbox/faults", self._plan, methods=["POST"]),
            Route("/outbox/health", lambda _: JSONResponse({"status": "ready"})),
        ]
        connection: Any = send
        await Starlette(routes=routes)({**scope, "connection": connection.__self__.transport}, receive, send)

    async def _send(self, request: Request) -> Response:
        fault: SesFault = self.faults.popleft() if self.faults else "none"
        body = await request.body()
        message_id = f"{uuid.uuid4()}"
        if fault == "hold":
            await self.released.wait()
        if fault.endswith("_after") or fault in {"none", "hold"}:
            await self._simulate_latency()
            self._accept_email(message_id, body)
            await self._simulate_latency()
        match fault.removesuffix("_after"):
            case "throttle" | "reject" | "pause" | "error" as name:
                status, code = _ERROR_RESPONSES[name]
                return JSONResponse({"message": code}, status, headers={"x-amzn-errortype": code})
            case "drop":
                request.scope["connection"].close()
            case "reset":
                request.scope["connection"].abort()
            case "hang":
                while (await request.receive())["type"] != "http.disconnect":
                    pass
            case _:
                return JSONResponse({"MessageId": message_id})
        return Response()

    async def _list(self, _: Request) -> Response:
        return JSONResponse({"emails": [asdict(each) for each in self.taken]})

    async def _plan(self, request: Request) -> Response:
        faults = (await request.json())["faults"]
        unknown = sorted(set(faults) - set(get_args(SesFault)))
        if unknown:
            return JSONResponse({"error": f"no such fault: {', '.join(unknown)}"}, 400)
        self.faults.extend(faults)
        return JSONResponse({"planned": list(self.faults)})

    async def _simulate_latency(self) -> None:
        await asyncio.sleep(self.latency_s * random.random())  # noqa: S311

    def _accept_email(self, message_id: str, body: bytes) -> None:
        asked = json.loads(body)
        raw = base64.b64decode(asked["Content"]["Raw"]["Data"], validate=True)
        self.taken.append(
            AcceptedEmail(
                message_id=message_id,
                sender=asked["FromEmailAddress"],
                recipients=tuple(asked["Destination"]["ToAddresses"]),
                tags={tag["Name"]: tag["Value"] for tag in asked.get("EmailTags", ())},
                configuration_set=asked.get("ConfigurationSetName"),
                sha256=hashlib.sha256(raw).hexdigest(),
                raw=base64.b64encode(raw).decode(),
            )
        )


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m switchyard.devstack.simulators.ses", description="SES v2's SendEmail, with its bytes."
    )
    parser.add_argument("--host", default=LOOPBACK, help="address to listen on (default: loopback only)")
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    given = parser.parse_args()
    serve_simulator(SesSimulator(), host=given.host, port=given.port, name="SES simulator")


if __name__ == "__main__":
    main()
