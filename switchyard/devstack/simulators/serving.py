"""Serves a simulator over HTTP."""

from __future__ import annotations

import signal
import socket
import sys

import uvicorn
from starlette.types import ASGIApp

KEEP_ALIVE_S = 600
"""Longer than clients keep idle connections: one that the server closes under a client costs a call without retries."""


def serve_simulator(app: ASGIApp, *, host: str, port: int, name: str) -> None:
    """Serve until SIGTERM or Ctrl-C; responses that wait are cut after a second. Prints one line once connections are
    accepted. Raises OSError if the port is in use."""
    with socket.create_server((host, port), backlog=512) as listener:
        config = uvicorn.Config(
            app, lifespan="off", ws="none", http="h11", log_level="error", access_log=False, server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=1,
        )  # fmt: skip
        server = uvicorn.Server(config)
        # uvicorn raises the signal again at its end; by default the process would end with the signal's status.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, server.handle_exit)
        sys.stdout.write(f"{name} ready on http://{host}:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        server.run(sockets=[listener])
