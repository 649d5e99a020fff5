"""A email sender with the real ledger and a provider on the wire, and cases of the case manager's to send for."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from aiobotocore.session import AioSession

from contracts.events.router import SendEmail
from services.drafter.mime import compose
from services.specialists.email_sender.handlers import send_email
from services.specialists.email_sender.ledger import SendLedger, SendRate
from services.specialists.email_sender.provider import SesProvider, client_config
from services.specialists.email_sender.send_preconditions import ApprovalPolicy
from switchyard.devstack.simulators.ses import AcceptedEmail, SesFault, SesSimulator
from switchyard.protocol.fields import Artefact, Contract, Json, StorageRef
from switchyard.protocol.four_eyes import FourEyes
from switchyard.protocol.signing import OperatorKeys, derive_public_key, sign_statement
from switchyard.protocol.statements import approval_statement
from switchyard.runtime.core.clock import timestamp
from switchyard.runtime.core.task import Task
from switchyard.runtime.crypto.vault import LocalKeyWrapper, Vault
from switchyard.runtime.database.connections import Pool
from switchyard.runtime.database.session_scope import SessionScope
from switchyard.runtime.process.web import WebServer
from switchyard.runtime.storage.artefacts import Artefacts
from tests.accounts import facts
from tests.integration.conftest import PoolFor
from tests.integration.events import bus_body, command, fresh_id, opened, rewritten, scope_of
from tests.integration.infrastructure import Owner
from tests.integration.known_cases import Person, known_cases
from tests.integration.manual_clock import ManualClock
from tests.operators import OPERATORS
from tests.reference import read_event

PACK = "2026-09-01.1"
PLAYBOOK = "outbound_email"
TIMEOUT_S = 0.6
APPROVER, APPROVERS_KEY = "m.okafor", b"a" * 32
SECOND, SECONDS_KEY = "d.abebe", b"b" * 32
APPROVERS = {
    APPROVER: bytes.fromhex(derive_public_key(APPROVERS_KEY)),
    SECOND: bytes.fromhex(derive_public_key(SECONDS_KEY)),
}
APPROVALS = ApprovalPolicy(
    OperatorKeys(APPROVERS), FourEyes(APPROVERS, {"c.ruiz": (), APPROVER: ("Okafor@harbor.example",)})
)
VAULT_KEY = b"v" * 32
TABLES = ", ".join(
    [
        f"case_manager.{table}"
        for table in (
            "submission",
            "case_ending",
            "control",
            "operator_command",
            "approval",
            "approval_grant",
            "outbox",
        )
    ]
    + [
        f"email_sender.{table}"
        for table in (
            "sending",
            "resolution",
            "resolution_request",
            "seen_command",
            "domain_rate",
            "turn",
            "send_lock",
            "inbox",
            "outbox",
        )
    ]
)


def compose_email(case_id: str, *, to: str = "ada.lovelace@example.com", subject: str = "A message for you") -> bytes:
    """An email as the drafter composes it."""
    return compose(
        facts(email={"address": to}),
        purpose="payment_reminder",
        today="2026-10-01",
        subject=subject,
        paragraphs=["Dear Ada Lovelace,", "Your balance is $1,250.00 — please call us."],
        case_id=case_id,
        opt_out_link="https://mail.harborline.example/o/k1.claims.mac",
    )


@dataclass
class Case:
    """A case that the case manager opened, and its email, which compliance passed."""

    owner: Owner
    case_id: str = field(default_factory=fresh_id)
    address_key: str = field(default_factory=lambda: hashlib.sha256(uuid.uuid4().bytes).hexdigest())
    to: str = "ada.lovelace@example.com"
    address: str | None = None
    """What intake sealed; `to` unless a test says otherwise."""
    submitter: str = "c.ruiz"
    person: Person = field(default_factory=lambda: Person(VAULT_KEY))

    @property
    def raw(self) -> bytes:
        """The email's bytes."""
        return compose_email(self.case_id, to=self.to)

    @property
    def content_sha256(self) -> str:
        """Their hash."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def opening(self) -> Json:
        """The case's first event, as intake makes it."""
        principal = {"sub": "service:upstream.tests", "tenant": "acme", "subject": self.person.subject, "scopes": []}
        return opened(
            self.case_id,
            known=False,
            playbook_version=f"{PLAYBOOK}/1",
            principal=principal | {"act": [f"staff:{self.submitter}"]},
            payload={"playbook": PLAYBOOK, "purpose": "payment_reminder", "address_key": self.address_key},
        )

    @property
    def scope(self) -> SessionScope:
        """What the email sender's handler sees."""
        return scope_of(self.opening)

    async def open(self, *, passed: bool = True, approval: str | None = None) -> Case:
        """Put it into the case manager's table, as intake does, and the verdicts into compliance's."""
        sealed = self.person.seal(self.case_id, "address", (self.address or self.to.title()).encode())
        cases = known_cases()
        assert cases is not None
        cases.add_case(self.opening, subject_key=self.address_key, sealed_address=sealed)
        cases.add_task("email_sender", self.case_id)
        if passed:
            await self.record_verdict("email", "EmailPassed", approval=approval)
            await self.record_verdict("sending", "SendingAllowed", valid_until="2100-01-01T00:00:00Z")
        return self

    async def record_verdict(
        self, stage: str, outcome: str, *, approval: str | None = None, ahead_s: float = 0, **changes: Any
    ) -> None:
        """What compliance recorded about the email, by a clock that is `ahead_s` ahead; `valid_until` of its payload
        included."""
        row = {"pack": PACK, "content_sha256": self.content_sha256, "case_id": self.case_id} | changes
        payload = {name: changes[name] for name in ("valid_until",) if name in changes}
        await self.owner.execute(
            "insert into compliance.verdict (task_id, case_id, tenant, user_id, session_id, stage, outcome, pack,"
            " purpose, account_sha256, content_sha256, rules, approval, payload, places, recorded_at, retain_until)"
            " values (gen_random_uuid(), $1, 'acme', $9, $10, $2, $3, $4, 'payment_reminder', '', $5, '{}', $6, $7,"
            " '{}', clock_timestamp() + make_interval(secs => $8), '2030-01-01')",
            row["case_id"],
            stage,
            outcome,
            row["pack"],
            row["content_sha256"],
            approval,
            json.dumps(payload),
            ahead_s,
            self.scope.user,
            self.scope.session,
        )

    async def approve(
        self,
        until: datetime,
        *,
        state: str = "granted",
        signers: Mapping[str, bytes | None] | None = None,
        **changes: Any,
    ) -> str:
        """An approval of this email, as the case manager records it: by each signer with a key, or without one."""
        approval_id = fresh_id()
        fields = {"content_sha256": self.content_sha256, "pack": PACK} | changes
        signed_at = until - timedelta(hours=1)
        await self.owner.execute(
            "insert into case_manager.approval (approval_id, case_id, tenant, playbook, content_sha256, pack, reason,"
            " requested_by, state, asked_at, decide_by, valid_until)"
            " values ($1, $2, 'acme', $3, $4, $5, 'settlement_offer', $6, $7, $8, $8, $8)",
            approval_id,
            self.case_id,
            PLAYBOOK,
            fields["content_sha256"],
            fields["pack"],
            self.submitter,
            state,
            until,
        )
        for approver, key in (signers or {APPROVER: APPROVERS_KEY}).items():
            statement = approval_statement(
                approval_id=approval_id,
                case_id=self.case_id,
                verdict="granted",
                approver=approver,
                reason="agreed",
                signed_at=timestamp(signed_at),
                **fields,
            )
            await self.owner.execute(
                "insert into case_manager.approval_grant values ($1, $2, 'agreed', $3, $4, $3)",
                approval_id,
                approver,
                signed_at,
                "" if key is None else sign_statement(key, statement),
            )
        return approval_id

    def command(
        self, until: datetime, *, note: str = "", sealed: tuple[bytes, str | None] | None = None, **fields: Any
    ) -> Json:
        """The router's SendEmail. Another `note` is another command for the same email."""
        stored, subject = sealed or (self.person.seal(self.case_id, "email", self.raw), self.person.subject)
        sha256 = hashlib.sha256(stored).hexdigest()
        email = Artefact(name="email", sha256=sha256, size=len(stored), media_type="message/rfc822", subject=subject)
        payload = SendEmail.model_validate(
            {
                "email": email,
                "content_sha256": self.content_sha256,
                "pack": PACK,
                "valid_until": timestamp(until),
                "address_key": self.address_key,
            }
            | fields
        )
        event = command(
            payload=payload, node="email_sender", attempts=5, time_limit_ms=60_000, note=note, opening=self.opening
        )
        if note:
            event["event_id"] = str(uuid.uuid5(uuid.UUID(self.case_id), note))
        place = StorageRef(inline=base64.b64encode(stored).decode()).model_dump(exclude_none=True)
        return rewritten(event | {"storage_refs": {sha256: place}})


