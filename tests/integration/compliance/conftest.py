"""The gate's three handlers over PostgreSQL, the emulator and the model simulator, with time in the test's hands."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from contracts.documents.accounts import AccountFacts, Purpose
from contracts.documents.reviews import Review
from contracts.events.router import CheckContact, CheckSending, ReviewEmail
from latency_failover import FailoverModel
from services.models import build_agent_model
from services.specialists.compliance.handlers import check_contact, check_sending, review_email
from services.specialists.compliance.judge import build_judge_agent
from services.specialists.compliance.pack import RulePack, newest_pack
from services.specialists.compliance.store import VerdictStore
from switchyard.devstack.stack.provision import OBJECT_BUCKET
from switchyard.protocol.fields import Artefact, Contract, Json, StorageRef
from switchyard.protocol.received import ReceivedEvent
from switchyard.runtime.core.task import Task, TaskResult
from switchyard.runtime.crypto.vault import LocalKeyWrapper, Vault
from switchyard.runtime.models.clients import ModelSettings
from switchyard.runtime.storage.artefacts import Artefacts
from switchyard.runtime.storage.objects import S3Objects
from tests.integration.cloud import Cloud
from tests.integration.conftest import PoolFor
from tests.integration.events import bus_body, command, fresh_id, opened, rewritten, scope_of
from tests.integration.known_cases import Person, known_cases
from tests.integration.manual_clock import ManualClock
from tests.integration.simulator.running import Running, start
from tests.reference import read_event
from tests.unit.compliance.emails import NOW, Email, facts

NODE = "compliance"
SCRIPTS = Path(__file__).parents[3] / "demo" / "data" / "simulator" / "compliance.yaml"


@pytest.fixture(scope="module")
def judges() -> Iterator[Running]:
    """The simulator with the judgements of the demo, and with some that must not count."""
    own = Path(__file__).with_name("judge.yaml")
    started, url = start("--script", str(own), "--script", str(SCRIPTS))
    with started:
        yield Running(url)
        started.terminate()


@dataclass
class Gate:
    """The handlers of one process; `clock` and `packs` may be changed between calls."""

    artefacts: Artefacts
    verdicts: VerdictStore
    clock: ManualClock
    model: FailoverModel
    person: Person
    judges: Running
    packs: tuple[RulePack, ...] = field(default_factory=lambda: (newest_pack(),))

    async def contact(self, case: Case) -> TaskResult:
        """Check the contact."""
        account = await self._sealed(case, "account", case.facts.model_dump_json(exclude_none=True).encode())
        task = self.task(case, CheckContact(account=account, purpose=case.purpose))
        return await check_contact(task, **self._parts)

    async def review(self, case: Case) -> TaskResult:
        """Review the case's email."""
        return await review_email(await self.review_task(case), **self._parts, **self._judge)

    async def review_again(self, task: Task[ReviewEmail]) -> TaskResult:
        """Another attempt at the same command."""
        return await review_email(task, **self._parts, **self._judge)

    async def review_task(self, case: Case, *, content_sha256: str | None = None) -> Task[ReviewEmail]:
        """The command to review."""
        account, email = await self.sealed(case)
        payload = ReviewEmail(
            account=account, purpose=case.purpose, email=email, content_sha256=content_sha256 or case.content_sha256
        )
        return self.task(case, payload)

    async def sending(self, case: Case, **changes: Any) -> TaskResult:
        """Check the sending."""
        account, email = await self.sealed(case)
        payload: dict[str, Any] = {
            "account": account, "purpose": case.purpose, "email": email, "content_sha256": case.content_sha256,
            "pack": self.packs[-1].version,
        }  # fmt: skip
        task: Task[CheckSending] = self.task(case, CheckSending(**(payload | changes)))
        return await check_sending(task, **self._parts)

    async def sealed(self, case: Case) -> tuple[Artefact, Artefact]:
        """The case's account and email, sealed once."""
        account = await self._sealed(case, "account", case.facts.model_dump_json(exclude_none=True).encode())
        return account, await self._sealed(case, "email", case.raw)

    async def opened(self, reply: TaskResult, case: Case, task: Task[Any] | None = None) -> Review:
        """The sealed review of a reply."""
        artefact: Artefact = reply.payload.review  # type: ignore[attr-defined]
        written_refs = case.last.written_refs if task is None else task.written_refs
        scope = scope_of(self.opening(case))
        data = await self.artefacts.read_from(written_refs, case.case_id, artefact, scope=scope)
        return Review.model_validate_json(data)

    def task(self, case: Case, payload: Contract) -> Task[Any]:
        """A command of the case's, as the consumer hands it over."""
        self.know(case)
        asked = command(payload=payload, node=NODE, note=fresh_id(), time_limit_ms=30_000, opening=self.opening(case))
        event_id = case.event_id or fresh_id()
        places = {sha256: place.model_dump(exclude_none=True) for sha256, place in case.places.items()}
        asked = rewritten(asked, event_id=event_id, storage_refs=places)
        received = read_event(bus_body(asked), node=NODE)
        case.last = Task(ReceivedEvent(received.envelope, received.payload, received.raw), attempt=1, deadline=None)
        return case.last

    def opening(self, case: Case) -> Json:
        """The case's first event."""
        return opened(
            case.case_id, subject=self.person.subject, known=False, playbook_version="outbound_email/1", payload={}
        )

    def know(self, case: Case) -> None:
        """Let the case be one that intake opened, with a task of this agent."""
        cases = known_cases()
        assert cases is not None
        cases.add_case(self.opening(case))
        cases.add_task(NODE, case.case_id)

    async def _sealed(self, case: Case, name: str, data: bytes) -> Artefact:
        if name not in case.artefacts:
            self.know(case)
            artefact, place = await self.artefacts.store(
                case.case_id,
                name,
                data,
                media_type="application/octet-stream",
                subject=self.person.subject,
                scope=scope_of(self.opening(case)),
            )
            case.artefacts[name], case.places[artefact.sha256] = artefact, place
        return case.artefacts[name]

    @property
    def _parts(self) -> dict[str, Any]:
        return {
            "artefacts": self.artefacts, "verdicts": self.verdicts, "clock": self.clock, "packs": self.packs
        }  # fmt: skip

    @property
    def _judge(self) -> dict[str, Any]:
        return {"model": self.model, "agent": build_judge_agent(self.model), "opt_out_base": None}


