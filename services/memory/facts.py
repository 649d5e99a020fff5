"""What users said of themselves, across sessions: kept, replaced, recalled and evicted, in the scope of a task."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.memory.embeddings import vector_text
from services.memory.statements import Statement
from services.memory.store import SealedText
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.database.session_scope import SessionScope

_SQL = load_queries(__file__)


@dataclass(frozen=True)
class KeptFact:
    """A row, still sealed. `similarity` is its cosine with the question."""

    fact_id: str
    kind: Literal["slot", "note"]
    predicate: str
    case_id: str
    digest: str
    sealed: SealedText
    quarantined: bool
    kept_at: datetime
    similarity: float


@dataclass(frozen=True)
class Provenance:
    """Where a statement was made: the case, and the command that carried its question."""

    case_id: str
    event_id: str
    digest: str

    def fact_id(self, place: int) -> str:
        """The id of the statement at this place in the question: the same however often the command is handled."""
        return str(uuid.uuid5(uuid.UUID(self.event_id), f"fact/{place}"))


@dataclass(frozen=True)
class NewFact:
    """A statement to keep."""

    fact_id: str
    statement: Statement
    sealed: SealedText
    vector: list[float] | None
    embedder: str
    expires_at: datetime


class FactStore:
    """Every method raises `Unavailable` when the database cannot be reached."""

    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool, "the work database", _SQL)

    async def facts(self, scope: SessionScope, vector: list[float] | None, now: datetime) -> list[KeptFact]:
        """All of the user that have not expired, oldest first, with their similarity to a vector."""
        async with self._database.transaction(scope) as database:
            rows = await database.rows("facts", now, vector_text(vector))
        return [KeptFact(**{**dict(row), "sealed": SealedText.from_json(row["sealed"])}) for row in rows]

    async def rank_texts(self, texts: Sequence[str], question: str) -> dict[int, float]:
        """How well each text matches the question by words; the place of those that share none is left out."""
        rows = await self._database.rows("rank_texts", list(texts), question)
        return {row["place"] - 1: row["rank"] for row in rows}

    async def keep(self, scope: SessionScope, new: NewFact, source: Provenance, now: datetime, *, most: int) -> None:
        """Keep a statement, once. A slot's value replaces the one before; beyond `most`, the least used make room."""
        statement, vector = new.statement, new.vector
        async with self._database.transaction(scope) as database:
            if statement.kind == "slot":
                await database.execute("replace_slot", statement.predicate, new.fact_id)
            await database.execute(
                "keep_fact", new.fact_id, statement.kind, statement.predicate, source.case_id, source.event_id,
                source.digest, statement.trust, statement.quarantined, new.sealed.to_json(),
                None if vector is None else new.embedder, vector_text(vector), now, new.expires_at,
            )  # fmt: skip
            await database.execute("evict", most)

    async def confirm(self, scope: SessionScope, fact_id: str, expires_at: datetime) -> None:
        """The user has said it again: it expires later."""
        async with self._database.transaction(scope) as database:
            await database.execute("confirm", fact_id, expires_at)

    async def count_uses(self, scope: SessionScope, fact_ids: Sequence[str]) -> None:
        """They were recalled: of those that are recalled least, some make room first."""
        async with self._database.transaction(scope) as database:
            await database.execute("count_uses", list(fact_ids))
