"""Composition root of the API."""

from __future__ import annotations

from switchyard.app.application import load_app
from switchyard.processes.api import run_api


async def run() -> None:
    """Serve the API of the application that SWITCHYARD_APP names."""
    await run_api(load_app())
