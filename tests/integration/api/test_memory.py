"""Users see what is remembered of them, and have it forgotten: their own only."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx2
import pytest

from contracts.events.memory import MemoryItem, MemoryRecalled
from contracts.events.upstream import CaseSubmitted
from contracts.submissions import open_question
from services.memory.facts import FactStore, NewFact, Provenance
from services.memory.forgetting import Forgetter
from services.memory.statements import Statement
from services.memory.store import KeptTurn, MemoryStore, SealedText
from switchyard.case_manager.forgetting import ForgettingIntake
from switchyard.case_manager.keyed_hash import KeyedHash
from switchyard.ingress.grants import Grants
from switchyard.ingress.handler import Ingress, respond
from switchyard.ingress.principal import PrincipalSigner
from switchyard.ingress.settings import GrantPolicy
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.fields import Json
from switchyard.protocol.signed_events import check_signatures
from switchyard.protocol.signing import derive_public_key, source_keys
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.crypto.vault import LocalKeyWrapper, Vault
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.session_scope import SessionScope
from switchyard_client import NotFound
from tests.integration.api.conftest import (
    PERSON_KEY,
    VAULT_KEY,
    AskedCase,
    Serve,
    Served,
    asked_by,
    person_called,
    token,
)
from tests.integration.conftest import PoolFor
from tests.integration.infrastructure import Owner
from tests.operators import OPERATORS

pytestmark = pytest.mark.integration
SOURCE, SEED = "upstream.ingress", b"\x08" * 32
KEYS = source_keys({SOURCE: {"k1": bytes.fromhex(derive_public_key(SEED))}})
DIGEST = "ab" * 32


@dataclass
class Receipts:
    """What would be on the bus."""

    events: list[Json] = field(default_factory=list)

    async def publish(self, events: list[Json]) -> None:
        self.events += events

    def of(self, *ids: str) -> list[Json]:
        return [event for event in self.events if set(ids) & {item["id"] for item in event["payload"]["items"]}]


@dataclass
class Remembered:
    """Memory as it is kept of users, and the way of a request: the ingress, the case manager, memory."""

    facts: FactStore
    turns: MemoryStore
    intake: ForgettingIntake
    forgetter: Forgetter
    receipts: Receipts
    sent: list[Json] = field(default_factory=list)

    async def state(self, case: AskedCase, value: str, *, kind: Any = "slot", days: float = 90, **of: Any) -> str:
        """The user said something of themselves in this case; its id."""
        first = case.events[0]
        artefact, place = case.person.artefact(case.case_id, "memory", value.encode())
        now = datetime.now(UTC)
        source = Provenance(case.case_id, first["event_id"], DIGEST)
        fact_id = str(uuid.uuid4())
        statement = Statement(kind, of.get("about", "preferred_units"), value, "stated")
        new = NewFact(fact_id, statement, SealedText(artefact, place), None, "none", now + timedelta(days=days))
        await self.facts.keep(scope_of(case), new, source, now, most=200)
        return fact_id

    async def keep_turn(self, case: AskedCase, question: str, answer: str) -> str:
        """The case was answered; its id."""
        asked = case.person.artefact(case.case_id, "question", question.encode())
        answered = case.person.artefact(case.case_id, "answer", json.dumps({"text": answer}).encode())
        turn = KeptTurn(case.case_id, 1, SealedText(*asked), SealedText(*answered), DIGEST, datetime.now(UTC))
        await self.turns.keep_turn(scope_of(case), turn, expires_after=timedelta(days=7), most=20)
        return case.case_id

    def ingress(self, event: Mapping[str, Any]) -> Any:
        """The function behind the API; what it puts on the bus is in `sent`."""
        signer = PrincipalSigner(source=SOURCE, fetch=lambda: json.dumps({"k1": SEED.hex()}), now=time.time)
        nobody: Any = None
        grants = Grants(nobody, GrantPolicy(agents=(), audiences=(), role_scope="r:", hours=1), SOURCE)
        put = lambda _, detail: self.sent.append(detail)  # noqa: E731
        return respond(event, Ingress(self.tokens, signer, grants, put, SOURCE, CaseSubmitted, open_question))

    tokens: Any = None

    async def deliver(self) -> None:
        """What was posted arrives, and memory does it and reports it."""
        for detail in self.sent:
            await self.intake.receive(SOURCE, detail)
        self.sent.clear()
        while await self.forgetter.tick():
            pass


def scope_of(case: AskedCase) -> SessionScope:
    first = case.events[0]
    return SessionScope(tenant=first["tenant"], user=case.person.subject, session=first["session_id"])


@pytest.fixture
async def remembered(pool_for: PoolFor) -> Remembered:
    memory, manager, clock = await pool_for("memory"), await pool_for("case_manager"), SystemClock()
    vault = Vault(manager, LocalKeyWrapper(VAULT_KEY), clock, use="intake")
    database = Database(manager, "the work database")
    intake = ForgettingIntake(database, clock, KeyedHash(PERSON_KEY), KEYS, vault)
    receipts = Receipts()
    publisher: Any = receipts
    forgetter = Forgetter(memory, OPERATORS, publisher, clock)
    return Remembered(FactStore(memory), MemoryStore(memory), intake, forgetter, receipts)


@pytest.fixture
async def api(serve: Serve, remembered: Remembered) -> Any:
    async with serve(function=remembered.ingress) as served:
        remembered.tokens = served.api.callers.tokens
        yield served


def named(tenant: str = "acme") -> tuple[str, AskedCase]:
    """A new user, and a case that they have just asked."""
    name = f"ana-{uuid.uuid4()}"
    return name, asked_by(person_called(name, tenant))


async def test_user_sees_what_is_remembered_with_its_source_date_expiry_and_kind(
    api: Served, remembered: Remembered
) -> None:
    name, case = named()
    units = await remembered.state(case, "metric")
    note = await remembered.state(case, "the pump of pad 4 is rented", kind="note", about="note", days=30)
    turn = await remembered.keep_turn(case, "How many wells?", "Seven.")
    later = asked_by(case.person)
    used = MemoryRecalled(used=(MemoryItem(id=units, kind="slot", digest=DIGEST),))
    later.then(used, "memory", state={"step": "memory"})
    await api.log.record(*case.events, *later.events)
    async with api.client(name) as client:
        listed = {each.id: each for each in await client.memories()}
        assert {key: (each.kind, each.about, each.case_id) for key, each in listed.items()} == {
            units: ("slot", "preferred_units", case.case_id),
            note: ("note", "note", case.case_id),
            turn: ("turn", case.events[0]["session_id"], case.case_id),
        }
        assert all(each.text is None and each.kept_at < each.expires_at for each in listed.values())
        opened = {each.id: each for each in await client.export_memory()}
    assert (opened[units].text, opened[note].text) == ("metric", "the pump of pad 4 is rented")
    assert opened[turn].parts == {"question": "How many wells?", "answer": "Seven."}
    assert [each.case_id for each in opened[units].used_in] == [later.case_id]
    assert opened[note].used_in == ()


async def test_forgotten_memory_is_read_back_nowhere_and_leaves_a_receipt(api: Served, remembered: Remembered) -> None:
    name, case = named()
    units, note = await remembered.state(case, "metric"), await remembered.state(case, "x", kind="note", about="note")
    await api.log.record(*case.events)
    async with api.client(name) as client:
        request = await client.forget(units, key="portal-1")
        assert await client.forget(units, key="portal-1") == request
        await remembered.deliver()
        done = await client.forgetting(request)
        assert (done.status, done.scope, done.memory, done.forgotten) == ("done", "one", units, 1)
        assert [each.id for each in await client.memories()] == [note]
        with pytest.raises(NotFound):
            await client.memory(units)
    [receipt] = remembered.receipts.of(units)
    payload = receipt["payload"]
    assert (payload["reason"], payload["target"]) == ("user_request", case.person.subject)
    assert [item["id"] for item in payload["items"]] == [units]
    assert name not in json.dumps(receipt)
    assert list(check_signatures(receipt, None, {"sources": KEYS})) == []


async def test_everything_is_forgotten_and_nobody_elses(api: Served, remembered: Remembered, owner: Owner) -> None:
    name, case = named()
    ids = {await remembered.state(case, "metric"), await remembered.state(case, "x", kind="note", about="note")}
    ids.add(await remembered.keep_turn(case, "How many?", "Seven."))
    _, other = named()
    others = await remembered.state(other, "field")
    async with api.client(name) as client:
        request = await client.forget_everything()
        await remembered.deliver()
        assert (await client.forgetting(request)).forgotten == 3
        assert await client.memories() == ()
    [receipt] = remembered.receipts.of(*ids)
    assert {item["id"] for item in receipt["payload"]["items"]} == ids
    assert list(check_signatures(receipt, None, {"sources": KEYS})) == []
    assert await owner.fetchval("select count(*) from memory.fact where fact_id = $1", uuid.UUID(others)) == 1


async def test_memory_of_another_user_or_tenant_is_neither_seen_nor_forgotten(
    api: Served, remembered: Remembered, owner: Owner
) -> None:
    name, case = named()
    units = await remembered.state(case, "metric")
    namesake = asked_by(person_called(name, "other-tenant"))
    theirs = await remembered.state(namesake, "field")
    mallory, asked = named()
    await remembered.state(asked, "metric")
    bodies = set()
    async with api.client(mallory) as client, httpx2.AsyncClient(base_url=api.url) as http:
        for memory_id in (units, theirs, str(uuid.uuid4()), "x", "%00", "' or 1=1"):
            answer = await http.get(f"/v1/memory/{memory_id}", headers={"Authorization": f"Bearer {token(mallory)}"})
            assert answer.status_code == 404, memory_id
            bodies.add(answer.text)
        requests = [await client.forget(units), await client.forget(theirs), await client.forget_everything()]
        await remembered.deliver()
        assert [(await client.forgetting(each)).forgotten for each in requests] == [0, 0, 1]
    assert len(bodies) == 1
    async with api.client(name) as client:
        assert [each.id for each in await client.memories()] == [units]
        for each in requests:
            with pytest.raises(NotFound):
                await client.forgetting(each)
    assert remembered.receipts.of(units, theirs) == []
    assert await owner.fetchval("select count(*) from memory.fact where fact_id = $1", uuid.UUID(theirs)) == 1


async def test_memory_of_a_case_that_a_system_submitted_is_listed_and_not_opened(
    api: Served, remembered: Remembered
) -> None:
    name, case = named()
    of_a_system = asked_by(case.person, source="upstream.cli")
    units = await remembered.state(of_a_system, "metric")
    async with api.client(name) as client:
        [listed] = await client.memories()
        found = await client.memory(units)
    assert (listed.id, found.text) == (units, None)
    assert "cannot be opened" in str(found.problem)


async def test_expired_memory_is_not_listed_before_it_is_deleted(api: Served, remembered: Remembered) -> None:
    name, case = named()
    units = await remembered.state(case, "metric", days=-1)
    async with api.client(name) as client:
        assert await client.memories() == ()
        with pytest.raises(NotFound):
            await client.memory(units)


async def posted(api: Served, remembered: Remembered, name: str, memory_id: str) -> Json:
    async with api.client(name) as client:
        await client.forget(memory_id)
    return remembered.sent.pop()


@pytest.mark.parametrize(
    "change",
    ["user", "tenant", "memory", "scope", "request", "nonce", "signature", "source", "key", "time"],
)
async def test_forged_or_altered_request_is_refused_and_forgets_nothing(
    api: Served, remembered: Remembered, owner: Owner, change: str
) -> None:
    name, case = named()
    mallory, asked = named()
    units, own = await remembered.state(case, "metric"), await remembered.state(asked, "field")
    detail = await posted(api, remembered, mallory, own)
    fields: dict[str, Json] = {
        "user": {"user_id": name},
        "tenant": {"tenant": "other-tenant"},
        "memory": {"memory": units, "user_id": name},
        "scope": {"scope": "all", "memory": None},
        "request": {"request_id": str(uuid.uuid4())},
        "nonce": {"nonce": "0" * 64},
        "signature": {"signature": "0" * 128},
        "source": {"signed_by": "upstream.other/k1"},
        "key": {"signed_by": f"{SOURCE}/k2"},
        "time": {"signed_at": "2026-01-01T00:00:00.000000Z"},
    }
    with pytest.raises(InvalidEvent) as refused:
        await remembered.intake.receive(SOURCE, detail | fields[change])
    assert refused.value.reason is RejectionReason.FORGED
    await remembered.deliver()
    left = await owner.fetchval(
        "select count(*) from memory.fact where fact_id = any($1::uuid[])", [uuid.UUID(units), uuid.UUID(own)]
    )
    assert left == 2


async def test_request_of_another_source_or_of_yesterday_is_refused(api: Served, remembered: Remembered) -> None:
    name, case = named()
    detail = await posted(api, remembered, name, await remembered.state(case, "metric"))
    with pytest.raises(InvalidEvent, match="another source"):
        await remembered.intake.receive("upstream.other", detail)

    class Tomorrow(SystemClock):
        def now(self) -> datetime:
            return datetime.now(UTC) + timedelta(hours=2)

    late = ForgettingIntake(
        remembered.intake.database, Tomorrow(), remembered.intake.persons, KEYS, remembered.intake.intake
    )
    with pytest.raises(InvalidEvent, match="last hour"):
        await late.receive(SOURCE, detail)


async def test_repeated_delivery_forgets_once_and_not_what_came_later(api: Served, remembered: Remembered) -> None:
    name, case = named()
    await remembered.state(case, "metric")
    async with api.client(name) as client:
        request = await client.forget_everything()
        detail = remembered.sent[0]
        await remembered.deliver()
        later = await remembered.state(asked_by(case.person), "field")
        remembered.sent.append(detail)
        await remembered.deliver()
        assert [each.id for each in await client.memories()] == [later]
        assert (await client.forgetting(request)).forgotten == 1


async def test_person_has_a_thousand_requests_and_those_done_long_ago_make_room(
    api: Served, remembered: Remembered, owner: Owner
) -> None:
    name, case = named()
    units, subject = await remembered.state(case, "metric"), uuid.UUID(case.person.subject)
    await owner.execute(
        "insert into case_manager.forgetting (request_id, tenant, subject, scope, person, signed_by, signed_at,"
        " signature, done_at, forgotten) select gen_random_uuid(), 'acme', $1, 'all', '', '', now(), '', now(), 0"
        " from generate_series(1, 1000)",
        subject,
    )
    async with api.client(name) as client:
        await client.forget(units)
        await remembered.deliver()
        assert [each.id for each in await client.memories()] == [units]
        await owner.execute(
            "update case_manager.forgetting set done_at = now() - interval '31 days' where subject = $1", subject
        )
        request = await client.forget(units)
        await remembered.deliver()
        assert (await client.forgetting(request)).forgotten == 1
    assert await owner.fetchval("select count(*) from case_manager.forgetting where subject = $1", subject) == 1


async def test_request_of_somebody_who_is_not_known_is_dropped(api: Served, remembered: Remembered) -> None:
    await posted(api, remembered, "nobody", str(uuid.uuid4()))
    async with api.client(f"nobody-{uuid.uuid4()}") as client:
        assert await client.memories() == ()


@pytest.mark.parametrize(
    "statement",
    [
        "select * from memory.fact",
        "select * from memory.remembered($1)",
        "select * from memory.sealed_memory($1)",
        "select memory.forget_person($1, 'erased', null)",
        "select * from case_manager.forgetting",
        "select * from case_manager.open_forgettings(1)",
        "select case_manager.end_forgetting($1, $1, 0)",
    ],
)
async def test_login_of_the_api_sees_and_forgets_nobody_by_pseudonym(served: Served, statement: str) -> None:
    arguments = (uuid.uuid4(),) if "$1" in statement else ()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await served.work.fetch(statement, *arguments)


async def test_login_of_the_api_sees_no_memory_without_the_name_of_the_person(
    served: Served, remembered: Remembered
) -> None:
    _, case = named()
    units = await remembered.state(case, "metric")
    listing = "select * from memory.remembered_by($1, $2)"
    sealed = "select * from memory.sealed_memory_by($1, $2, $3)"
    assert await served.work.fetch(listing, "acme", case.person.fingerprint)
    assert await served.work.fetch(sealed, "acme", case.person.fingerprint, uuid.UUID(units))
    for tenant, person in (("acme", b"\0" * 32), ("other-tenant", case.person.fingerprint)):
        assert not await served.work.fetch(listing, tenant, person)
        assert not await served.work.fetch(sealed, tenant, person, uuid.UUID(units))
