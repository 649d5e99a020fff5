"""A submission's first event: what is personal is sealed here, before anything is published."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase

from switchyard.case_manager.keyed_hash import KeyedHash
from switchyard.case_manager.principals import VerifiedPrincipal
from switchyard.protocol.catalogue import ROUTER, Catalogue
from switchyard.protocol.events.case_manager import Attestation
from switchyard.protocol.fields import ROLE_SCOPE, Artefact, Json, Principal
from switchyard.protocol.grants import service_grant_id
from switchyard.protocol.submissions import CaseOpening, SealedContent, Submission
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.crypto.vault import ADDRESS_FACT, Vault
from switchyard.runtime.messaging.first_event import build_first_event
from switchyard.runtime.storage.artefacts import Artefacts

STATEMENT_ARTEFACT = "principal"
"""The artefact that holds the signed statement of who asks. No card decrypts it: it is for auditors."""


GRANT_ARTEFACT = "grant"
"""The artefact that holds the user's grant, for auditors, too."""


@dataclass(frozen=True)
class CaseOpener:
    """What opening a case depends on. `persons` fingerprints people, under a key that the API has, too; `current` names
    the playbook version that a new case gets, by playbook."""

    catalogue: Catalogue
    vault: Vault
    artefacts: Artefacts
    clock: Clock
    mac: KeyedHash
    persons: KeyedHash
    deadline: timedelta
    current: Mapping[str, str]
    memory_tenants: tuple[str, ...] = ()
    """The tenants that have consented to memory across sessions, as shell patterns: their cases say so."""

    async def open_case(
        self,
        case_id: str,
        source: str,
        submitted: Submission,
        opening: CaseOpening,
        verified_principal: VerifiedPrincipal | None = None,
    ) -> tuple[Json, bytes | None]:
        """The first event of the case, with the statement of who asks if there is one; and the address that its effect
        may go to, sealed, if it has one."""
        fingerprint = self.persons.person(submitted.tenant, opening.person)
        subject = await self.vault.subject_for(submitted.tenant, opening.person, fingerprint)
        storage_refs = {}

        async def seal(name: str, content: SealedContent) -> Artefact:
            artefact, storage_ref = await self.artefacts.store(
                case_id, name, content.data, media_type=content.media_type, subject=subject
            )
            storage_refs[artefact.sha256] = storage_ref
            return artefact

        fields = {name: await seal(name, content) for name, content in opening.sealed.items()}
        attested = None
        if verified_principal is not None:
            content = SealedContent(verified_principal.statement.encode(), "application/jose")
            attested = Attestation(
                kid=verified_principal.kid,
                statement=await seal(STATEMENT_ARTEFACT, content),
                statement_sha256=verified_principal.sha256,
                grant=None
                if opening.grant is None
                else await seal(GRANT_ARTEFACT, SealedContent(opening.grant.encode(), "application/jose")),
            )
        address_key = sealed_address = None
        if opening.address is not None:
            address_key = self.mac.address(submitted.tenant, opening.address)
            sealed_address = await self.vault.seal(
                subject, opening.address.encode(), case_id=case_id, name=ADDRESS_FACT
            )
        payload = opening.opened.model_validate(
            {
                **opening.facts,
                **fields,
                "submitted_by": source,
                "attested": attested,
                "address_key": address_key,
                "remember": any(fnmatchcase(submitted.tenant, each) for each in self.memory_tenants) or None,
            }
        )
        wait = opening.deadline or self.deadline
        if submitted.deadline_ms is not None:
            wait = timedelta(milliseconds=submitted.deadline_ms)
        now = self.clock.now()
        opened = build_first_event(
            self.catalogue,
            payload,
            event_id=str(uuid.uuid5(uuid.UUID(case_id), opening.opened.__name__)),
            case_id=case_id,
            tenant=submitted.tenant,
            session_id=submitted.session_id,
            playbook_version=self.current[submitted.playbook],
            principal=Principal(
                sub=f"service:{source}",
                tenant=submitted.tenant,
                subject=subject,
                scopes=(ROLE_SCOPE + opening.role,) if opening.role else (),
                act=(f"user:{subject}" if opening.asker is None else f"staff:{opening.asker}",),
                exp=timestamp(now + wait),
                grant_ref=_grant_of(source, verified_principal),
            ),
            node_to=ROUTER,
            now=now,
            deadline=now + wait,
            storage_refs=storage_refs,
        )
        # It is stored with its trace, which goes on after every wait, and when a timer ends the case.
        return opened | {"trace": telemetry.trace_context()}, sealed_address


def _grant_of(source: str, verified_principal: VerifiedPrincipal | None) -> str | None:
    """The grant that agents redeem: the user's, or that of a source that acts for itself. A case of a user without a
    grant has none: no agent reads in the user's name, and no service does in their place."""
    if verified_principal is None:
        return service_grant_id(source)
    return None if verified_principal.grant is None else verified_principal.grant.jti
