"""Handles RecallMemory and KeepTurn."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase

import structlog

from contracts.documents.memory import MemoryDocument, RememberedFact, RememberedTurn
from contracts.events.memory import MemoryItem, MemoryKept, MemoryRecalled
from contracts.events.router import KeepTurn, RecallMemory
from services.memory.budget import shorten, tokens_of, tokens_of_fact
from services.memory.long_term import LongTermMemory
from services.memory.store import KeptTurn, MemoryStore, SealedText
from switchyard.protocol.fields import Artefact, Code
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.core.task import Task, TaskResult
from switchyard.runtime.crypto.vault import CASE_OVER
from switchyard.runtime.database.session_scope import SessionScope
from switchyard.runtime.storage.artefacts import Artefacts

log = structlog.get_logger(__name__)
LOOK_AGAIN_S = 0.1
NOT_KEPT = "not_kept"
"""The turn before is not in memory: it had no answer, or its record is late."""


@dataclass(frozen=True)
class MemoryLimits:
    """How much is remembered, and for how long."""

    turn_ttl: timedelta = timedelta(days=7)
    session_turns: int = 20
    tokens: int = 1_200
    wait_s: float = 1.5
    tenants: tuple[str, ...] = ()
    """Whose users are remembered across sessions, as shell patterns."""


async def keep_turn(task: Task[KeepTurn], *, store: MemoryStore, clock: Clock, limits: MemoryLimits) -> MemoryKept:
    """Keep an answered turn as it is sealed. Nothing is opened: the case may be over, and its key with it."""
    envelope, command = task.envelope, task.payload
    turn = KeptTurn(
        case_id=envelope.case_id,
        number=command.turn,
        question=_sealed(task, command.question),
        answer=_sealed(task, command.answer),
        digest=envelope.digest,
        kept_at=clock.now(),
    )
    await store.keep_turn(SessionScope.of(envelope), turn, expires_after=limits.turn_ttl, most=limits.session_turns)
    return MemoryKept(items=(MemoryItem(id=envelope.case_id, kind="turn", digest=envelope.digest),))


async def recall_memory(
    task: Task[RecallMemory],
    *,
    artefacts: Artefacts,
    store: MemoryStore,
    clock: Clock,
    limits: MemoryLimits,
    long_term: LongTermMemory | None = None,
) -> TaskResult:
    """Say what was said before. The record of the turn before may still be on its way: it is waited for, not long. A
    case that has gone on without memory, to its end, gets no memory any more.

    With the tenant's consent, what the user says of themselves in this question is kept first: it counts at once.
    """
    facts: list[RememberedFact] = []
    items: list[MemoryItem] = []
    kept: MemoryKept | None = None
    try:
        if long_term is not None and task.payload.remember and consents(limits, task.envelope.tenant):
            question = (await artefacts.read(task, task.payload.question)).decode(errors="replace")
            kept = await long_term.learn(task, question)
            facts, items = await long_term.recall(task, question)
        recalled = await _recall(task, facts, items, artefacts=artefacts, store=store, clock=clock, limits=limits)
    except PermanentTaskError as error:
        if error.code != CASE_OVER:
            raise
        recalled = MemoryRecalled(missing=CASE_OVER)
    return TaskResult(recalled, reports=() if kept is None else (kept,))


def consents(limits: MemoryLimits, tenant: str) -> bool:
    """Whether memory's own configuration has the tenant's consent: no command can give it."""
    return any(fnmatchcase(tenant, each) for each in limits.tenants)


async def _recall(
    task: Task[RecallMemory],
    facts: list[RememberedFact],
    items: list[MemoryItem],
    *,
    artefacts: Artefacts,
    store: MemoryStore,
    clock: Clock,
    limits: MemoryLimits,
) -> MemoryRecalled:
    command = task.payload
    turns = await _await_turns(task, store, clock, limits)
    quoted: list[RememberedTurn] = []
    used: list[MemoryItem] = []
    left = max(limits.tokens - sum(map(tokens_of_fact, facts)), limits.tokens // 2)
    budget = left
    for age, turn in enumerate(turns):
        shown = shorten(await _open_turn(task, artefacts, turn), age=age, tokens=left)
        if tokens_of(shown) > left:
            break
        left -= tokens_of(shown)
        quoted.insert(0, shown)
        used.insert(0, MemoryItem(id=turn.case_id, kind="turn", digest=turn.digest))
    newest = turns[0].case_id if quoted else None
    missing: Code | None = None if command.previous_case in (None, newest) else NOT_KEPT
    if not quoted and not facts:
        return MemoryRecalled(missing=missing)
    document = MemoryDocument(user=tuple(facts), turns=tuple(quoted)).model_dump_json().encode()
    memory = await artefacts.write(task, "memory", document, media_type="application/json")
    tokens = budget - left + sum(map(tokens_of_fact, facts))
    return MemoryRecalled(memory=memory, used=(*items, *used), tokens=tokens, missing=missing)


async def _await_turns(
    task: Task[RecallMemory], store: MemoryStore, clock: Clock, limits: MemoryLimits
) -> list[KeptTurn]:
    """The earlier turns of the session, newest first, once the turn before is among them or the wait is over."""
    scope, until = SessionScope.of(task.envelope), clock.monotonic() + limits.wait_s
    while True:
        turns = await store.turns_before(scope, task.payload.turn, clock.now())
        wanted = task.payload.previous_case
        if wanted is None or any(turn.case_id == wanted for turn in turns) or clock.monotonic() >= until:
            return turns
        await asyncio.sleep(LOOK_AGAIN_S)


async def _open_turn(task: Task[RecallMemory], artefacts: Artefacts, turn: KeptTurn) -> RememberedTurn:
    question, answer = [await _open(task, artefacts, turn, each) for each in (turn.question, turn.answer)]
    try:
        text = str(json.loads(answer)["text"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise PermanentTaskError("bad_answer", "an earlier answer is not a document with a text", "answer") from None
    return RememberedTurn(
        turn=turn.number,
        answered_at=timestamp(turn.kept_at),
        question=question.decode(errors="replace"),
        answer=text,
    )


async def _open(task: Task[RecallMemory], artefacts: Artefacts, turn: KeptTurn, text: SealedText) -> bytes:
    return await artefacts.read_earlier(task, text.artefact, text.place, sealed_in=turn.case_id)


def _sealed(task: Task[KeepTurn], artefact: Artefact) -> SealedText:
    place = task.storage_refs.get(artefact.sha256)
    if place is None or artefact.subject is None or artefact.subject != task.envelope.principal.subject:
        message = f"{artefact.name} is not sealed for the person that the case is about, or has no place"
        raise PermanentTaskError("not_sealed", message, artefact.name, "treat it as an incident")
    return SealedText(artefact, place)