@dataclass
class Case:
    """One case's account and email."""

    facts: AccountFacts = field(default_factory=facts)
    purpose: Purpose = "payment_reminder"
    email: Email | None = None
    case_id: str = field(default_factory=fresh_id)
    event_id: str | None = None
    """Of the next command; a fresh one if None."""
    artefacts: dict[str, Artefact] = field(default_factory=dict)
    places: dict[str, StorageRef] = field(default_factory=dict)
    last: Task[Any] = None  # type: ignore[assignment]

    @property
    def raw(self) -> bytes:
        """The email's bytes: the same each time."""
        raw = (self.email or Email(self.facts, self.purpose)).build()
        boundary = raw.split(b'boundary="', 1)[1].split(b'"', 1)[0]
        return raw.replace(boundary, b"=_boundary")

    @property
    def content_sha256(self) -> str:
        """Their hash."""
        return hashlib.sha256(self.raw).hexdigest()


@pytest.fixture
async def gate(pool_for: PoolFor, cloud: Cloud, judges: Running) -> Gate:
    """A gate at noon in Ohio."""
    judges.send("POST", "/sim/reset")
    clock = ManualClock(NOW.astimezone(UTC))
    own = await pool_for(NODE)
    vault = Vault(own, LocalKeyWrapper(bytes(32)), clock)
    settings = ModelSettings(
        bedrock_endpoint_url=judges.url, openai_base_url=f"{judges.url}/v1", openai_api_key=SecretStr("local")
    )
    return Gate(
        artefacts=Artefacts(S3Objects(cloud.s3, OBJECT_BUCKET), vault, decrypts=("account", "email", "review")),
        verdicts=VerdictStore(own),
        clock=clock,
        model=build_agent_model("compliance", settings, policy_version="compliance/1"),
        person=Person(bytes(32)),
        judges=judges,
    )


def at(text: str) -> ManualClock:
    """A clock that shows one moment."""
    return ManualClock(datetime.fromisoformat(text))
