"""The web server of a process (Starlette on uvicorn): its health endpoint, and its public pages if it has any."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

log = structlog.get_logger(__name__)
WEB_STOP_TIMEOUT_S = 5
STARTED_PATH = "/health/started"
WATCH_INTERVAL_S = 5.0
UNREADY_ALARM_S = 120.0

HealthCheck = Callable[[], bool]


class Readiness:
    """The checks of a process. Each change of what fails is a log line, with an alarm once it lasted."""

    def __init__(self, checks: Mapping[str, HealthCheck], *, now: Callable[[], float] = time.monotonic) -> None:
        self._checks = checks
        self._now = now
        self._failing: list[str] | None = None
        self._since = now()
        self._alarmed = False
        self.started = False
        """Whether it was ever ready."""

    def look(self) -> list[str]:
        """The names of the checks that fail now."""
        failing = [name for name, check in self._checks.items() if not _holds(name, check)]
        if not failing:
            self.started = True
            if self._failing != []:
                log.info("process.is_ready")
            self._since, self._alarmed = self._now(), False
        elif failing != self._failing:
            log.warning("process.unready", failing=failing)
        if failing and not self._alarmed and self._now() - self._since >= UNREADY_ALARM_S:
            self._alarmed = True
            log.error("process.unready", alarm="unready", failing=failing, for_s=round(self._now() - self._since))
        self._failing = failing
        return failing

    async def watch(self) -> None:
        """Look every few seconds until cancelled, so that a change is logged without a request."""
        while True:
            self.look()
            await asyncio.sleep(WATCH_INTERVAL_S)


def _holds(name: str, check: HealthCheck) -> bool:
    try:
        return check()
    except Exception:
        log.exception("process.check_raised", check=name)
        return False


def build_health_app(readiness: Readiness) -> Starlette:
    """`/health/live`; `/health/ready`, which answers 503 with the names of the checks that fail; `/health/started`,
    which does so until the first time that none fails."""

    async def live(_: Request) -> JSONResponse:
        return JSONResponse({"status": "live"})

    async def ready(request: Request) -> JSONResponse:
        failing = readiness.look()
        serves = readiness.started if request.url.path == STARTED_PATH else not failing
        body = {"status": "unready" if failing else "ready", "failing": failing}
        return JSONResponse(body, status_code=200 if serves else 503)

    return Starlette(routes=[Route("/health/live", live), Route("/health/ready", ready), Route(STARTED_PATH, ready)])


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals to the process."""
        yield


@dataclass(frozen=True)
class MutualTls:
    """Files of a server that only clients with a certificate of its own authority may call."""

    ca: Path
    certificate: Path
    key: Path


class _MutualTlsProtocol(H11Protocol):
    """Puts the common name of the client's certificate into each request's scope."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        certificate = transport.get_extra_info("ssl_object").getpeercert() or {}
        names = [value for part in certificate.get("subject", ()) for name, value in part if name == "commonName"]
        app = self.app

        async def with_peer(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, _PEER: names[0] if len(names) == 1 else ""}, receive, send)

        self.app = with_peer


_PEER = "switchyard.peer"


def peer_name(scope: Scope) -> str:
    """The common name of the caller's certificate; empty without mutual TLS."""
    return str(scope.get(_PEER, ""))


class WebServer:
    """Serves an application from its construction until `stop`. Requests are not logged: a link is a credential."""

    def __init__(self, app: ASGIApp, host: str, port: int, *, tls: MutualTls | None = None) -> None:
        """Listen; port 0 picks a free port, which `self.port` then holds. Raises `OSError` for a port in use."""
        listener = socket.create_server((host, port), backlog=512)
        self.port: int = listener.getsockname()[1]
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            http="h11" if tls is None else _MutualTlsProtocol,
            **_tls_options(tls),
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=WEB_STOP_TIMEOUT_S,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def run(self) -> None:
        """Serve until cancelled; answers in progress are finished."""
        log.info("web.ready", port=self.port)
        try:
            await asyncio.shield(self._serving)
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Finish the answers in progress and stop listening."""
        self._server.should_exit = True
        await self._serving


async def serve_web_app(app: ASGIApp, host: str, port: int, *, tls: MutualTls | None = None) -> None:
    """Serve an application until cancelled."""
    await WebServer(app, host, port, tls=tls).run()


def _tls_options(tls: MutualTls | None) -> dict[str, Any]:
    if tls is None:
        return {}
    return {
        "ssl_certfile": tls.certificate,
        "ssl_keyfile": tls.key,
        "ssl_ca_certs": str(tls.ca),
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
    }
