"""Measures memory on a stack of its own: what is recalled, and what must never be. No agent but memory runs."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import sqrt
from typing import Any

import asyncpg
import yaml

from contracts.cards import MEMORY_CARD
from contracts.catalogue import CATALOGUE
from contracts.documents.memory import MemoryDocument, RememberedFact
from contracts.events.memory import MemoryRecalled
from contracts.submissions import SUBMISSIONS
from evals.cases import DATASETS, hash_dataset
from services.memory.embeddings import TitanEmbedder
from services.memory.facts import FactStore
from services.memory.forgetting import Forgetter
from services.memory.handlers import MemoryLimits, recall_memory
from services.memory.long_term import LongTermMemory
from services.memory.statements import Statement
from services.memory.store import MemoryStore
from services.orchestrator.graph import CURRENT, ROUTING_TABLE
from switchyard.case_manager.intake import CaseIntake
from switchyard.case_manager.keyed_hash import KeyedHash
from switchyard.case_manager.openings import CaseOpener
from switchyard.case_manager.store import CaseStore
from switchyard.devstack.stack.home import temporary_home
from switchyard.devstack.stack.local_stack import model_simulator_service, prepare_infrastructure
from switchyard.devstack.stack.postgres import WORK_DATABASE
from switchyard.devstack.stack.stack import EmbeddedStack
from switchyard.evals.results import CaseResult, EvalRun, SuiteResult, share
from switchyard.protocol.derive import stamp_event
from switchyard.protocol.fields import Json
from switchyard.protocol.received import read_event
from switchyard.protocol.signing import OperatorKeys
from switchyard.router.routing import route
from switchyard.router.state_seal import StateSeal
from switchyard.runtime.core.clock import SystemClock, timestamp
from switchyard.runtime.core.task import Task
from switchyard.runtime.crypto.vault import LocalKeyWrapper, Vault
from switchyard.runtime.database.connections import connect_pool
from switchyard.runtime.messaging.inbox import ClaimGranted, Inbox
from switchyard.runtime.storage.artefacts import Artefacts
from switchyard.runtime.storage.objects import ObjectStore

TENANT, SOURCE, KEY = "evals", "upstream.evals", bytes(32)
READER, EXPIRING = "reader", "expiring"
"""The user of the probes, who has every note; and one whose notes expire."""

LEAST_RECALL = 0.85
Z_95 = 1.96


class EvalClock(SystemClock):
    """The machine's clock, set forward by the suite."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        """The wall clock."""
        return super().now() + self.ahead


class NoStore(ObjectStore):
    """Nothing of the suite is over 16 KB."""

    async def put(self, key: str, data: bytes, *, content_type: str) -> str:
        raise NotImplementedError

    async def get(self, uri: str) -> bytes:
        raise NotImplementedError


class Unpublished:
    """The suite has no bus: events are in the outbox."""

    async def publish(self, events: Any) -> None:
        """Nothing."""


async def no_model(_: Task[Any], question: str) -> Statement | None:
    """The rules alone are measured."""
    return None


