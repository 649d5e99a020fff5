"""Intake: an upstream's payload becomes the case's first event."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from contracts.canonical import canonical
from contracts.cards import specialists
from contracts.catalogue import DESK, LATEST, ROUTER, UPSTREAM_PREFIX, WORLD
from contracts.envelope import finish
from contracts.errors import InvalidEvent, Refusal
from contracts.events.desk import CaseOpened, SubmissionRejected
from contracts.events.upstream import CaseSubmitted
from contracts.fields import WAREHOUSE_ROLE, Attachment, Contract, Identifier, Json, Principal
from contracts.received import first_problem
from contracts.submission import CASES, case_id_for
from runtime.artefacts import Artefacts
from runtime.clock import Clock, timestamp
from runtime.errors import Rejected
from runtime.sealing import Vault
from services.orchestrator.desk.store import DeskStore
from services.orchestrator.graph import CURRENT

MAX_SOURCE = 150
"""Leaves room for the prefixes under which the source stands in claims."""

_IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)


class Upstream(BaseModel):
    """What one upstream may ask for, as shell patterns; nothing unless it is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenants: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Intake:
    """What intake depends on. `mac_key` keys every hash of what upstream sent, so that none can be guessed back."""

    store: DeskStore
    vault: Vault
    artefacts: Artefacts
    clock: Clock
    mac_key: bytes
    deadline: timedelta
    upstreams: Mapping[str, Upstream] | None = None
    """What each upstream may ask for; None trusts every source that IAM lets on the bus."""

    async def open_case(self, source: str, detail: Json) -> list[Json]:
        """The events to publish for a submission: `CaseOpened`, `SubmissionRejected`, or none while it is parked."""
        if not source.startswith(UPSTREAM_PREFIX) or len(source) > MAX_SOURCE or _identifier(source) != source:
            raise InvalidEvent(
                Refusal.FORGED,
                "a submission from a source that is no upstream",
                field="source",
                remedy=f"publish as {UPSTREAM_PREFIX}name, in visible ASCII",
            )
        try:
            submitted = _read(detail)
        except InvalidEvent as problem:
            return [await self.reject(source, detail, problem)]
        if (refusal := self._refusal(source, submitted)) is not None:
            return [await self.reject(source, detail, refusal, code="not_authorised")]
        mac = self._mac(detail)
        known = await self.store.known(submitted.tenant, source, submitted.idempotency_key)
        if known is None:
            try:
                opened = await self._opened(source, submitted)
            except Rejected as error:
                refusal = InvalidEvent(Refusal.INVALID, error.message, field=error.field, remedy=error.remedy)
                return [await self.reject(source, detail, refusal, code=error.code)]
            due = datetime.fromisoformat(opened["case_deadline"])
            parked = await self.store.admit(
                submitted.tenant,
                source,
                submitted.idempotency_key,
                payload_mac=mac,
                playbook=submitted.playbook,
                opened=opened,
                due=due,
            )
            if parked is not None:
                return [] if parked else [opened]
            known = await self.store.known(submitted.tenant, source, submitted.idempotency_key)
            if known is None:
                raise LookupError("a submission vanished between two reads")
        if not hmac.compare_digest(known.payload_mac, mac):
            conflict = InvalidEvent(
                Refusal.INVALID,
                "another payload was submitted under the same idempotency key",
                field="idempotency_key",
                remedy="use a new key for a new submission; repeat the same payload to repeat one",
            )
            return [await self.reject(source, detail, conflict, code="submission_conflict")]
        return [] if known.parked else [known.opened]

    async def _opened(self, source: str, submitted: CaseSubmitted) -> Json:
        now = self.clock.now()
        case_id = case_id_for(submitted.tenant, source, submitted.idempotency_key)
        fingerprint = self._mac({"tenant": submitted.tenant, "user": submitted.user_id})
        subject = await self.vault.subject_for(submitted.tenant, submitted.user_id, fingerprint)
        question, place = await self.artefacts.store(
            case_id, "question", submitted.question.encode(), media_type="text/plain", subject=subject
        )
        wait = self.deadline if submitted.deadline_ms is None else timedelta(milliseconds=submitted.deadline_ms)
        principal = Principal(
            sub=f"service:{source}",
            tenant=submitted.tenant,
            subject=subject,
            scopes=(WAREHOUSE_ROLE + submitted.role,) if submitted.role else (),
            act=(f"user:{subject}",),
            exp=timestamp(now + wait),
        )
        payload = CaseOpened(playbook=submitted.playbook, question=question, agent=submitted.agent, submitted_by=source)
        return _first_event(
            payload,
            event_id=str(uuid.uuid5(uuid.UUID(case_id), "CaseOpened")),
            case_id=case_id,
            tenant=submitted.tenant,
            session_id=submitted.session_id,
            graph_version=CURRENT[submitted.playbook],
            principal=principal,
            node_to=ROUTER,
            now=now,
            deadline=now + wait,
            attachments={question.sha256: place},
        )

    def _refusal(self, source: str, submitted: CaseSubmitted) -> InvalidEvent | None:
        """Why this upstream may not ask this, if it may not."""
        if self.upstreams is None:
            return None
        allowed = self.upstreams.get(source, Upstream())
        asked = {"tenant": (submitted.tenant, allowed.tenants), "role": (submitted.role, allowed.roles)}
        for field, (value, patterns) in asked.items():
            if value is not None and not any(fnmatchcase(value, pattern) for pattern in patterns):
                remedy = f"allow it to {source} in SWITCHYARD_UPSTREAMS, or submit from the upstream that may"
                message = f"this upstream may not submit for that {field}"
                return InvalidEvent(Refusal.INVALID, message, field=field, remedy=remedy)
        return None

    async def reject(
        self, source: str, detail: Json, problem: InvalidEvent, *, code: str = "invalid_submission"
    ) -> Json:
        """The rejection of a submission, the same however often it is asked for."""
        now = self.clock.now()
        # Keyed by what was sent, so that a redelivery is the same rejection and another bad payload another.
        case_id = str(uuid.uuid5(CASES, f"rejected/{source}/{self._mac(detail).hex()}"))
        tenant = _identifier(detail.get("tenant"))
        payload = SubmissionRejected(
            code=code,
            message=problem.message,
            field=problem.field,
            remedy=problem.remedy,
            submitted_by=source,
        )
        event = _first_event(
            payload,
            event_id=str(uuid.uuid5(uuid.UUID(case_id), "SubmissionRejected")),
            case_id=case_id,
            tenant=tenant,
            session_id=_identifier(detail.get("session_id")),
            graph_version="none/0",
            principal=Principal(sub=f"service:{source}", tenant=tenant),
            node_to=WORLD,
            now=now,
            deadline=now,
            attachments={},
        )
        return await self.store.reject(event)

    def _mac(self, value: Json) -> bytes:
        return hmac.new(self.mac_key, canonical(value), hashlib.sha256).digest()


