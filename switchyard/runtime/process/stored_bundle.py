"""Storing an agent's configuration bundle, which a start need not wait for."""

from __future__ import annotations

import asyncio

from switchyard.protocol.bundles import AgentBundle
from switchyard.runtime.process.late_imports import DELAY_S
from switchyard.runtime.storage.objects import ObjectStore


async def store_bundle(objects: ObjectStore, bundle: AgentBundle, *, delay_s: float = DELAY_S) -> None:
    """Store it once, for `ServiceProcess.run_in_background`, which tries again if S3 is away."""
    await asyncio.sleep(delay_s)
    await objects.put(bundle.key, bundle.serialize(), content_type="application/json")
    await asyncio.Event().wait()
