"""`python -m switchyard.devstack.simulators.ses`: SES v2's SendEmail on the wire, in front of the emulator's own.

The emulator keeps an email's subject and parts, but not its bytes. This keeps the bytes, forwards the request, and can
fail as a provider may: before or after it accepted the email. Without `--upstream` it simulates SES alone.

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
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import aiohttp
import uvicorn
from aiobotocore.session import get_session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from switchyard.devstack.supervisor.ports import LOOPBACK
from switchyard.runtime.core.aws import create_aws_client

SEND_EMAIL_PATH = "/v2/email/outbound-emails"
SLOW_S = 1.0

SesFault = Literal[
    "none",
    "throttle",  # 429, not accepted
    "reject",  # 400 MessageRejected, not accepted
    "pause",  # 400 SendingPausedException, not accepted
    "error",  # 500, not accepted
    "drop",  # connection closed, not accepted
    "hang",  # no answer, not accepted
    "slow",  # accepted after a second
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
    """The accepted emails, the planned faults, and where requests are forwarded to.

    A request takes up to `latency_s` seconds on the way in, and again on the way back.
    """

    upstream: str | None = None
    latency_s: float = 0.0
    taken: list[AcceptedEmail] = field(default_factory=list)
    faults: deque[SesFault] = field(default_factory=deque)

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
        if fault == "slow":
            await asyncio.sleep(SLOW_S)
        if fault.endswith("_after") or fault in {"none", "slow"}:
            await self._simulate_latency()
            rejected = await self._accept_email(request, body)
            await self._simulate_latency()
            if rejected is not None:
                return rejected
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
                return JSONResponse({"MessageId": self.taken[-1].message_id})
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

    async def _accept_email(self, request: Request, body: bytes) -> Response | None:
        asked = json.loads(body)
        raw = base64.b64decode(asked["Content"]["Raw"]["Data"], validate=True)
        message_id = f"{uuid.uuid4()}"
        if self.upstream is not None:
            headers = {name: value for name, value in request.headers.items() if name != "host"}
            async with (
                aiohttp.ClientSession(auto_decompress=False) as session,
                session.post(self.upstream + SEND_EMAIL_PATH, data=body, headers=headers) as answer,
            ):
                text = await answer.read()
                if answer.status != 200:
                    code = {"x-amzn-errortype": answer.headers.get("x-amzn-errortype", "")}
                    return Response(text, answer.status, code, "application/json")
                message_id = json.loads(text)["MessageId"]
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
        return None


async def verify_domains(upstream: str, domains: Iterable[str]) -> None:
    """Make domains verified identities of an emulator's SES; may be repeated."""
    async with create_aws_client(
        get_session(), "sesv2", region="us-east-1", endpoint_url=upstream,
        aws_access_key_id="local", aws_secret_access_key="local",  # noqa: S106 - an emulator checks neither
    ) as ses:  # fmt: skip
        for domain in domains:
            with suppress(ses.exceptions.AlreadyExistsException):
                await ses.create_email_identity(EmailIdentity=domain)


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m switchyard.devstack.simulators.ses", description="SES v2's SendEmail, with its bytes."
    )
    parser.add_argument("--host", default=LOOPBACK, help="address to listen on (default: loopback only)")
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    parser.add_argument("--upstream", help="base URL of the emulator that gets each request, too")
    parser.add_argument("--domain", action="append", default=[], help="domain that the emulator's SES may send from")
    given = parser.parse_args()
    if given.upstream and given.domain:
        asyncio.run(verify_domains(given.upstream, given.domain))
    uvicorn.run(
        SesSimulator(given.upstream), host=given.host, port=given.port, lifespan="off", ws="none", http="h11",
        log_level="warning", access_log=False, timeout_graceful_shutdown=1,
    )  # fmt: skip


if __name__ == "__main__":
    main()