def _read(detail: Json) -> CaseSubmitted:
    try:
        submitted = CaseSubmitted.model_validate_json(json.dumps(detail))
    except ValidationError as error:
        field, message = first_problem(error)
        remedy = "send CaseSubmitted as contracts/schemas/CaseSubmitted.v1.json has it"
        raise InvalidEvent(Refusal.INVALID, message, field=field, remedy=remedy) from None
    deployed = [card.name for card in specialists()]
    if submitted.agent is not None and submitted.agent not in deployed:
        raise InvalidEvent(
            Refusal.INVALID,
            "no specialist of that name is deployed",
            field="agent",
            remedy=f"name one of {', '.join(deployed)}, or leave it out and triage chooses",
        )
    return submitted


def _first_event(
    payload: Contract,
    *,
    event_id: str,
    case_id: str,
    tenant: str,
    session_id: str,
    graph_version: str,
    principal: Principal,
    node_to: str,
    now: datetime,
    deadline: datetime,
    attachments: dict[str, Attachment],
) -> Json:
    type_ = LATEST[type(payload)]
    fields: dict[str, Any] = {
        "event_id": event_id,
        "type": type_.name,
        "version": type_.version,
        "tenant": tenant,
        "case_id": case_id,
        "session_id": session_id,
        "opened_on": now.astimezone(UTC).date().isoformat(),
        "graph_version": graph_version,
        "seq": 0,
        "ordinal": 0,
        "siblings": 1,
        "node_from": DESK,
        "node_to": node_to,
        "parents": [],
        "occurred_at": timestamp(now),
        "trace": {},
        "case_deadline": timestamp(deadline),
        "budget": {"attempts": 3, "tokens": 0},
        "principal": principal.model_dump(mode="json", exclude_none=True),
        "payload": payload.model_dump(mode="json", exclude_none=True),
        "attachments": {sha256: place.model_dump(exclude_none=True) for sha256, place in attachments.items()},
    }
    return finish(fields)


def _identifier(value: object) -> str:
    """What upstream called it if that is an identifier, else a word that says that it was not."""
    try:
        return _IDENTIFIER.validate_python(value)
    except ValidationError:
        return "unreadable"