@dataclass
class Outbox:
    """The provider: what it took, with its bytes."""

    ses_simulator: SesSimulator
    url: str

    def plan(self, *faults: SesFault) -> None:
        """What happens to the next requests."""
        self.ses_simulator.faults.extend(faults)

    def of(self, case_id: str) -> list[AcceptedEmail]:
        """What was taken for a case."""
        return [each for each in self.ses_simulator.taken if each.tags["case_id"] == case_id]


@dataclass
class EmailSender:
    """One email sender's handler, called as its consumer calls it."""

    handler: Callable[[Task[SendEmail]], Awaitable[Contract]]
    clock: ManualClock

    async def send(self, event: Json, *, within_s: float = 60.0) -> Contract:
        """What the email sender answers to a command, given so much time."""
        received: Any = read_event(bus_body(event), node="email_sender")
        return await self.handler(Task(received, attempt=1, deadline=self.clock.monotonic() + within_s))

    @property
    def soon(self) -> datetime:
        """A moment until which sending is allowed."""
        return self.clock.now() + timedelta(minutes=5)


StartEmailSender = Callable[..., Awaitable[EmailSender]]
OpenCase = Callable[..., Awaitable[Case]]


@pytest.fixture(autouse=True)
async def empty_tables(owner: Owner) -> None:
    """Stops and reservations of one test are nothing to the next."""
    await owner.execute(f"truncate {TABLES}")


