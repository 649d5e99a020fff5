"""Composition root of the console."""

from __future__ import annotations

from switchyard.app.application import load_app
from switchyard.processes.console import run_console


async def run() -> None:
    """Serve the console of the application that SWITCHYARD_APP names."""
    await run_console(load_app())
