"""Intake: an upstream's payload becomes the case's first event."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from switchyard.case_manager.keyed_hash import KeyedHash
from switchyard.case_manager.openings import CaseOpener
from switchyard.case_manager.principals import PrincipalKeys, VerifiedPrincipal, check_principal
from switchyard.case_manager.rejections import PrincipalExpired, PrincipalInvalid, SubmissionInvalid
from switchyard.case_manager.sessions import TurnRules, session_key, with_turn
from switchyard.case_manager.store import CaseStore, SessionState
from switchyard.protocol.catalogue import MAX_SOURCE, UPSTREAM_PREFIX
from switchyard.protocol.errors import InvalidEvent, forged
from switchyard.protocol.events.case_manager import SubmissionRejected
from switchyard.protocol.fields import Identifier, Json
from switchyard.protocol.principals import PRINCIPAL_FIELD, without_principal_and_grant
from switchyard.protocol.received import first_validation_error
from switchyard.protocol.submissions import CaseOpening, Submission, Submissions, case_id_for, playbook_of
from switchyard.runtime.core.clock import Clock, moment
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.messaging.first_event import build_report

log = structlog.get_logger(__name__)

"""Leaves room for the prefixes under which claims name the source."""

OVER_LIMIT = "over_limit"
"""The code of a submission for which there was no room."""

_IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)


class UpstreamPolicy(BaseModel):
    """What one upstream may ask for, as shell patterns; nothing unless it is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenants: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    share: int = Field(default=1, ge=1, le=100)
    """How many cases are opened for it in the time of one case of another upstream, while both wait."""