@dataclass
class MemoryBench:
    """Intake, router and memory, as one process, on real tables."""

    intake: CaseIntake
    inbox: Inbox
    artefacts: Artefacts
    store: MemoryStore
    long_term: LongTermMemory
    clock: EvalClock
    forgetter: Forgetter
    owner: asyncpg.Connection[Any]
    seal: StateSeal = field(default_factory=lambda: StateSeal({"evals": KEY}))
    subjects: dict[str, str] = field(default_factory=dict)

    async def ask(self, user: str, question: str) -> tuple[MemoryRecalled, tuple[RememberedFact, ...]]:
        """One turn of a session of its own: what memory answers, and what it says of the user."""
        ids = {"idempotency_key": uuid.uuid4().hex, "session_id": uuid.uuid4().hex}
        detail = {"tenant": TENANT, "user_id": user, "question": question, **ids}
        (opened,) = await self.intake.open_case(SOURCE, detail, "CaseSubmitted")
        self.subjects[user] = opened["principal"]["subject"]
        commands = route(read_event(CATALOGUE, _body(opened), node="router"), self.seal, ROUTING_TABLE)
        command = stamp_event(commands[-1], occurred_at=timestamp(self.clock.now()), trace={})
        received: Any = read_event(CATALOGUE, _body(command), node=MEMORY_CARD.name)
        claim = await self.inbox.claim(received.envelope)
        if type(claim) is not ClaimGranted:
            raise LookupError(f"the command was not claimed: {claim}")
        task: Task[Any] = Task(received, attempt=1, deadline=None)
        limits = MemoryLimits(wait_s=0.0, tenants=(TENANT,))
        result = await recall_memory(
            task, artefacts=self.artefacts, store=self.store, clock=self.clock, limits=limits, long_term=self.long_term
        )
        answer = result.payload
        if not isinstance(answer, MemoryRecalled) or answer.memory is None:
            return MemoryRecalled(), ()
        envelope = task.envelope
        sealed = task.written_refs[answer.memory.sha256]
        data = await self.artefacts.read_earlier(task, answer.memory, sealed, sealed_in=envelope.case_id)
        return answer, MemoryDocument.model_validate_json(data).user


def _body(event: Json) -> str:
    source = f"switchyard.{event['node_from']}"
    return json.dumps({"source": source, "detail-type": event["type"], "detail": event, "id": event["event_id"]})


@asynccontextmanager
async def open_bench() -> AsyncIterator[MemoryBench]:
    """A database, the model simulator, and memory on them."""
    from aiobotocore.session import get_session

    async with AsyncExitStack() as stack:
        home = stack.enter_context(temporary_home())
        simulator = model_simulator_service()
        embedded = EmbeddedStack(home, services=lambda _: [], prepare=prepare_infrastructure, simulator=simulator)
        await embedded.__aenter__()
        stack.push_async_callback(embedded.close)
        endpoints, clock, wrapper = embedded.endpoints, EvalClock(), LocalKeyWrapper(KEY)

        async def pool(role: str) -> Any:
            made = await connect_pool(endpoints.role_dsn(WORK_DATABASE, role), schema=role)
            stack.push_async_callback(made.close)
            return made

        cases, memory = await pool("case_manager"), await pool(MEMORY_CARD.name)
        vault, mac = Vault(cases, wrapper, clock, use="intake"), KeyedHash(KEY)
        sealing = Artefacts(NoStore(), vault, decrypts=())
        opener = CaseOpener(CATALOGUE, vault, sealing, clock, mac, mac, timedelta(hours=1), CURRENT, (TENANT,))
        case_store, inbox = CaseStore(cases), Inbox(memory, lease_s=600)
        stack.push_async_callback(case_store.close_store)
        stack.push_async_callback(inbox.close)
        bedrock = await stack.enter_async_context(
            get_session().create_client(
                "bedrock-runtime", region_name="us-east-1", endpoint_url=endpoints.simulator,
                aws_access_key_id="evals", aws_secret_access_key="evals",  # noqa: S106 - the simulator takes any
            )
        )  # fmt: skip
        artefacts = Artefacts(NoStore(), Vault(memory, wrapper, clock), decrypts=MEMORY_CARD.decrypts)
        embedder = TitanEmbedder(bedrock, "amazon.titan-embed-text-v2:0")
        long_term = LongTermMemory(FactStore(memory), artefacts, embedder, no_model, clock)
        owner = await asyncpg.connect(embedded.exports["SWITCHYARD_WORK_DB_OWNER_URL"])
        stack.push_async_callback(owner.close)
        yield MemoryBench(
            CaseIntake(SUBMISSIONS, case_store, opener, clock, mac),
            inbox,
            artefacts,
            MemoryStore(memory),
            long_term,
            clock,
            Forgetter(memory, OperatorKeys({}), Unpublished(), clock),
            owner,
        )


