"""The ingress as an HTTP process of the local stack: `python -m services.ingress.server --host H --port P`.

A thin adapter: each request becomes the event that API Gateway would send, and the function answers it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.ingress.handler import Ingress, build_ingress, respond
from services.ingress.settings import IngressSettings
from services.ingress.submission import MAX_BODY_BYTES
from switchyard.devstack.simulators.serving import serve_simulator
from switchyard.runtime.core.clock import ShiftedClock, SystemClock

CLOCK_VARIABLE = "SWITCHYARD_CLOCK_FILE"
PREFIX = "/v1"


def build_app(ingress: Ingress) -> Starlette:
    """The function's routes, under `/v1`, and `/health/ready`. What is no route is the function's to answer, too."""
    answer = partial(_answer, partial(respond, ingress=ingress))
    return Starlette(
        routes=[
            Route("/health/ready", lambda _: JSONResponse({"status": "ready"})),
            Route(f"{PREFIX}/{{route:path}}", answer, methods=["DELETE", "GET", "PATCH", "POST", "PUT"]),
        ]
    )


async def _answer(function: Callable[[dict[str, Any]], dict[str, Any]], request: Request) -> Response:
    body = b""
    async for chunk in request.stream():
        # One byte more than is accepted is enough for the function to say so.
        if len(body := body + chunk) > MAX_BODY_BYTES:
            body = body[: MAX_BODY_BYTES + 1]
            break
    event = {
        "httpMethod": request.method,
        "path": request.url.path,
        "headers": dict(request.headers),
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }
    answer = await asyncio.to_thread(function, event)
    return Response(answer["body"], answer["statusCode"], answer["headers"])


def main() -> None:
    """Serve until terminated. Statements are dated by the stack's clock, tokens by the true time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    file = os.environ.get(CLOCK_VARIABLE)
    clock = ShiftedClock(Path(file)) if file else SystemClock()
    app = build_app(build_ingress(IngressSettings.read(), now=lambda: clock.now().timestamp()))
    serve_simulator(app, host=arguments.host, port=arguments.port, name="ingress")


if __name__ == "__main__":
    main()
