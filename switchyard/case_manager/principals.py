"""Verified principals: who submits a case, as its ingress signed it, for one submission, source and period."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from switchyard.case_manager.rejections import PrincipalExpired, PrincipalInvalid
from switchyard.protocol.feedback import FeedbackClaims
from switchyard.protocol.fields import Json
from switchyard.protocol.grants import GrantClaims
from switchyard.protocol.principal_jws import (
    PrincipalStatementInvalid,
    import_public_key,
    verify_feedback,
    verify_grant,
    verify_principal,
)
from switchyard.protocol.principals import PRINCIPAL_FIELD, PRINCIPAL_VALID_S, PrincipalClaims, submission_digest
from switchyard.protocol.signing import OperatorKeys, source_keys
from switchyard.protocol.submissions import CaseOpening, Submission, case_id_for

PRINCIPAL_LEEWAY_S = 30
"""Permitted difference between the ingress's clock and the case manager's."""

_SIGN_AGAIN = "let the ingress sign this very submission, under the source that puts it on the bus"
_SEE_KEYS = "see SWITCHYARD_PRINCIPAL_KEYS: the ingress signs only with a key that the case manager has"
_REMEDIES = {"unknown_key": _SEE_KEYS, "forged": _SEE_KEYS}


@dataclass(frozen=True)
class VerifiedPrincipal:
    """A statement whose signature is valid."""

    kid: str
    claims: PrincipalClaims
    statement: str
    grant: GrantClaims | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 of the statement, in hex."""
        return hashlib.sha256(self.statement.encode()).hexdigest()

    def check_time(self, now: datetime) -> None:
        """Raise `PrincipalExpired` if the statement is not valid yet, or not any more."""
        seconds = now.timestamp()
        if seconds < self.claims.iat - PRINCIPAL_LEEWAY_S:
            raise _principal_error(
                "principal_not_yet_valid", "it was signed in the future", "set the clocks right", late=True
            )
        if seconds > min(self.claims.exp, self.claims.iat + PRINCIPAL_VALID_S) + PRINCIPAL_LEEWAY_S:
            remedy = "send it again, under the same idempotency key if you like: no case was opened"
            raise _principal_error("principal_expired", "it expired before intake", remedy, late=True)


class PrincipalKeys:
    """Public keys by source and key id. Raises `ValueError` for a key that is not 32 bytes."""

    def __init__(self, keys: Mapping[str, Mapping[str, bytes]]) -> None:
        self.signers: OperatorKeys = source_keys(keys)
        """The same keys, by `source/key id`."""
        self._keys = {source: {kid: import_public_key(key) for kid, key in own.items()} for source, own in keys.items()}

    def must_sign(self, source: str) -> bool:
        """Whether submissions of this source need a statement."""
        return source in self._keys

    def verified_grant(self, source: str, statement: str) -> GrantClaims:
        """The claims of a grant that this source signed. Raises `PrincipalInvalid`."""
        try:
            _, claims = verify_grant(statement, self._keys.get(source, {}))
        except PrincipalStatementInvalid as error:
            remedy = _REMEDIES.get(error.code, _SIGN_AGAIN)
            raise _principal_error(f"grant_{error.code}", error.message, remedy) from None
        if claims.iss != source:
            raise _principal_error("grant_foreign", "it was signed for another source")
        return claims

    def verified_feedback(self, source: str, statement: str) -> FeedbackClaims:
        """The claims of feedback that this source signed. Raises `PrincipalInvalid`."""
        try:
            claims = verify_feedback(statement, self._keys.get(source, {}))
        except PrincipalStatementInvalid as error:
            remedy = _REMEDIES.get(error.code, _SIGN_AGAIN)
            raise _principal_error(f"feedback_{error.code}", error.message, remedy) from None
        if claims.iss != source:
            raise _principal_error("feedback_foreign", "it was signed for another source")
        return claims

    def verified_principal(self, source: str, statement: str | None, grant: str | None = None) -> VerifiedPrincipal:
        """The statement, and the grant beside it, if this source signed both. Raises `PrincipalInvalid`."""
        if statement is None:
            raise _principal_error("principal_missing", "this source must sign who asks, and the statement is missing")
        try:
            kid, claims = verify_principal(statement, self._keys.get(source, {}))
        except PrincipalStatementInvalid as error:
            remedy = _REMEDIES.get(error.code, _SIGN_AGAIN)
            raise _principal_error(f"principal_{error.code}", error.message, remedy) from None
        if claims.iss != source:
            raise _principal_error("principal_foreign", "it was signed for another source")
        granted = None if grant is None else self.verified_grant(source, grant)
        return VerifiedPrincipal(kid, claims, statement, granted)


def check_principal(
    verified_principal: VerifiedPrincipal, source: str, submitted: Submission, opening: CaseOpening, detail: Json
) -> None:
    """Raise `PrincipalInvalid` unless every claim matches this submission."""
    claims = verified_principal.claims
    same = {
        "submission": claims.submission == submission_digest(detail),
        "case_id": claims.case_id
        == case_id_for(submitted.tenant, source, opening.principal, submitted.idempotency_key),
        "sub": claims.sub == opening.person,
        "tenant": claims.tenant == submitted.tenant,
        "session_id": claims.session_id == submitted.session_id,
        "grant": (granted := verified_principal.grant) is None
        or (granted.sub, granted.tenant) == (claims.sub, claims.tenant),
        **{name: getattr(claims, name) == value for name, value in (opening.claims or {}).items()},
    }
    for claim, holds in same.items():
        if not holds:
            raise _principal_error("principal_mismatch", f"the claim {claim} does not match the submission")
    if opening.role is not None and granted is None:
        raise _principal_error("grant_missing", "a user's role comes with the grant that permits it, which is missing")


def _principal_error(code: str, message: str, remedy: str = _SIGN_AGAIN, *, late: bool = False) -> PrincipalInvalid:
    return (PrincipalExpired if late else PrincipalInvalid)(code, message, field=PRINCIPAL_FIELD, remedy=remedy)
