"""Feedback of users on cases that have ended: who may give it, and the event that keeps it."""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import ValidationError

from switchyard.case_manager.keyed_hash import KeyedHash
from switchyard.case_manager.principals import PrincipalKeys
from switchyard.case_manager.rejections import PrincipalInvalid
from switchyard.protocol.case_facts import CaseFacts
from switchyard.protocol.catalogue import CASE_MANAGER, Catalogue
from switchyard.protocol.derive import derive_event, stamp_event
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.errors import forged, invalid
from switchyard.protocol.events.case_manager import CaseFeedback
from switchyard.protocol.events.upstream import FeedbackGiven
from switchyard.protocol.feedback import FeedbackClaims, feedback_digest
from switchyard.protocol.fields import Json
from switchyard.protocol.received import first_validation_error
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.crypto.vault import Vault
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.outbox import event_text
from switchyard.runtime.storage.artefacts import Artefacts

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)
FEEDBACK_ARTEFACT = "feedback"
"""The artefact that holds the words of a user. No card decrypts it: it is for reviewers."""

MOST_PER_PERSON, MOST_PER_ENDING = 10, 100
"""So that who changes their mind again and again leaves room for the others."""
LEEWAY_S = 30


@dataclass(frozen=True)
class FeedbackIntake:
    """What taking feedback depends on. `intake` knows people by their fingerprints, `artefacts` seals for a case's
    person."""

    database: Database
    catalogue: Catalogue
    clock: Clock
    mac: KeyedHash
    persons: KeyedHash
    principals: PrincipalKeys
    intake: Vault
    artefacts: Artefacts

    async def receive(self, source: str, detail: Json) -> list[Json]:
        """The event that keeps it; none for a case that is not the user's, or has not ended. Raises `InvalidEvent` for
        an invalid report, and (forged) for one that its source did not sign."""
        given, claims = self._read(source, detail)
        row = await self.database.with_queries(_SQL).row("case_to_judge", given.case_id, source)
        subject = await self._judge(claims, row)
        if subject is None:
            log.info("feedback.not_taken", case_id=given.case_id, submitted_by=source)
            return []
        by, own = f"user:{subject}", subject == row["subject"]
        mac = self.mac({"by": by, "thumb": given.thumb, "reason": given.reason or ""})
        async with self.database.with_queries(_SQL).transaction() as database:
            await database.value("lock_ending", row["ending_id"])
            before = await database.rows("given", row["ending_id"])
            latest = next((each for each in reversed(before) if each["given_by"] == by), None)
            if latest is not None and hmac.compare_digest(latest["mac"], mac):
                return [json.loads(latest["event"])]
            if latest is not None and latest["stated_at"] > claims.iat:
                log.info("feedback.older", case_id=given.case_id)
                return []
            mine = sum(each["given_by"] == by for each in before)
            if mine >= MOST_PER_PERSON or len(before) >= MOST_PER_ENDING:
                log.info("feedback.over_limit", case_id=given.case_id)
                return []
            event = await self._event(before[-1]["event"] if before else row["ending"], row["subject"], given, by, own)
            await database.execute(
                "keep",
                *(event["event_id"], given.case_id, len(before) + 1, row["ending_id"], by, mac, claims.iat),
                event_text(event),
            )
        return [event]

    def _read(self, source: str, detail: Json) -> tuple[FeedbackGiven, FeedbackClaims]:
        try:
            given = FeedbackGiven.model_validate_json(json.dumps(detail))
        except ValidationError as error:
            where, message = first_validation_error(error)
            raise invalid(message, where, "send FeedbackGiven as its JSON Schema has it") from None
        try:
            claims = self.principals.verified_feedback(source, given.statement)
        except PrincipalInvalid as error:
            raise forged(error.message, "statement", error.remedy or "let the ingress sign it") from None
        digest = feedback_digest(given.thumb, given.reason)
        if (claims.tenant, claims.case_id, claims.content_sha256) != (given.tenant, given.case_id, digest):
            raise forged("the statement is about other feedback", "statement", "let the ingress sign this one")
        if claims.exp + LEEWAY_S <= self.clock.now().timestamp():
            raise invalid("the statement has expired", "statement", "send the feedback again")
        return given, claims

    async def _judge(self, claims: FeedbackClaims, row: Any) -> str | None:
        """The pseudonym of who may judge this case; None for who may not."""
        if row is None or row["ending"] is None:
            return None
        fingerprint = self.persons.person(claims.tenant, claims.sub)
        known = await self.intake.known_subject(claims.tenant, fingerprint)
        if known is not None and known == row["subject"]:
            return known
        if not claims.reviewer or CaseFacts.from_json(row["facts"]).pinned["tenant"] != claims.tenant:
            return None
        return known or await self.intake.subject_for(claims.tenant, claims.sub, fingerprint)

    async def _event(self, cause: str, subject: str, given: FeedbackGiven, by: str, own: bool) -> Json:
        reason, places = None, {}
        if given.reason is not None:
            try:
                reason, place = await self.artefacts.store(
                    given.case_id, FEEDBACK_ARTEFACT, given.reason.encode(), media_type="text/plain", subject=subject
                )
                places[reason.sha256] = place
            except PermanentTaskError:
                log.info("feedback.reason_dropped", case_id=given.case_id, why="the person was erased")
        payload = CaseFeedback(thumb=given.thumb, by=by, reviewer=not own, reason=reason)
        envelope = Envelope.model_validate_json(cause)
        event = derive_event(self.catalogue, envelope, payload, node_from=CASE_MANAGER, storage_refs=places)
        trace = telemetry.trace_context(envelope.trace)
        return stamp_event(event, occurred_at=timestamp(self.clock.now()), trace=trace)
