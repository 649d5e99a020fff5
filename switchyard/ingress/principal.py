"""Signs the principal statement: who submits, and exactly this submission."""

from __future__ import annotations

import json
import secrets
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey
from pydantic import TypeAdapter

from switchyard.api.problems import TemporarilyUnavailable
from switchyard.api.requests import Feedback, Forgetting
from switchyard.api.user_tokens import AuthenticatedUser
from switchyard.protocol.events.upstream import ForgettingRequested
from switchyard.protocol.feedback import FEEDBACK_VALID_S, FeedbackClaims, feedback_digest
from switchyard.protocol.fields import Identifier
from switchyard.protocol.forgetting import forgetting_statement, person_commitment
from switchyard.protocol.principal_jws import import_private_key, sign_feedback, sign_principal
from switchyard.protocol.principals import PRINCIPAL_VALID_S, PrincipalClaims, submission_digest
from switchyard.protocol.submissions import OpenCase, UserSubmission, case_id_for

S = TypeVar("S", bound=UserSubmission)
_KID: TypeAdapter[str] = TypeAdapter(Identifier)

SIGNING_KEY_CACHE_S = 300.0
"""How long a key is cached in memory: a rotated key is in use everywhere after this time."""


FORGETTING_NAMESPACE = uuid.UUID("2c1d9a57-5a35-5b0e-9f39-7f0e6a0c9b41")


class SigningKeyUnavailable(TemporarilyUnavailable):
    """The signing key is not available: try again; check the secret `switchyard/principal_key` and its read access."""


class PrincipalSigner:
    """Signs submissions as `source`. `fetch` returns keys as JSON {"kid": "hex of 32 bytes"}; the first one signs."""

    def __init__(self, *, source: str, fetch: Callable[[], str], now: Callable[[], float] = time.time) -> None:
        self._source = source
        self._fetch = fetch
        self._now = now
        self._key: tuple[str, OKPKey] | None = None
        self._fetched = 0.0

    def signed(self, submitted: S, open_case: OpenCase) -> S:
        """The submission with its statement; `open_case` says what is sealed for it. Raises `InvalidEvent` if no case
        can follow from it, and `SigningKeyUnavailable`."""
        claimed = dict(open_case(submitted).claims or {})
        kid, key = self.current_key()
        now = int(self._now())
        claims = PrincipalClaims(
            iss=self._source,
            sub=submitted.user_id,
            tenant=submitted.tenant,
            session_id=submitted.session_id,
            role=claimed.get("role"),
            case_id=case_id_for(submitted.tenant, self._source, submitted.user_id, submitted.idempotency_key),
            content_sha256=str(claimed.get("content_sha256")),
            submission=submission_digest(bus_payload(submitted)),
            iat=now,
            exp=now + PRINCIPAL_VALID_S,
        )
        return submitted.model_copy(update={"principal": sign_principal(claims, kid, key)})

    def signed_feedback(self, feedback: Feedback, user: AuthenticatedUser, *, reviewer: bool) -> str:
        """The statement of what a user says about a case. Raises `SigningKeyUnavailable`."""
        kid, key = self.current_key()
        now = int(self._now())
        claims = FeedbackClaims(
            iss=self._source,
            sub=user.user_id,
            tenant=user.tenant,
            case_id=feedback.case_id,
            reviewer=reviewer,
            content_sha256=feedback_digest(feedback.thumb, feedback.reason),
            iat=now,
            exp=now + FEEDBACK_VALID_S,
        )
        return sign_feedback(claims, kid, key)

    def signed_forgetting(self, wanted: Forgetting, user: AuthenticatedUser) -> ForgettingRequested:
        """The request of a user to be forgotten. Raises `SigningKeyUnavailable`."""
        kid, key = self.current_key()
        nonce = secrets.token_hex(32)
        stated: dict[str, Any] = {
            "request_id": str(uuid.uuid5(FORGETTING_NAMESPACE, wanted.idempotency_key)),
            "tenant": user.tenant,
            "scope": wanted.scope,
            "memory": wanted.memory,
            "person": person_commitment(nonce, user.tenant, user.user_id),
            "signed_by": f"{self._source}/{kid}",
            "signed_at": datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        private = key.private_key
        if not isinstance(private, Ed25519PrivateKey):
            raise SigningKeyUnavailable("the signing key is not an Ed25519 private key")
        signature = private.sign(forgetting_statement(**stated)).hex()
        return ForgettingRequested(user_id=user.user_id, nonce=nonce, signature=signature, **stated)

    def current_key(self) -> tuple[str, OKPKey]:
        """The key that signs now, and its id. Raises `SigningKeyUnavailable`."""
        if self._key is None or self._now() - self._fetched > SIGNING_KEY_CACHE_S:
            try:
                secret = self._fetch()
            except Exception as error:
                # The boundary: an answer that is not the service's raises what its parser makes of it.
                raise SigningKeyUnavailable(f"the signing key cannot be read ({type(error).__name__})") from error
            self._key = _parse_signing_key(secret)
            self._fetched = self._now()
        return self._key


def bus_payload(submitted: UserSubmission) -> dict[str, Any]:
    """A submission as it is published on the bus, without empty fields."""
    return submitted.model_dump(mode="json", exclude_none=True)


def _parse_signing_key(secret: str) -> tuple[str, OKPKey]:
    try:
        kid, seed = next(iter(json.loads(secret).items()))
        _KID.validate_python(kid)
        return kid, import_private_key(bytes.fromhex(seed))
    except (ValueError, AttributeError, StopIteration, TypeError):
        # Without its cause, because a parser error quotes the secret.
        raise SigningKeyUnavailable('the secret is not JSON {"kid": "hex of 32 bytes"}') from None
