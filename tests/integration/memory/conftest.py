"""A session of one person, as the case manager opens its turns and the router's commands reach memory."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from contracts.cards import MEMORY_CARD
from contracts.documents.memory import MemoryDocument
from contracts.events.memory import MemoryKept, MemoryRecalled
from contracts.events.router import KeepTurn, RecallMemory
from services.memory.facts import FactStore
from services.memory.handlers import MemoryLimits, keep_turn, recall_memory
from services.memory.long_term import AskModel, LongTermLimits, LongTermMemory
from services.memory.statements import Statement
from services.memory.store import MemoryStore
from switchyard.devstack.simulators.models.embeddings import embed_text
from switchyard.devstack.stack.provision import OBJECT_BUCKET
from switchyard.protocol.derive import stamp_event
from switchyard.protocol.fields import Contract, Json, StorageRef, TaskBudget
from switchyard.protocol.received import ReceivedEvent
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.core.task import Task
from switchyard.runtime.crypto.vault import LocalKeyWrapper, Vault
from switchyard.runtime.storage.artefacts import Artefacts
from switchyard.runtime.storage.objects import S3Objects
from tests.integration.cloud import Cloud
from tests.integration.conftest import PoolFor
from tests.integration.events import bus_body, envelope_of, fresh_id, opened
from tests.integration.infrastructure import Infrastructure
from tests.integration.known_cases import Person, known_cases
from tests.integration.manual_clock import ManualClock
from tests.reference import derive_event, read_event

NODE = MEMORY_CARD.name


@dataclass
class Memory:
    """Memory's handlers on real tables."""

    store: MemoryStore
    artefacts: Artefacts
    clock: Clock
    limits: MemoryLimits = field(default_factory=lambda: MemoryLimits(wait_s=0.0))
    long_term: LongTermMemory | None = None
    reports: list[MemoryKept] = field(default_factory=list)
    pool: Any = None

    async def keep(self, task: Task[Any]) -> MemoryKept:
        return await keep_turn(task, store=self.store, clock=self.clock, limits=self.limits)

    async def recall(self, task: Task[Any]) -> tuple[MemoryRecalled, MemoryDocument]:
        """The answer, and what a later agent of the case reads."""
        result = await recall_memory(
            task,
            artefacts=self.artefacts,
            store=self.store,
            clock=self.clock,
            limits=self.limits,
            long_term=self.long_term,
        )
        answer = result.payload
        assert isinstance(answer, MemoryRecalled)
        self.reports += [report for report in result.reports if isinstance(report, MemoryKept)]
        if answer.memory is None:
            return answer, MemoryDocument()
        places = {**task.storage_refs, **task.written_refs}
        assert answer.memory.sha256 in places
        read = Task(task.received, attempt=1, deadline=None, written_refs={})
        object.__setattr__(read, "received", ReceivedEvent(
            task.envelope.model_copy(update={"storage_refs": places}), task.payload, task.received.raw
        ))  # fmt: skip
        return answer, MemoryDocument.model_validate_json(await self.artefacts.read(read, answer.memory))


@dataclass
class Conversation:
    """The turns of one session of one person."""

    person: Person
    session: str = field(default_factory=lambda: f"session-{fresh_id()}")
    tenant: str = "acme"
    cases: list[str] = field(default_factory=list)
    remember: bool = False

    def open_turn(self, question: str) -> Json:
        """The next turn's first event; the case manager knows it."""
        case_id = fresh_id()
        asked, place = self.person.artefact(case_id, "question", question.encode())
        first = opened(case_id, subject=self.person.subject, known=False)
        payload = first["payload"] | {
            "question": asked.model_dump(mode="json", exclude_none=True), "turn": len(self.cases) + 1,
        }  # fmt: skip
        if self.remember:
            payload["remember"] = True
        if self.cases:
            payload["previous_case"] = self.cases[-1]
        self.cases.append(case_id)
        event = first | {
            "payload": payload,
            "session_id": self.session,
            "tenant": self.tenant,
            "principal": first["principal"] | {"tenant": self.tenant},
            "playbook_version": "assist/4",
            "storage_refs": {asked.sha256: place.model_dump(exclude_none=True)},
        }
        cases = known_cases()
        assert cases is not None
        cases.add_case(event)
        return event

    def task(self, first: Json, command: Contract, **written: StorageRef) -> Task[Any]:
        """A command of the router's to memory, as memory has claimed it."""
        event = derive_event(
            envelope_of(first),
            command,
            node_from="router",
            node_to=NODE,
            state={"step": "memory", "node": NODE},
            state_seal="local.1.0123456789abcdef",
            storage_refs={**envelope_of(first).storage_refs, **written},
            budget=TaskBudget(attempts=1),
        )
        cases = known_cases()
        assert cases is not None
        cases.add_task(NODE, first["case_id"])
        received = read_event(bus_body(stamp_event(event, occurred_at=first["occurred_at"], trace={})), node=NODE)
        return Task(received, attempt=1, deadline=None)

    def answered(self, first: Json, answer: str, **fields: Any) -> Task[Any]:
        """The turn has been answered."""
        document = json.dumps({"text": answer, "citations": []} | fields).encode()
        artefact, place = self.person.artefact(first["case_id"], "answer", document)
        asked = RecallMemory.model_validate_json(json.dumps(first["payload"])).question
        command = KeepTurn(question=asked, answer=artefact, turn=first["payload"]["turn"])
        return self.task(first, command, **{artefact.sha256: place})

    def recall(self, first: Json) -> Task[Any]:
        """The turn begins with what was said before."""
        return self.task(first, RecallMemory.model_validate_json(json.dumps(first["payload"])))


class SimulatedTitan:
    """The vectors of the model simulator, without the wire."""

    name = "simulated-titan/256"

    async def embed(self, text: str) -> list[float] | None:
        found: list[float] = json.loads(embed_text(json.dumps({"inputText": text}).encode()))["embedding"]
        return found


async def nothing_read(_: Task[Any], question: str) -> Statement | None:
    """A model that finds nothing to remember."""
    return None


MakeMemory = Callable[..., Awaitable[Memory]]


@pytest.fixture
async def make_memory(pool_for: PoolFor, cloud: Cloud, clock: ManualClock) -> MakeMemory:
    async def make(*, kinds: Mapping[str, Any] | None = None, asked: AskModel = nothing_read, **limits: Any) -> Memory:
        pool = await pool_for(NODE)
        vault = Vault(pool, LocalKeyWrapper(bytes(32)), clock)
        artefacts = Artefacts(S3Objects(cloud.s3, OBJECT_BUCKET), vault, decrypts=MEMORY_CARD.decrypts)
        facts = FactStore(pool)
        long_term = LongTermMemory(facts, artefacts, SimulatedTitan(), asked, clock, LongTermLimits(**kinds or {}))
        wanted: dict[str, Any] = {"wait_s": 0.0, "tenants": ("acme",)}
        settings = MemoryLimits(**(wanted | limits))
        return Memory(MemoryStore(pool), artefacts, clock, settings, long_term, pool=pool)

    return make


@pytest.fixture
async def memory(make_memory: MakeMemory) -> Memory:
    return await make_memory()


@pytest.fixture
def conversation(infrastructure: Infrastructure) -> Conversation:
    return Conversation(Person(bytes(32)))
