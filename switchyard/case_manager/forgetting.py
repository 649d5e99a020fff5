"""Users who want what is remembered of them forgotten: who asks is checked here, and memory does it."""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from pydantic import ValidationError

from switchyard.case_manager.keyed_hash import KeyedHash
from switchyard.protocol.errors import forged, invalid
from switchyard.protocol.events.upstream import ForgettingRequested
from switchyard.protocol.fields import Json
from switchyard.protocol.forgetting import FORGETTING_VALID_S, forgetting_statement, person_commitment
from switchyard.protocol.received import first_validation_error
from switchyard.protocol.signing import OperatorKeys
from switchyard.runtime.core.clock import Clock, moment
from switchyard.runtime.crypto.vault import Vault
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)
LEEWAY_S = 30


@dataclass(frozen=True)
class ForgettingIntake:
    """What taking a request depends on. `signers` are the keys of sources, `intake` knows people by fingerprints."""

    database: Database
    clock: Clock
    persons: KeyedHash
    signers: OperatorKeys
    intake: Vault

    async def receive(self, source: str, detail: Json) -> None:
        """Keep a request for memory, once; none of a person whom the vault does not know, or who has a thousand.

        Raises `InvalidEvent` for an invalid request, and (forged) for one that its source did not sign for this person.
        """
        asked = self._read(source, detail)
        subject = await self.intake.known_subject(asked.tenant, self.persons.person(asked.tenant, asked.user_id))
        if subject is None:
            log.info("forgetting.not_taken", request_id=asked.request_id, submitted_by=source)
            return
        kept = await self.database.with_queries(_SQL).execute(
            "keep", UUID(asked.request_id), asked.tenant, UUID(subject), asked.scope,
            None if asked.memory is None else UUID(asked.memory), asked.person, asked.signed_by,
            moment(asked.signed_at), asked.signature,
        )  # fmt: skip
        if not kept:
            log.info("forgetting.not_kept", request_id=asked.request_id, why="it is there already, or too many are")

    def _read(self, source: str, detail: Json) -> ForgettingRequested:
        try:
            asked = ForgettingRequested.model_validate_json(json.dumps(detail))
        except ValidationError as error:
            where, message = first_validation_error(error)
            raise invalid(message, where, "send ForgettingRequested as its JSON Schema has it") from None
        if asked.signed_by.rpartition("/")[0] != source:
            raise forged("it was signed for another source", "signed_by", "let the ingress sign under its own source")
        statement = forgetting_statement(
            request_id=asked.request_id, tenant=asked.tenant, scope=asked.scope, memory=asked.memory,
            person=asked.person, signed_by=asked.signed_by, signed_at=asked.signed_at,
        )  # fmt: skip
        self.signers.verify(asked.signed_by, statement, asked.signature)
        if not hmac.compare_digest(asked.person, person_commitment(asked.nonce, asked.tenant, asked.user_id)):
            raise forged("it was signed for another person", "user_id", "let the ingress sign this one")
        age = self.clock.now() - moment(asked.signed_at)
        if not timedelta(seconds=-LEEWAY_S) <= age <= timedelta(seconds=FORGETTING_VALID_S + LEEWAY_S):
            raise invalid("it was not signed in the last hour", "signed_at", "ask again")
        return asked
