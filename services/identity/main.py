"""Composition root of the identity service."""

from __future__ import annotations

from contracts.catalogue import CATALOGUE
from switchyard.processes.identity import run_identity


async def run() -> None:
    """Serve the identity service."""
    await run_identity(CATALOGUE)
