"""A console over real databases: its settings, its cases, and people who use it."""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from starlette.responses import Response

from contracts.events.drafter import AnswerDrafted
from contracts.events.specialists import FindingsReady
from services.drafter.agent import ANSWER_PROMPT_VERSION
from switchyard.console.access import ConsoleRole
from switchyard.console.sessions import FORM_FIELD, User
from switchyard.console.views import Views
from switchyard.processes.console_settings import ConsoleSettings
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.events.router import AskApproval, CloseCase
from switchyard.protocol.fields import Json
from switchyard.protocol.signing import derive_public_key
from tests.integration.known_cases import Person, known_cases
from tests.operators import OPERATOR, OPERATOR_PUBLIC_KEYS
from tests.unit.audit import cases

BASE = "http://127.0.0.1"
VAULT_KEY = b"\x11" * 32
SECRET_TEXT = "the secret of Ana Morales"
SECRET = SECRET_TEXT.encode()
SUBMITTED_BY = "anna@acme.example"
"""Under which identity the operator submits."""

SECOND_APPROVER, SECOND_KEY = "b.ek", b"\x08" * 32
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{31337*31337}}\u2028</pre>"
"""What somebody puts into every field, to have it run in an operator's browser."""

CHART = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 120" width="320" height="120">
<script>document.title = "a chart ran a script"</script>
<polyline points="0,100 80,60 160,72 240,30 320,18" fill="none" stroke="#0a7" stroke-width="3"/></svg>"""
"""A chart with a script in it."""

APPROVED = b"""From: a@acme.example
Subject: Hello
Content-Type: text/html

<p>Dear Ana</p><script>steal()</script>"""


def console_settings(**changes: Any) -> ConsoleSettings:
    """The settings of a console whose identity provider is not asked."""
    values: dict[str, Any] = {
        "work_db_url": "postgresql://unused",
        "audit_db_url": "postgresql://unused",
        "console_url": BASE,
        "console_keys": {"2026": b"\x22" * 32},
        "console_client_secret": "a secret",
        "model_prices": {"claude-test": {"input": 3, "output": 15}},
        "idp_issuer": "http://127.0.0.1:1",
        "idp_jwks_url": "http://127.0.0.1:1/jwks.json",
        "idp_authorize_url": "http://127.0.0.1:1/authorize",
        "idp_token_url": "http://127.0.0.1:1/token",
        "operators": {name: bytes.fromhex(key) for name, key in OPERATOR_PUBLIC_KEYS.items()},
        "approvers": {
            name: bytes.fromhex(key)
            for name, key in {**OPERATOR_PUBLIC_KEYS, SECOND_APPROVER: derive_public_key(SECOND_KEY)}.items()
        },
        "submitter_identities": {OPERATOR: (SUBMITTED_BY,)},
    }
    return ConsoleSettings(**values | changes)


@dataclass
class Visitor:
    """Somebody with a session, or without one."""

    client: httpx2.AsyncClient
    views: Views
    user: User | None

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        return await self.client.get(path, **options)

    async def post(
        self, path: str, *, token: str | None = None, origin: str | None = BASE, **form: Any
    ) -> httpx2.Response:
        """Send a form; with the session's own token unless another is given."""
        own = self.views.pages.sessions.form_token(self.user) if self.user else ""
        headers = {"Origin": origin} if origin else {}
        return await self.client.post(path, data={FORM_FIELD: own if token is None else token, **form}, headers=headers)


def session_cookies(
    views: Views, roles: Sequence[ConsoleRole], name: str = OPERATOR, tenants: Sequence[str] | None = None
) -> dict[str, str]:
    """The cookie that a log-in sets."""
    response = Response()
    views.pages.sessions.begin(response, name, roles, tenants)
    found = re.match(r"([\w-]+)=([^;]+);", response.headers["set-cookie"])
    assert found is not None
    return {found[1]: found[2]}


@contextmanager
def visiting(
    app: Any, views: Views, *roles: ConsoleRole, name: str = OPERATOR, tenants: Sequence[str] | None = None
) -> Iterator[Visitor]:
    """A visitor with these roles, who may see these tenants or all; without any role, there is no session."""
    cookies = session_cookies(views, roles, name, tenants) if roles else {}
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    client = httpx2.AsyncClient(transport=transport, base_url=BASE, cookies=cookies)
    yield Visitor(client, views, views.pages.sessions.user(cookies))


