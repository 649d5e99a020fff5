"""Long-term memory: what a user says of themselves is kept; what fits a question is recalled.

Only the question's own text is read here, the one that intake sealed: no finding, no document, no answer and no output
of a model reaches this module.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from contracts.documents.memory import RememberedFact
from contracts.events.memory import MemoryItem, MemoryKept
from contracts.events.router import RecallMemory
from services.memory.embeddings import Embedder
from services.memory.facts import FactStore, KeptFact, NewFact, Provenance
from services.memory.retrieval import MOST, choose, expand
from services.memory.statements import Statement, may_ask_to_remember, read_statements
from services.memory.store import SealedText
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.core.errors import TaskError
from switchyard.runtime.core.task import Task
from switchyard.runtime.database.session_scope import SessionScope
from switchyard.runtime.storage.artefacts import Artefacts

log = structlog.get_logger(__name__)
AskModel = Callable[[Task[RecallMemory], str], Awaitable[Statement | None]]
"""What a model reads in a question; raises `TaskError` if none answers."""


@dataclass(frozen=True)
class LongTermLimits:
    """How long each kind is kept, and how many of a user."""

    slot_ttl: timedelta = timedelta(days=90)
    note_ttl: timedelta = timedelta(days=30)
    quarantine_ttl: timedelta = timedelta(days=14)
    most: int = 200

    def ttl(self, statement: Statement) -> timedelta:
        """How long a statement is kept unless it is said again."""
        if statement.quarantined:
            return self.quarantine_ttl
        return self.slot_ttl if statement.kind == "slot" else self.note_ttl


@dataclass(frozen=True)
class LongTermMemory:
    """What long-term memory depends on."""

    facts: FactStore
    artefacts: Artefacts
    embedder: Embedder
    ask_model: AskModel
    clock: Clock
    limits: LongTermLimits = LongTermLimits()

    async def recall(self, task: Task[RecallMemory], question: str) -> tuple[list[RememberedFact], list[MemoryItem]]:
        """What the user said of themselves that this question may need: slots, and notes that fit; at most five."""
        scope = SessionScope.of(task.envelope)
        vector = await self.embedder.embed(question)
        kept = [each for each in await self.facts.facts(scope, vector, self.clock.now()) if not each.quarantined]
        slots, notes = ([each for each in kept if each.kind == kind] for kind in ("slot", "note"))
        texts = [await self._open(task, each) for each in notes]
        ranks = await self.facts.rank_texts(texts, expand(question)) if texts else {}
        places = choose([each.similarity for each in notes], ranks, MOST - min(MOST, len(slots)))
        chosen = [(each, await self._open(task, each)) for each in slots[:MOST]] + [
            (notes[place], texts[place]) for place in places
        ]
        if chosen:
            await self.facts.count_uses(scope, [each.fact_id for each, _ in chosen])
        return (
            [
                RememberedFact(about=each.predicate, value=text, at=timestamp(each.kept_at), case=each.case_id)
                for each, text in chosen
            ],
            [MemoryItem(id=each.fact_id, kind=each.kind, digest=each.digest) for each, _ in chosen],
        )

    async def learn(self, task: Task[RecallMemory], question: str) -> MemoryKept | None:
        """Keep what the user says of themselves in this question; None if that is nothing new. Never fails a task but
        for an unreachable database."""
        statements = read_statements(question)
        if not statements and may_ask_to_remember(question):
            try:
                read = await self.ask_model(task, question)
            except TaskError as error:
                log.warning("memory.model_not_asked", code=error.code)
                read = None
            statements = [read] if read is not None else []
        return await self._keep(task, statements) if statements else None

    async def _keep(self, task: Task[RecallMemory], statements: Sequence[Statement]) -> MemoryKept | None:
        envelope, now = task.envelope, self.clock.now()
        scope = SessionScope.of(envelope)
        source = Provenance(envelope.case_id, envelope.event_id, envelope.digest)
        known = await self.facts.facts(scope, None, now)
        items, apart = [], []
        for place, statement in enumerate(statements):
            expires_at = now + self.limits.ttl(statement)
            same = [each for each in known if (each.kind, each.predicate) == (statement.kind, statement.predicate)]
            again = [each for each in same if await self._open(task, each) == statement.value]
            if again and again[0].fact_id != source.fact_id(place):
                await self.facts.confirm(scope, again[0].fact_id, expires_at)
                continue
            artefact, stored = await self.artefacts.store(
                envelope.case_id, "memory", statement.value.encode(), media_type="text/plain",
                subject=envelope.principal.subject, scope=scope,
            )  # fmt: skip
            vector = None if statement.quarantined else await self.embedder.embed(statement.value)
            new = NewFact(
                source.fact_id(place), statement, SealedText(artefact, stored), vector, self.embedder.name, expires_at
            )
            await self.facts.keep(scope, new, source, now, most=self.limits.most)
            items.append(MemoryItem(id=new.fact_id, kind=statement.kind, digest=source.digest))
            apart += [new.fact_id] if statement.quarantined else []
        return MemoryKept(items=tuple(items), quarantined=tuple(apart)) if items else None

    async def _open(self, task: Task[RecallMemory], fact: KeptFact) -> str:
        sealed = fact.sealed
        data = await self.artefacts.read_earlier(task, sealed.artefact, sealed.place, sealed_in=fact.case_id)
        return data.decode(errors="replace")
