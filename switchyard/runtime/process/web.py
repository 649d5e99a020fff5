"""A web application beside a process's consumers: it ends when the process does, after its last answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager

import structlog
import uvicorn
from starlette.applications import Starlette

log = structlog.get_logger(__name__)
WEB_STOP_TIMEOUT_S = 5


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals to the process."""
        yield


async def serve_web_app(app: Starlette, host: str, port: int) -> None:
    """Serve until cancelled. Requests are not logged: a link is a key."""
    listener = socket.create_server((host, port), backlog=512)
    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        http="h11",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=WEB_STOP_TIMEOUT_S,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    log.info("web.ready", port=listener.getsockname()[1])
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        await serving