@pytest.fixture
def open_case(owner: Owner) -> OpenCase:
    """Opens cases at the case manager."""

    async def make(*, passed: bool = True, approval: str | None = None, **fields: Any) -> Case:
        return await Case(owner, **fields).open(passed=passed, approval=approval)

    return make


@pytest.fixture
async def case(open_case: OpenCase) -> Case:
    """The case of most tests."""
    return await open_case()


@pytest.fixture
async def outbox() -> AsyncIterator[Outbox]:
    """The provider on the wire."""
    ses_simulator = SesSimulator()
    server = WebServer(ses_simulator, "127.0.0.1", 0)
    yield Outbox(ses_simulator, f"http://127.0.0.1:{server.port}")
    await server.stop()


@pytest.fixture
async def start_email_sender(
    pool_for: PoolFor, outbox: Outbox, aws: None, aws_session: AioSession, clock: ManualClock
) -> AsyncIterator[StartEmailSender]:
    """Makes email senders; `url` for another provider."""
    clients = []

    async def start(
        *, url: str | None = None, send_rate: SendRate | None = None, pool: Pool | None = None
    ) -> EmailSender:
        pool = pool or await pool_for("email_sender")
        made = aws_session.create_client("sesv2", endpoint_url=url or outbox.url, config=client_config(TIMEOUT_S))
        client = await made.__aenter__()
        clients.append(made)
        handler = partial(
            send_email,
            artefacts=Artefacts(None, Vault(pool, LocalKeyWrapper(VAULT_KEY), clock), decrypts=("email", "address")),  # type: ignore[arg-type]
            ledger=SendLedger(pool, APPROVALS, OPERATORS),
            provider=SesProvider(client, configuration_set="outbound"),
            clock=clock,
            timeout_s=TIMEOUT_S,
            send_rate=lambda _: send_rate or SendRate(0.001, 1_000),
        )
        return EmailSender(handler, clock)

    yield start
    for made in clients:
        await made.__aexit__(None, None, None)


@pytest.fixture
async def email_sender(start_email_sender: StartEmailSender) -> EmailSender:
    """The email sender of most tests."""
    return await start_email_sender()
