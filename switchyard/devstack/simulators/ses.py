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
import sys
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, get_args

import aiohttp
from aiohttp import web

from switchyard.devstack.supervisor.ports import LOOPBACK

SEND_EMAIL_PATH = "/v2/email/outbound-emails"
MAX_REQUEST_BYTES = 40 * 2**20
HANG_S = 3_600.0
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
    "error_after": (500, "InternalServiceError"),
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

    async def send(self, request: web.Request) -> web.StreamResponse:
        """SendEmail."""
        fault: SesFault = self.faults.popleft() if self.faults else "none"
        body = await request.read()
        if fault == "drop":
            return _cut(request, reset=False)
        if fault == "hang":
            await asyncio.sleep(HANG_S)
        if fault == "slow":
            await asyncio.sleep(SLOW_S)
        if fault in _ERROR_RESPONSES and not fault.endswith("_after"):
            return _error(*_ERROR_RESPONSES[fault])
        await self._simulate_latency()
        refused = await self._accept_email(request, body)
        await self._simulate_latency()
        if refused is not None:
            return refused
        match fault:
            case "error_after":
                return _error(*_ERROR_RESPONSES[fault])
            case "drop_after" | "reset_after":
                return _cut(request, reset=fault == "reset_after")
            case "hang_after":
                await asyncio.sleep(HANG_S)
        return web.json_response({"MessageId": self.taken[-1].message_id})

    async def list(self, _: web.Request) -> web.Response:
        """All accepted emails, in order."""
        return web.json_response({"emails": [asdict(each) for each in self.taken]})

    async def plan(self, request: web.Request) -> web.Response:
        """Plan faults; an unknown one is refused by name."""
        faults = (await request.json())["faults"]
        unknown = sorted(set(faults) - set(get_args(SesFault)))
        if unknown:
            return web.json_response({"error": f"no such fault: {', '.join(unknown)}"}, status=400)
        self.faults.extend(faults)
        return web.json_response({"planned": list(self.faults)})

    async def health(self, _: web.Request) -> web.Response:
        """It serves."""
        return web.json_response({"status": "ready"})

    async def _simulate_latency(self) -> None:
        await asyncio.sleep(self.latency_s * random.random())  # noqa: S311

    async def _accept_email(self, request: web.Request, body: bytes) -> web.Response | None:
        asked = json.loads(body)
        raw = base64.b64decode(asked["Content"]["Raw"]["Data"], validate=True)
        message_id = f"{uuid.uuid4()}"
        if self.upstream is not None:
            headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
            async with (
                aiohttp.ClientSession(auto_decompress=False) as session,
                session.post(self.upstream + SEND_EMAIL_PATH, data=body, headers=headers) as answer,
            ):
                text = await answer.read()
                if answer.status != 200:
                    code = {"x-amzn-errortype": answer.headers.get("x-amzn-errortype", "")}
                    return web.Response(status=answer.status, body=text, headers=code, content_type="application/json")
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


def build_ses_app(ses_simulator: SesSimulator) -> web.Application:
    """The application."""
    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    app.router.add_post(SEND_EMAIL_PATH, ses_simulator.send)
    app.router.add_get("/outbox", ses_simulator.list)
    app.router.add_post("/outbox/faults", ses_simulator.plan)
    app.router.add_get("/outbox/health", ses_simulator.health)
    return app


def _cut(request: web.Request, *, reset: bool) -> web.Response:
    if request.transport is not None:
        if reset:
            request.transport.abort()
        else:
            request.transport.close()
    return web.Response()


def _error(status: int, code: str) -> web.Response:
    return web.json_response({"message": code}, status=status, headers={"x-amzn-errortype": code})


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m switchyard.devstack.simulators.ses", description="SES v2's SendEmail, with its bytes."
    )
    parser.add_argument("--host", default=LOOPBACK, help="address to listen on (default: loopback only)")
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    parser.add_argument("--upstream", help="base URL of the emulator that gets each request, too")
    given = parser.parse_args(arguments)
    web.run_app(
        build_ses_app(SesSimulator(upstream=given.upstream)),
        host=given.host, port=given.port, print=None, access_log=None,
        shutdown_timeout=1.0,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
