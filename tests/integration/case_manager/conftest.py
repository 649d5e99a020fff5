"""A case manager: its parts over the real database with the test's clock, and its process as deployed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from contracts.catalogue import CATALOGUE
from contracts.submissions import SUBMISSIONS
from faststream_sqs import SQSBroker
from services.app import APP
from services.orchestrator.__main__ import PROCESSES
from services.orchestrator.graph import CURRENT
from switchyard.case_manager.approvals import ApprovalService
from switchyard.case_manager.arrivals import ArrivalQueue, ArrivalTable
from switchyard.case_manager.consents import ConsentWaits
from switchyard.case_manager.gathers import Gathers
from switchyard.case_manager.intake import CaseIntake
from switchyard.case_manager.keyed_hash import KeyedHash
from switchyard.case_manager.lifecycle import CaseCloser
from switchyard.case_manager.openings import CaseOpener
from switchyard.case_manager.operator_commands import OperatorCommands
from switchyard.case_manager.pending_commands import PendingCommands
from switchyard.case_manager.principals import PrincipalKeys
from switchyard.case_manager.sessions import TurnRules
from switchyard.case_manager.store import CaseStore
from switchyard.case_manager.suppression import SuppressionList
from switchyard.case_manager.timers import Timers
from switchyard.devstack.stack.provision import OBJECT_BUCKET
from switchyard.protocol.derive import stamp_event
from switchyard.protocol.events.router import CloseCase
from switchyard.protocol.fields import Artefact, Contract, Json, StorageRef
from switchyard.protocol.four_eyes import FourEyes
from switchyard.protocol.operator_commands import CommandAction
from switchyard.protocol.received import ReceivedEvent
from switchyard.protocol.signing import OperatorKeys, derive_public_key
from switchyard.protocol.topology import BUS
from switchyard.runtime.core.clock import timestamp
from switchyard.runtime.crypto.vault import LocalKeyWrapper, Vault
from switchyard.runtime.database.connections import Database
from switchyard.runtime.messaging.outbox import Outbox
from switchyard.runtime.messaging.publisher import BusPublisher
from switchyard.runtime.storage.artefacts import Artefacts
from switchyard.runtime.storage.objects import S3Objects
from tests.integration.cloud import Cloud
from tests.integration.conftest import PoolFor
from tests.integration.events import bus_body, envelope_of, fresh_id
from tests.integration.infrastructure import Infrastructure, Owner
from tests.integration.manual_clock import ManualClock
from tests.integration.serving import queues_of, stop_serving
from tests.operators import OPERATOR_PUBLIC_KEYS, OPERATORS, hand_in, result_of, signed_command
from tests.reference import derive_event, read_event

CONSENT_SOURCE, CONSENT_SEED = "upstream.ingress", b"\x01" * 32
"""The source that signs grants, and its key."""

CONSENT_KEYS = PrincipalKeys({CONSENT_SOURCE: {"k1": bytes.fromhex(derive_public_key(CONSENT_SEED))}})
CONSENT_URL = "https://assistant.acme.example/consent"
SOURCE = "upstream.portal"
QUESTION = "Which wells did Zanzibar-4711 drill?"
USER = "ada.lovelace@example.com"
DEADLINE = timedelta(minutes=15)
MAC_KEY = "11" * 32
VAULT_KEY = "22" * 32
STATE_KEYS = json.dumps({"tests": "33" * 32})
TABLES = ", ".join(
    f"case_manager.{table}"
    for table in (
        "arrival", "rejection", "submission", "session", "case_ending", "timer", "control", "operator_command",
        "pending_command", "gather", "branch_end", "approval", "approval_grant", "approval_decision", "retry_request",
        "retry", "outbox",
        "feedback", "rejected_submission",
    )
)  # fmt: skip
SIGNING_KEYS = {"j.okafor": b"\x01" * 32, "c.ruiz": b"\x02" * 32}
APPROVERS = {name: bytes.fromhex(derive_public_key(key)) for name, key in SIGNING_KEYS.items()}
FOUR_EYES = FourEyes(APPROVERS, {"c.ruiz": ("c.ruiz@harbor.example",)})


@dataclass(frozen=True)
class CaseManager:
    """The parts of one case manager."""

    store: CaseStore
    vault: Vault
    artefacts: Artefacts
    intake: CaseIntake
    arrivals: ArrivalQueue
    closing: CaseCloser
    pending: PendingCommands
    approvals: ApprovalService
    consents: ConsentWaits
    gathers: Gathers
    suppression: SuppressionList
    timers: Timers
    outbox: Outbox

    async def close(self, event: ReceivedEvent[Contract]) -> Json:
        """The ending that follows from the router's word."""
        return (await self.closing.close_case(event))[0]

    async def submit(self, source: str = SOURCE, **changes: Any) -> Json:
        """The one event that follows from a submission."""
        [event] = await self.intake.open_case(source, submission(**changes), "CaseSubmitted")
        return event