@dataclass(frozen=True)
class KnownCase:
    """A case of the log, by what tests ask about it."""

    events: list[Json]

    @property
    def case_id(self) -> str:
        return str(self.events[0]["case_id"])


def failed_case(number: int) -> KnownCase:
    """A case whose task failed."""
    events = cases.answered(number)[:4]
    events.append(cases.failed(events[-1], "text_to_sql"))
    events.append(cases.follow(events[-1], CloseCase(outcome="failed", code="defect"), "router"))
    events.append(cases.follow(events[-1], CaseClosed(outcome="failed", code="defect"), "case_manager"))
    return KnownCase(events)


def sealed_case(number: int) -> KnownCase:
    """A case about a person, whose answer is sealed."""
    person, opened = Person(VAULT_KEY), cases.answered(number)
    case_id = opened[0]["case_id"]
    artefact, place = person.artefact(case_id, "answer", b'{"text": "' + SECRET + b'"}')
    principal = opened[0]["principal"] | {"subject": person.subject}
    events = [cases.rewritten(opened[0], principal=principal)]
    chart, drawn = person.artefact(case_id, "chart", CHART)
    chart = chart.model_copy(update={"media_type": "image/svg+xml"})
    found = FindingsReady(findings=(cases.FINDINGS,), charts=(chart,))
    events.append(cases.follow(events[0], found, "well_data", node_to="router", storage_refs={chart.sha256: drawn}))
    drafted = AnswerDrafted(answer=artefact, cites=("F1",))
    call = cases.CALL.model_copy(update={"prompt_version": ANSWER_PROMPT_VERSION})
    more: dict[str, Any] = {"node_to": "router", "storage_refs": {artefact.sha256: place}, "model_call": call}
    events.append(cases.follow(events[1], drafted, "drafter", **more))
    add_submission(events[0])
    return KnownCase(events)


def hostile_case(number: int) -> KnownCase:
    """A case with hostile text in every field that takes text."""
    events = failed_case(number).events
    failed = next(event for event in events if event["type"] == "TaskFailed")
    payload = failed["payload"] | {"code": "defect", "message": HOSTILE, "remedy": HOSTILE, "causes": [HOSTILE]}
    place = events.index(failed)
    events[place] = cases.rewritten(failed, payload=payload)
    for number_, event in enumerate(events[place + 1 :], place + 1):
        events[number_] = cases.renamed(event, events[number_ - 1], parents=[events[number_ - 1]["digest"]])
    return KnownCase(events)


def approval_case(number: int) -> tuple[KnownCase, dict[str, Any]]:
    """A case that waits for an approval, and the row of the case manager about it."""
    person, opened = Person(VAULT_KEY), cases.first(number)
    artefact, place = person.artefact(opened["case_id"], "email", APPROVED)
    artefact = artefact.model_copy(update={"media_type": "message/rfc822"})
    content = hashlib.sha256(APPROVED).hexdigest()
    principal = opened["principal"] | {"subject": person.subject}
    events = [cases.rewritten(opened, principal=principal)]
    ask = AskApproval(
        content=artefact, content_sha256=content, pack="2026.05", approval="first_contact", returnable=True
    )
    asked = cases.follow(events[0], ask, "router", node_to="case_manager", storage_refs={artefact.sha256: place})
    add_submission(events[0])
    now = datetime.now(UTC)
    row = {
        "approval_id": uuid.UUID(asked["event_id"]),
        "case_id": uuid.UUID(opened["case_id"]),
        "content": content,
        "asked_at": now,
        "decide_by": now + timedelta(days=1),
        "command": asked,
    }
    return KnownCase([*events, asked]), row


def add_submission(opening: Json) -> None:
    """Let the case manager know a case."""
    known = known_cases()
    assert known is not None
    known.add_case(opening)


def encoded(data: bytes) -> tuple[str, ...]:
    """In which forms bytes could be in a response."""
    return (data.decode(), base64.b64encode(data).decode(), data.hex())
