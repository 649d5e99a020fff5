"""Signs and verifies principal statements (`switchyard.protocol.principals`) and grants (`switchyard.protocol.grants`)
as a JWS: one implementation for the ingress, the case manager, the identity service and auditors. Needs joserfc, which
the contracts do not import."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from joserfc import jws
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import OKPKey
from joserfc.util import urlsafe_b64decode, urlsafe_b64encode
from pydantic import ValidationError

from switchyard.protocol.canonical import parse_foreign_json
from switchyard.protocol.errors import malformed
from switchyard.protocol.feedback import FEEDBACK_TOKEN_TYPE, FeedbackClaims
from switchyard.protocol.fields import StrictContract
from switchyard.protocol.grants import GRANT_TOKEN_TYPE, GrantClaims
from switchyard.protocol.principals import PRINCIPAL_ALGORITHM, PRINCIPAL_TOKEN_TYPE, PrincipalClaims

C = TypeVar("C", bound=StrictContract)
_ALGORITHMS = [PRINCIPAL_ALGORITHM]


class PrincipalStatementInvalid(Exception):
    """A principal statement is not accepted. `code` names the reason: unreadable, foreign, unknown_key or forged."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def import_private_key(seed: bytes) -> OKPKey:
    """A key that signs. Raises `ValueError` for a seed that is not 32 bytes."""
    return OKPKey.import_key(Ed25519PrivateKey.from_private_bytes(seed))


def import_public_key(key: bytes) -> OKPKey:
    """A key that verifies. Raises `ValueError` for a key that is not 32 bytes."""
    return OKPKey.import_key(Ed25519PublicKey.from_public_bytes(key))


def sign_principal(claims: PrincipalClaims, kid: str, key: OKPKey) -> str:
    """The statement: a JWS in compact form."""
    return _sign(claims, kid, key, PRINCIPAL_TOKEN_TYPE)


def read_jws_header(token: str) -> dict[str, Any]:
    """The header of a JWS or JWT in compact form; nothing is verified. Raises `InvalidEvent` (malformed).

    Read before joserfc reads it, whose parser has no bound of depth.
    """
    return _read_part(token, 0, "header")


def read_jws_claims(token: str) -> dict[str, Any]:
    """The claims of a JWT in compact form; nothing is verified. Raises `InvalidEvent` (malformed)."""
    return _read_part(token, 1, "content")


def _read_part(token: str, number: int, name: str) -> dict[str, Any]:
    remedy = "send the token as it was signed"
    try:
        part = token.split(".", 3)[number]
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (IndexError, ValueError):
        raise malformed("not a JWS in compact form", remedy=remedy) from None
    read = parse_foreign_json(data)
    if not isinstance(read, dict):
        raise malformed(f"the {name} of a JWS is not an object", remedy=remedy)
    return read


def verify_principal(statement: str, keys: Mapping[str, OKPKey]) -> tuple[str, PrincipalClaims]:
    """The key id and the claims of a statement that one of these keys signed. Raises `PrincipalStatementInvalid`."""
    return _verify(statement, keys, PrincipalClaims, PRINCIPAL_TOKEN_TYPE)


def sign_grant(claims: GrantClaims, kid: str, key: OKPKey) -> str:
    """The grant: a JWS in compact form."""
    return _sign(claims, kid, key, GRANT_TOKEN_TYPE)


def verify_grant(statement: str, keys: Mapping[str, OKPKey]) -> tuple[str, GrantClaims]:
    """The key id and the claims of a grant that one of these keys signed. Raises `PrincipalStatementInvalid`."""
    return _verify(statement, keys, GrantClaims, GRANT_TOKEN_TYPE)


def sign_feedback(claims: FeedbackClaims, kid: str, key: OKPKey) -> str:
    """What a user says about a case: a JWS in compact form."""
    return _sign(claims, kid, key, FEEDBACK_TOKEN_TYPE)


def verify_feedback(statement: str, keys: Mapping[str, OKPKey]) -> FeedbackClaims:
    """The claims of feedback that one of these keys signed. Raises `PrincipalStatementInvalid`."""
    return _verify(statement, keys, FeedbackClaims, FEEDBACK_TOKEN_TYPE)[1]


def _sign(claims: StrictContract, kid: str, key: OKPKey, token_type: str) -> str:
    header = {"alg": PRINCIPAL_ALGORITHM, "kid": kid, "typ": token_type}
    return jws.serialize_compact(header, claims.model_dump_json(exclude_none=True), key, algorithms=_ALGORITHMS)


def _verify(statement: str, keys: Mapping[str, OKPKey], model: type[C], token_type: str) -> tuple[str, C]:
    """The header is exactly `alg` (Ed25519), `kid` and `typ`: "none", another algorithm, or an extension that would
    have to be understood (RFC 7515, 4.1.11) is not accepted."""
    try:
        read_jws_header(statement)
        signed = jws.extract_compact(statement.encode())
        header, signature = signed.protected, signed.segments["signature"]
        canonical = urlsafe_b64encode(urlsafe_b64decode(signature)) == signature
    except (JoseError, ValueError, TypeError, AttributeError):
        raise PrincipalStatementInvalid("unreadable", "the statement is not a JWS in compact form") from None
    if header.keys() != {"alg", "kid", "typ"} or header["alg"] != PRINCIPAL_ALGORITHM or not canonical:
        raise PrincipalStatementInvalid("unreadable", f"the header is not exactly alg {PRINCIPAL_ALGORITHM}, kid, typ")
    if header["typ"] != token_type:
        raise PrincipalStatementInvalid("foreign", "the token was signed for another purpose")
    key = keys.get(str(header["kid"]))
    if key is None:
        raise PrincipalStatementInvalid("unknown_key", "the key id is not configured for this source")
    try:
        jws.deserialize_compact(statement, key, algorithms=_ALGORITHMS)
        return str(header["kid"]), model.model_validate_json(signed.payload or b"")
    except BadSignatureError:
        raise PrincipalStatementInvalid("forged", "the signature is invalid") from None
    except (JoseError, ValidationError):
        raise PrincipalStatementInvalid("unreadable", "the claims do not match the contract") from None