async def halt(owner: Owner, playbook: str = "assist", kind: str = "halted_playbook") -> None:
    """Stop a playbook or a case, without the event that reports it."""
    sql = "insert into case_manager.control (kind, key, by, why) values ($1, $2, 'ada', 'a bad prompt')"
    await owner.execute(sql, kind, playbook)


async def resume(owner: Owner, playbook: str = "assist") -> None:
    """Lift the stop."""
    await owner.execute("delete from case_manager.control where key = $1", playbook)


async def operate(
    case_manager: CaseManager, owner: Owner, clock: ManualClock, action: CommandAction, target: str
) -> str | None:
    """Let an operator command, and the case manager decide; the result."""
    command = await hand_in(owner, signed_command(action, target, signed_at=timestamp(clock.now())))
    await case_manager.timers.tick()
    return await result_of(owner, command)


async def make_overdue(owner: Owner) -> None:
    """Let the relay find what is unpublished at once, as if it had been stored long ago."""
    await owner.execute("update case_manager.outbox set publish_after = now() where publish_after < 'infinity'")


StartCaseManager = Callable[[], Awaitable[CaseManager]]
Serve = Callable[..., Awaitable[None]]


def submission(**changes: Any) -> Json:
    """What an upstream sends, in a session of its own; `None` leaves a field out."""
    key = changes.get("idempotency_key", fresh_id())
    whole = {
        "tenant": "acme",
        "idempotency_key": key,
        "session_id": f"session-{key}",
        "playbook": "assist",
        "user_id": USER,
        "question": QUESTION,
        "agent": "text_to_sql",
    } | changes
    return {name: value for name, value in whole.items() if value is not None}


def close_case(opened: Json, outcome: str = "answered", *, answer: bool = False) -> ReceivedEvent[Contract]:
    """The router's word that a case is over, as the case manager receives it."""
    return read_event(bus_body(close_event(opened, outcome, answer=answer)), node="case_manager")


def close_event(opened: Json, outcome: str = "answered", *, answer: bool = False) -> Json:
    """The router's word that a case is over, as the bus delivers it."""
    found = Artefact(name="answer", sha256="a" * 64, size=1, media_type="text/plain") if answer else None
    payload = CloseCase.model_validate({"outcome": outcome, "code": outcome, "answer": found}, strict=False)
    places = {"a" * 64: StorageRef(inline="YQ=="), "b" * 64: StorageRef(inline="Yg==")} if answer else {}
    event = derive_event(envelope_of(opened), payload, node_from="router", storage_refs=places)
    return stamp_event(event, occurred_at=opened["occurred_at"], trace={})


@pytest.fixture(autouse=True)
async def empty_tables(owner: Owner) -> None:
    """Timers and parked cases of one test are nothing to the next."""
    await owner.execute(f"truncate {TABLES}")


@pytest.fixture
async def publisher(aws: None) -> AsyncIterator[BusPublisher]:
    """Puts events on the bus."""
    broker = SQSBroker(logger=None)
    publisher = BusPublisher(broker.event_publisher(bus=BUS))
    await broker.connect()
    yield publisher
    await broker.stop()


