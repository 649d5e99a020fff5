"""Who asks, as an ingress signed it: believed for one submission, from the source whose key it is, for a while."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from switchyard.case_manager.rejections import PrincipalExpired, PrincipalInvalid
from switchyard.protocol.canonical import parse_json
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Json
from switchyard.protocol.principals import (
    PRINCIPAL_ALGORITHM,
    PRINCIPAL_FIELD,
    PRINCIPAL_TOKEN_TYPE,
    PRINCIPAL_VALID_S,
    PrincipalClaims,
    submission_digest,
)
from switchyard.protocol.submissions import CaseOpening, Submission, case_id_for

PRINCIPAL_LEEWAY_S = 30
"""How far the ingress's clock may be from the case manager's."""

_SIGN_AGAIN = "let the ingress sign this very submission, under the source that puts it on the bus"
_SEE_KEYS = "see SWITCHYARD_PRINCIPAL_KEYS: the ingress signs only with a key that the case manager has"


@dataclass(frozen=True)
class VerifiedPrincipal:
    """A statement whose signature holds."""

    kid: str
    claims: PrincipalClaims
    statement: str

    @property
    def sha256(self) -> str:
        """Of the statement, in hex."""
        return hashlib.sha256(self.statement.encode()).hexdigest()

    def check_time(self, now: datetime) -> None:
        """Raise `PrincipalExpired` before the statement's time, or after it."""
        seconds = now.timestamp()
        if seconds < self.claims.iat - PRINCIPAL_LEEWAY_S:
            raise _principal_error(
                "principal_not_yet_valid", "it was signed in the future", "set the clocks right", late=True
            )
        if seconds > min(self.claims.exp, self.claims.iat + PRINCIPAL_VALID_S) + PRINCIPAL_LEEWAY_S:
            remedy = "send it again, under the same idempotency key if you like: no case was opened"
            raise _principal_error("principal_expired", "it lay too long before intake", remedy, late=True)


class PrincipalKeys:
    """The keys of the sources that must sign, by source and kid. Raises `ValueError` for a key that is not 32 bytes."""

    def __init__(self, keys: Mapping[str, Mapping[str, bytes]]) -> None:
        self._keys = {
            source: {kid: Ed25519PublicKey.from_public_bytes(key) for kid, key in own.items()}
            for source, own in keys.items()
        }

    def must_sign(self, source: str) -> bool:
        """Whether nothing is believed of this source that it has not signed."""
        return source in self._keys

    def verified_principal(self, source: str, statement: str | None) -> VerifiedPrincipal:
        """A statement that this source signed. Raises `PrincipalInvalid`."""
        if statement is None:
            raise _principal_error("principal_missing", "this source must sign who asks, and did not")
        head, body, signature = _parts(statement)
        if head.get("typ") != PRINCIPAL_TOKEN_TYPE:
            raise _principal_error("principal_foreign", "the token was signed for something else")
        kid = str(head.get("kid"))
        key = self._keys.get(source, {}).get(kid)
        if key is None:
            raise _principal_error("principal_unknown_key", "the key is none of this source's", _SEE_KEYS)
        try:
            key.verify(signature, statement.rpartition(".")[0].encode())
        except InvalidSignature:
            raise _principal_error("principal_forged", "the signature does not hold", _SEE_KEYS) from None
        try:
            claims = PrincipalClaims.model_validate_json(json.dumps(body))
        except ValidationError:
            raise _principal_error("principal_unreadable", "the claims are not those of the contract") from None
        if claims.iss != source:
            raise _principal_error("principal_foreign", "it was signed for another source")
        return VerifiedPrincipal(kid, claims, statement)


def check_principal(
    verified_principal: VerifiedPrincipal, source: str, submitted: Submission, opening: CaseOpening, detail: Json
) -> None:
    """Raise `PrincipalInvalid` unless the statement is about exactly this submission."""
    claims = verified_principal.claims
    same = {
        "submission": claims.submission == submission_digest(detail),
        "case_id": claims.case_id == case_id_for(submitted.tenant, source, submitted.idempotency_key),
        "sub": claims.sub == opening.person,
        "tenant": claims.tenant == submitted.tenant,
        "session_id": claims.session_id == submitted.session_id,
        **{name: getattr(claims, name) == value for name, value in (opening.claims or {}).items()},
    }
    for claim, holds in same.items():
        if not holds:
            raise _principal_error("principal_mismatch", f"its claim {claim} is another submission's")


def _principal_error(code: str, message: str, remedy: str = _SIGN_AGAIN, *, late: bool = False) -> PrincipalInvalid:
    return (PrincipalExpired if late else PrincipalInvalid)(code, message, field=PRINCIPAL_FIELD, remedy=remedy)


def _parts(statement: str) -> tuple[Json, Json, bytes]:
    """Header, payload and signature of a compact JWS. Only the form that we sign is read."""
    try:
        head, body, signature = (_decoded(part) for part in statement.split("."))
        header, payload = parse_json(head), parse_json(body)
    except (ValueError, InvalidEvent):
        raise _principal_error("principal_unreadable", "it is no JWS in compact form") from None
    if header.keys() != {"alg", "kid", "typ"} or header["alg"] != PRINCIPAL_ALGORITHM:
        # "none", another algorithm, or an extension that would have to be understood (RFC 7515, 4.1.11).
        raise _principal_error("principal_unreadable", f"its header is not alg {PRINCIPAL_ALGORITHM}, kid and typ")
    return header, payload, signature


def _decoded(part: str) -> bytes:
    data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=") != part.encode():
        raise ValueError("not base64url in its one form")
    return data
