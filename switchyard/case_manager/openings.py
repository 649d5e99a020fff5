"""A submission's first event, a method for each kind: what is personal is sealed here, before anything is published."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta

from contracts.catalogue import ROUTER
from contracts.events.case_manager import Attestation, CaseOpened, EmailCaseOpened
from contracts.events.upstream import CaseSubmitted, EmailCaseSubmitted
from services.orchestrator.graph import CURRENT
from switchyard.case_manager.first_event import build_first_event
from switchyard.case_manager.keyed_hash import KeyedHash
from switchyard.case_manager.principals import VerifiedPrincipal
from switchyard.protocol.fields import WAREHOUSE_ROLE_SCOPE, Contract, Json, Principal, StorageRef
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.crypto.vault import Vault
from switchyard.runtime.storage.artefacts import Artefacts

STATEMENT_ARTEFACT = "principal"
"""The artefact that holds the signed statement of who asks. No card opens it: it is for auditors."""


@dataclass(frozen=True)
class CaseOpener:
    """What opening a case depends on. The deadlines are for submissions that name none."""

    vault: Vault
    artefacts: Artefacts
    clock: Clock
    mac: KeyedHash
    deadline: timedelta
    email_deadline: timedelta = timedelta(days=7)

    async def question(
        self, case_id: str, source: str, submitted: CaseSubmitted, verified_principal: VerifiedPrincipal | None = None
    ) -> Json:
        """The first event of a question to the operator's assistant, with the statement of who asks if there is one."""
        subject = await self._subject(submitted.tenant, submitted.user_id)
        question, place = await self.artefacts.store(
            case_id, "question", submitted.question.encode(), media_type="text/plain", subject=subject
        )
        sealed = {question.sha256: place}
        attested = None
        if verified_principal is not None:
            statement, kept = await self.artefacts.store(
                case_id,
                STATEMENT_ARTEFACT,
                verified_principal.statement.encode(),
                media_type="application/jose",
                subject=subject,
            )
            sealed[statement.sha256] = kept
            attested = Attestation(
                kid=verified_principal.kid, statement=statement, statement_sha256=verified_principal.sha256
            )
        payload = CaseOpened(
            playbook=submitted.playbook,
            question=question,
            agent=submitted.agent,
            submitted_by=source,
            attested=attested,
        )
        scopes = (WAREHOUSE_ROLE_SCOPE + submitted.role,) if submitted.role else ()
        wait = self.deadline if submitted.deadline_ms is None else timedelta(milliseconds=submitted.deadline_ms)
        return self._first(
            case_id,
            source,
            submitted,
            payload,
            sealed=sealed,
            subject=subject,
            actor=f"user:{subject}",
            wait=wait,
            scopes=scopes,
        )

    async def email(self, case_id: str, source: str, submitted: EmailCaseSubmitted) -> Json:
        """The first event of an outbound email."""
        subject = await self._subject(submitted.tenant, submitted.consumer_id)
        facts = submitted.facts.model_dump_json(exclude_none=True).encode()
        account, place = await self.artefacts.store(
            case_id, "account", facts, media_type="application/json", subject=subject
        )
        payload = EmailCaseOpened(
            playbook=submitted.playbook,
            account=account,
            purpose=submitted.purpose,
            address_key=self.mac.address(submitted.tenant, submitted.facts.email.address),
            submitted_by=source,
        )
        wait = self.email_deadline if submitted.deadline_ms is None else timedelta(milliseconds=submitted.deadline_ms)
        actor = f"staff:{submitted.submitted_for}"
        return self._first(
            case_id, source, submitted, payload, sealed={account.sha256: place}, subject=subject, actor=actor, wait=wait
        )

    async def _subject(self, tenant: str, person: str) -> str:
        return await self.vault.subject_for(tenant, person, self.mac({"tenant": tenant, "user": person}))

    def _first(
        self,
        case_id: str,
        source: str,
        submitted: CaseSubmitted | EmailCaseSubmitted,
        payload: Contract,
        *,
        sealed: dict[str, StorageRef],
        subject: str,
        actor: str,
        wait: timedelta,
        scopes: tuple[str, ...] = (),
    ) -> Json:
        now = self.clock.now()
        return build_first_event(
            payload,
            event_id=str(uuid.uuid5(uuid.UUID(case_id), type(payload).__name__)),
            case_id=case_id,
            tenant=submitted.tenant,
            session_id=submitted.session_id,
            playbook_version=CURRENT[submitted.playbook],
            principal=Principal(
                sub=f"service:{source}",
                tenant=submitted.tenant,
                subject=subject,
                scopes=scopes,
                act=(actor,),
                exp=timestamp(now + wait),
            ),
            node_to=ROUTER,
            now=now,
            deadline=now + wait,
            storage_refs=sealed,
        )