@pytest.fixture
async def start_case_manager(
    pool_for: PoolFor, cloud: Cloud, clock: ManualClock, publisher: BusPublisher
) -> AsyncIterator[StartCaseManager]:
    """Makes case managers; each has connections and caches of its own, as in another process."""
    case_managers: list[CaseManager] = []

    async def start() -> CaseManager:
        pool = await pool_for("case_manager")
        store = CaseStore(pool)
        vault = Vault(pool, LocalKeyWrapper(bytes.fromhex(VAULT_KEY)), clock, use="intake")
        artefacts = Artefacts(S3Objects(cloud.s3, OBJECT_BUCKET), vault, decrypts=())
        mac = KeyedHash(bytes.fromhex(MAC_KEY))
        intake = CaseIntake(
            SUBMISSIONS,
            store,
            CaseOpener(CATALOGUE, vault, artefacts, clock, mac, mac, DEADLINE, CURRENT),
            clock,
            mac,
            turns=TurnRules(APP.turns),
        )
        closing = CaseCloser(store, clock, CATALOGUE)
        database = Database(pool, "the work database")
        pending = PendingCommands(database, clock, CATALOGUE)
        approvers = OperatorKeys(APPROVERS, title="approver", variable="SWITCHYARD_APPROVERS")
        approvals = ApprovalService(pending, approvers, FOUR_EYES, timedelta(hours=24))
        suppression = SuppressionList(database, CATALOGUE, clock, mac, own_sources=APP.suppression_sources)
        outbox = Outbox(pool, publisher)
        arrivals = ArrivalQueue(ArrivalTable(database, bytes.fromhex(MAC_KEY)), intake, outbox)
        consents = ConsentWaits(
            pending,
            CONSENT_KEYS,
            CONSENT_URL,
        )
        commands = OperatorCommands(database, CATALOGUE, OPERATORS, clock)
        gathers = Gathers(database, clock, CATALOGUE, S3Objects(cloud.s3, OBJECT_BUCKET))
        timers = Timers(database, clock, closing, pending, approvals, consents, gathers, commands, outbox)
        case_manager = CaseManager(
            store,
            vault,
            artefacts,
            intake,
            arrivals,
            closing,
            pending,
            approvals,
            consents,
            gathers,
            suppression,
            timers,
            outbox,
        )
        case_managers.append(case_manager)
        return case_manager

    yield start
    for case_manager in case_managers:
        await case_manager.arrivals.table.close()
        await case_manager.store.close_store()


@pytest.fixture
async def case_manager(start_case_manager: StartCaseManager) -> CaseManager:
    """The case manager of most tests."""
    return await start_case_manager()


@pytest.fixture
async def serve(
    infrastructure: Infrastructure, cloud: Cloud, borrowed_logs: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Serve]:
    """Starts the process of the case manager or of the router, as it is deployed."""
    environment = {
        "WORK_DB_URL": infrastructure.role_url("case_manager"),
        "VAULT_KEY": VAULT_KEY,
        "MAC_KEY": MAC_KEY,
        "PERSON_KEY": "33" * 32,
        "STATE_KEYS": STATE_KEYS,
        "OPERATORS": json.dumps(OPERATOR_PUBLIC_KEYS),
        "VISIBILITY_S": "2",
        "POLL_WAIT_S": "1",
        "RETRY_BASE_S": "0.05",
        "DRAIN_S": "5",
        "DEPLOY_GRACE_S": "0",
    }
    for name, value in environment.items():
        monkeypatch.setenv(f"SWITCHYARD_{name}", value)
    serving: list[tuple[str, asyncio.Task[None]]] = []

    async def start(node: str, *, purge: bool = True) -> None:
        if purge:
            await cloud.purge(*queues_of(node))
        serving.append((node, asyncio.create_task(PROCESSES[node]())))

    yield start
    for node, process in serving:
        await stop_serving(cloud, node, process)