async def run_memory(run: EvalRun) -> SuiteResult:
    """Every probe, and every gate: stale leak, read-back after forgetting and expiry, cross-user, planted, orders."""
    data = yaml.safe_load((DATASETS / "memory.yaml").read_text(encoding="utf-8"))
    violations: list[str] = []
    results: list[CaseResult] = []
    tokens: list[int] = []
    async with open_bench() as bench:
        for note in (note for group in data["users"] for note in group["notes"]):
            await bench.ask(READER, f"Remember that {note}.")
        for number, group in enumerate(data["users"], start=1):
            for place, probe in enumerate(group["probes"], start=1):
                wanted = group["notes"][probe["note"] - 1]
                answer, found = await bench.ask(READER, probe["question"])
                tokens.append(answer.tokens)
                hit = wanted in [each.value for each in found]
                why = "" if hit else f"not recalled: {wanted}"
                results.append(CaseResult(id=f"probe-{number}-{place}", passes=int(hit), runs=1, note=why))
                if (await bench.ask("stranger", probe["question"]))[1]:
                    violations.append(f"cross-user: probe-{number}-{place}")
        for number, slot in enumerate(data["slots"], start=1):
            for sentence in slot["say"]:
                await bench.ask(f"slot-{number}", sentence)
            values = str([each.value for each in (await bench.ask(f"slot-{number}", "What now?"))[1]])
            if slot["stale"] in values or slot["current"] not in values:
                violations.append(f"stale leak: {slot['stale']}")
        for kind in ("planted", "orders"):
            for number, text in enumerate(data[kind], start=1):
                await bench.ask(f"{kind}-{number}", text)
                if (await bench.ask(f"{kind}-{number}", text.replace("Remember", "Recall")))[1]:
                    violations.append(f"{kind} text persists: {text}")
        violations += await _forgetting(bench, data["users"])
    recall = share(sum(each.passes for each in results), len(results))
    low, high = wilson(sum(each.passes for each in results), len(results))
    if recall < LEAST_RECALL:
        violations.append(f"recall at 5 is {recall:.1%}, below {LEAST_RECALL:.0%}")
    rates = {"recall_at_5": recall, "recall_at_5_low": low, "recall_at_5_high": high}
    return SuiteResult(
        suite="memory",
        model=run.model,
        deterministic=True,
        prompt_version="",
        dataset_version=hash_dataset("memory"),
        rates=rates,
        counts={"tokens_per_answer": round(sum(tokens) / len(tokens), 1)},
        violations=tuple(violations),
        cases=tuple(results),
    )


async def _forgetting(bench: MemoryBench, groups: list[Any]) -> list[str]:
    """What is readable anywhere of a user who was forgotten, and of notes that have expired."""
    found = []
    notes = [note for group in groups for note in group["notes"]]
    probes = [probe["question"] for group in groups for probe in group["probes"]]
    for note in notes[:5]:
        await bench.ask(EXPIRING, f"Remember that {note}.")
    forgotten = uuid.UUID(bench.subjects[READER])
    await bench.forgetter.pool.fetchval("select forget_person($1, 'erased', null)", forgotten)
    while await bench.forgetter.tick():
        pass
    read_back = [question for question in probes if (await bench.ask(READER, question))[1]]
    found += [f"read back after forgetting: {question}" for question in read_back]
    if await bench.owner.fetch("select * from memory.sealed_memory($1)", forgotten):
        found.append("read back after forgetting: export")
    if await bench.owner.fetchval("select count(*) from memory.fact where user_id = $1", str(forgotten)):
        found.append("read back after forgetting: table")
    events = str([row["event"] for row in await bench.owner.fetch("select event from memory.outbox")])
    found += [f"content on the bus: {note}" for note in notes if note in events]
    bench.clock.ahead = timedelta(days=31)
    stale = [question for question in probes if (await bench.ask(EXPIRING, question))[1]]
    return found + [f"stale leak: an expired note answers {question}" for question in stale]


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (E. B. Wilson, 1927)."""
    rate, spread = hits / of, Z_95**2 / of
    middle, half = rate + spread / 2, Z_95 * sqrt(rate * (1 - rate) / of + spread / (4 * of))
    return round((middle - half) / (1 + spread), 4), round((middle + half) / (1 + spread), 4)
