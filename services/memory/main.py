"""Composition root of memory."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from contracts.cards import MEMORY_CARD
from contracts.catalogue import CATALOGUE
from contracts.events.router import KeepTurn, RecallMemory
from services.memory.handlers import MemoryLimits, keep_turn, recall_memory
from services.memory.settings import MemorySettings
from services.memory.store import MemoryStore
from switchyard.protocol.fields import Contract
from switchyard.runtime.core.task import TaskHandler
from switchyard.runtime.process.process import ServiceProcess, serve_agent
from switchyard.runtime.storage.artefacts import Artefacts


async def run() -> None:
    """Serve memory."""
    settings = MemorySettings()
    limits = MemoryLimits(
        turn_ttl=timedelta(days=settings.memory_turn_days),
        session_turns=settings.memory_session_turns,
        tokens=settings.memory_tokens,
        wait_s=settings.memory_wait_ms / 1_000,
    )

    async def build(process: ServiceProcess, artefacts: Artefacts) -> dict[type[Contract], TaskHandler]:
        pool = await process.connect(settings.work_db_url, schema=MEMORY_CARD.name)
        store = MemoryStore(pool)
        bound: dict[str, Any] = {"store": store, "clock": process.clock, "limits": limits}
        return {
            RecallMemory: partial(recall_memory, artefacts=artefacts, **bound),
            KeepTurn: partial(keep_turn, **bound),
        }

    await serve_agent(CATALOGUE, MEMORY_CARD.name, settings, build, decrypts=MEMORY_CARD.decrypts)
