"""Composition root of memory."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any

from contracts.cards import MEMORY_CARD
from contracts.catalogue import CATALOGUE
from contracts.events.router import KeepTurn, RecallMemory
from services.memory.embeddings import open_titan
from services.memory.facts import FactStore
from services.memory.forgetting import FORGETTING_INTERVAL_S, Forgetter
from services.memory.handlers import MemoryLimits, keep_turn, recall_memory
from services.memory.learner import KEEP_PROMPT, build_keep_agent, read_choice
from services.memory.long_term import LongTermLimits, LongTermMemory
from services.memory.settings import MemorySettings
from services.memory.statements import Statement
from services.memory.store import MemoryStore
from services.models import build_agent_model
from switchyard.protocol.fields import Contract
from switchyard.runtime.core.task import Task, TaskHandler
from switchyard.runtime.models.clients import ModelSettings, model_budget
from switchyard.runtime.process.agent import AgentProcess, serve_agent
from switchyard.runtime.storage.artefacts import Artefacts

MEMORY_MARGIN_MS = 1_000
"""Part of the task's time limit that is reserved for recalling: what a model reads comes second."""


async def run() -> None:
    """Serve memory."""
    settings, models = MemorySettings(), ModelSettings()
    limits = MemoryLimits(
        turn_ttl=timedelta(hours=settings.memory_turn_hours),
        session_turns=settings.memory_session_turns,
        tokens=settings.memory_tokens,
        wait_s=settings.memory_wait_ms / 1_000,
        tenants=settings.memory_tenants,
    )
    kinds = LongTermLimits(
        slot_ttl=timedelta(hours=settings.memory_slot_hours),
        note_ttl=timedelta(hours=settings.memory_note_hours),
        quarantine_ttl=timedelta(hours=settings.memory_quarantine_hours),
        most=settings.memory_user_facts,
    )

    async def build(process: AgentProcess, artefacts: Artefacts) -> dict[type[Contract], TaskHandler]:
        pool = await process.connect(settings.work_db_url, schema=MEMORY_CARD.name)
        model = build_agent_model("memory", models, policy_version="memory/1")
        await process.connect_model(model)
        process.configure(prompts={"keep": KEEP_PROMPT}, limits=asdict(limits), kinds=asdict(kinds))
        agent = build_keep_agent(model)

        async def ask_model(task: Task[RecallMemory], question: str) -> Statement | None:
            async with model_budget(model, task, margin_ms=MEMORY_MARGIN_MS):
                return await read_choice(agent, question)

        long_term = LongTermMemory(
            FactStore(pool),
            artefacts,
            await open_titan(process, models, settings.memory_embedding_id),
            ask_model,
            process.clock,
            kinds,
        )
        forgetter = Forgetter(pool, settings.operator_keys(), process.outbox, process.clock, process.bundle.digest)
        process.run_periodically("forgetting", forgetter.tick, process.breaker, every_s=FORGETTING_INTERVAL_S)
        bound: dict[str, Any] = {"store": MemoryStore(pool), "clock": process.clock, "limits": limits}
        return {
            RecallMemory: partial(recall_memory, artefacts=artefacts, long_term=long_term, **bound),
            KeepTurn: partial(keep_turn, **bound),
        }

    await serve_agent(CATALOGUE, MEMORY_CARD, settings, build)