@dataclass(frozen=True)
class CaseIntake:
    """What intake depends on. `mac` hashes what upstream sent, keyed, so that none of it can be guessed back."""

    submissions: Submissions
    store: CaseStore
    openings: CaseOpener
    clock: Clock
    mac: KeyedHash
    upstreams: Mapping[str, UpstreamPolicy] | None = None
    """What each upstream may ask for. With None every source that IAM lets on the bus may submit for any tenant, and no
    source may name a role, but for a user's whose grant permits it."""
    principals: PrincipalKeys = field(default_factory=lambda: PrincipalKeys({}))
    """The keys of sources that must sign who asks; every other source is believed."""
    turns: TurnRules = field(default_factory=TurnRules)
    rejection_samples: int = 5
    """How many rejections of one source, tenant, code and hour are events; those beyond are counted."""

    def accepts(self, detail_type: str) -> bool:
        """Whether a bus event of this detail-type is a submission."""
        return any(model.__name__ == detail_type for model in self.submissions)

    async def open_case(self, source: str, detail: Json, detail_type: str) -> list[Json]:
        """The events to publish for a submission: its opening, `SubmissionRejected`, or none while it waits for its
        turn or its playbook."""
        check_source(source)
        would_be = None
        try:
            submitted, opening = self._read_submission(detail_type, detail)
            would_be = case_id_for(submitted.tenant, source, opening.principal, submitted.idempotency_key)
            self._check_allowed(source, submitted, opening)
            return await self._taken(source, detail, submitted, opening)
        except SubmissionInvalid as refused:
            if isinstance(refused, PrincipalInvalid) and not isinstance(refused, PrincipalExpired):
                log.error("submission.not_vouched_for", alarm="integrity", code=refused.code, submitted_by=source)  # noqa: TRY400 - the code is the whole of it
            return await self.reject(source, detail_type, detail, refused, code=refused.code, would_be=would_be)

    async def _taken(self, source: str, detail: Json, submitted: Submission, opening: CaseOpening) -> list[Json]:
        # Sent again it is signed again, and still the same submission.
        mac = self.mac(without_principal_and_grant(detail))
        case_id = case_id_for(submitted.tenant, source, opening.principal, submitted.idempotency_key)
        key = self._session_key(source, submitted, opening)
        known_submission, session = await self.store.known_submission(case_id, key)
        if known_submission is not None and hmac.compare_digest(known_submission.payload_mac, mac):
            # What became a case stays one, even after its hours and keys have expired: only its own event follows.
            return [] if known_submission.deferred else [known_submission.opened]
        verified_principal = self._vouched(source, submitted, opening, detail)
        if known_submission is None:
            if verified_principal is not None:
                verified_principal.check_time(self.clock.now())
            await self._check_turn(submitted.playbook, case_id, key, session)
            opened, sealed_address = await self._opened(case_id, source, submitted, opening, verified_principal)
            if verified_principal is not None:
                # Sealing takes a while. An auditor has this time to go by and no other.
                verified_principal.check_time(moment(opened["occurred_at"]))
            due = datetime.fromisoformat(opened["case_deadline"])
            subject_key = None if opening.address is None else self.mac.address(submitted.tenant, opening.address)
            while known_submission is None:
                await self._check_turn(submitted.playbook, case_id, key, session)
                case = opened if key is None else with_turn(opened, session)
                deferred = await self.store.record_case(
                    case,
                    payload_mac=mac,
                    playbook=submitted.playbook,
                    due=due,
                    subject_key=subject_key,
                    sealed_address=sealed_address,
                    session=key,
                    turns=session.turns,
                    may_queue=0 if key is None else self.turns.may_queue(submitted.playbook),
                )
                if deferred is not None:
                    return [] if deferred else [case]
                # Another worker was first: with this submission, or with another turn of the session.
                known_submission, session = await self.store.known_submission(case_id, key)
        if not hmac.compare_digest(known_submission.payload_mac, mac):
            message = "another payload was submitted under the same idempotency key"
            remedy = "use a new key for a new submission; repeat the same payload to repeat one"
            raise SubmissionInvalid("submission_conflict", message, field="idempotency_key", remedy=remedy)
        return [] if known_submission.deferred else [known_submission.opened]

    def session_of(self, source: str, detail: Json, detail_type: str) -> bytes | None:
        """The session that a submission names; None if its playbook has no sessions, or it will be rejected."""
        model = next(model for model in self.submissions if model.__name__ == detail_type)
        if playbook_of(model) not in self.turns.policies:
            return None
        try:
            return self._session_key(source, *self._read_submission(detail_type, detail))
        except SubmissionInvalid:
            return None

    def _session_key(self, source: str, submitted: Submission, opening: CaseOpening) -> bytes | None:
        in_session = submitted.playbook in self.turns.policies
        return session_key(self.mac, source, submitted, opening) if in_session else None

    async def _check_turn(self, playbook: str, case_id: str, key: bytes | None, session: SessionState) -> None:
        """Raise `SubmissionInvalid` if the session has no turn for this submission."""
        problem = None if key is None else self.turns.find_problem(playbook, session)
        if key is None or problem is None:
            return
        if session.refused or await self.store.refuse_turn(key, case_id, session.turns):
            raise problem

    def _vouched(
        self, source: str, submitted: Submission, opening: CaseOpening, detail: Json
    ) -> VerifiedPrincipal | None:
        """The statement that a source which must sign made about this submission; None for the others."""
        if not self.principals.must_sign(source):
            return None
        statement = None if opening.claims is None else getattr(submitted, PRINCIPAL_FIELD, None)
        verified_principal = self.principals.verified_principal(source, statement, opening.grant)
        check_principal(verified_principal, source, submitted, opening, detail)
        return verified_principal

    async def _opened(
        self,
        case_id: str,
        source: str,
        submitted: Submission,
        opening: CaseOpening,
        verified_principal: VerifiedPrincipal | None,
    ) -> tuple[Json, bytes | None]:
        try:
            return await self.openings.open_case(case_id, source, submitted, opening, verified_principal)
        except PermanentTaskError as error:
            raise SubmissionInvalid(error.code, error.message, field=error.field, remedy=error.remedy) from error

    def _check_allowed(self, source: str, submitted: Submission, opening: CaseOpening) -> None:
        """Raise `SubmissionInvalid` if this upstream may not ask this. A role comes from a user's grant, which is
        checked with the statement of who asks, or from this configuration."""
        if self.upstreams is None:
            signs = self.principals.must_sign(source)
            allowed = UpstreamPolicy(tenants=("*",), roles=("*",) if signs else ())
        else:
            allowed = self.upstreams.get(source, UpstreamPolicy())
        asked = {"tenant": (submitted.tenant, allowed.tenants), "role": (opening.role, allowed.roles)}
        for name, (value, patterns) in asked.items():
            if value is not None and not any(fnmatchcase(value, pattern) for pattern in patterns):
                remedy = f"allow it to {source} in SWITCHYARD_UPSTREAMS, or submit from the upstream that may"
                message = f"this upstream may not submit for that {name}"
                raise SubmissionInvalid("not_authorised", message, field=name, remedy=remedy)

    def _read_submission(self, detail_type: str, detail: Json) -> tuple[Submission, CaseOpening]:
        model = next(model for model in self.submissions if model.__name__ == detail_type)
        try:
            submitted = model.model_validate_json(json.dumps(detail))
            return submitted, self.submissions[model](submitted)
        except ValidationError as error:
            where, message = first_validation_error(error)
            remedy = f"send {detail_type} as its JSON Schema has it"
            raise SubmissionInvalid("invalid_submission", message, field=where, remedy=remedy) from None
        except InvalidEvent as error:
            raise SubmissionInvalid(
                "invalid_submission", error.message, field=error.field, remedy=error.remedy
            ) from error

    async def reject(
        self,
        source: str,
        detail_type: str,
        detail: Json,
        problem: InvalidEvent,
        *,
        code: str,
        would_be: str | None = None,
    ) -> list[Json]:
        """The rejection of a submission, the same however often it is asked for; none if there were many alike, which
        are counted and reported together. `would_be` is the case that it would have become."""
        payload = SubmissionRejected(
            code=code,
            message=problem.message,
            field=problem.field,
            remedy=problem.remedy,
            type=detail_type,
            submitted_by=source,
            would_be=would_be,
        )
        event = build_report(
            self.openings.catalogue,
            payload,
            # Keyed by what was sent, so that a redelivery is the same rejection and another bad payload another.
            chain=f"rejected/{source}/{self.mac(detail).hex()}",
            tenant=tenant_of(detail),
            sub=f"service:{source}",
            session_id=_identifier(detail.get("session_id")),
            now=self.clock.now(),
        )
        await self._tell_user(source, detail, payload)
        # Of a source that has too many waiting, one word in an hour is enough.
        samples = 1 if code == OVER_LIMIT else self.rejection_samples
        return await self.store.reject(event, samples=samples, now=self.clock.now())

    async def _tell_user(self, source: str, detail: Json, problem: SubmissionRejected) -> None:
        """Keep why, under the id that the user was answered, for a source that users ask through."""
        statement = detail.get(PRINCIPAL_FIELD)
        if not self.principals.must_sign(source) or not isinstance(statement, str):
            return
        try:
            claims = self.principals.verified_principal(source, statement).claims
        except PrincipalInvalid:
            return
        person = self.openings.persons.person(claims.tenant, claims.sub)
        await self.store.remember_rejected(claims.case_id, person, problem.model_dump())


def check_source(source: str) -> None:
    """Raise `InvalidEvent` (forged) unless the source is an upstream's that claims can name."""
    if not source.startswith(UPSTREAM_PREFIX) or len(source) > MAX_SOURCE or _identifier(source) != source:
        remedy = f"publish as {UPSTREAM_PREFIX}name, in visible ASCII"
        raise forged("a submission from a source that is no upstream", "source", remedy)


def may_submit_for(upstreams: Mapping[str, UpstreamPolicy] | None, source: str, tenant: str) -> bool:
    """Whether this upstream may speak for this tenant."""
    return upstreams is None or any(
        fnmatchcase(tenant, pattern) for pattern in upstreams.get(source, UpstreamPolicy()).tenants
    )


def tenant_of(detail: Json) -> str:
    """The tenant that a submission names, if it is an identifier."""
    return _identifier(detail.get("tenant"))


def _identifier(value: object) -> str:
    """What upstream called it if that is an identifier, else a word that says that it was not."""
    try:
        return _IDENTIFIER.validate_python(value)
    except ValidationError:
        return "unreadable"
