"""Imports that cost a second and that a start need not wait for."""

from __future__ import annotations

import asyncio
from importlib import import_module

DELAY_S = 5.0
"""After the process is ready: the processes that start beside it need the CPU first."""


async def import_later(*modules: str, delay_s: float = DELAY_S) -> None:
    """Import these in a thread, for `ServiceProcess.run_in_background`. A task that needs one sooner imports it."""
    await asyncio.sleep(delay_s)
    for module in modules:
        await asyncio.to_thread(import_module, module)
    await asyncio.Event().wait()
