"""Composition root of the API."""

from __future__ import annotations

from switchyard.processes.api import serve_api


async def run() -> None:
    """Serve the API of the application that SWITCHYARD_APP names."""
    await serve_api()
