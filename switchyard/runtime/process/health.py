"""A health endpoint per process: alive while the loop turns, ready while it consumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web

HealthCheck = Callable[[], bool]


class Health:
    """Serves `/health/live` and `/health/ready`; ready is 503 with the names of the checks that fail."""

    def __init__(self, checks: Mapping[str, HealthCheck]) -> None:
        self._checks = checks
        self._runner: web.AppRunner | None = None
        self.port = 0

    def failing(self) -> list[str]:
        """The names of the checks that fail now."""
        return [name for name, check in self._checks.items() if not check()]

    async def start(self, host: str, port: int) -> None:
        """Listen; `port` 0 picks a free one, which `self.port` then holds."""
        app = web.Application()
        app.router.add_get("/health/live", self._live)
        app.router.add_get("/health/ready", self._ready)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _live(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def _ready(self, _: web.Request) -> web.Response:
        failing = self.failing()
        body = {"status": "unready" if failing else "ready", "failing": failing}
        return web.json_response(body, status=503 if failing else 200)
