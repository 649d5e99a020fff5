"""The statement that this function signs: who asks, and that they ask exactly this."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.jwk import OKPKey
from pydantic import TypeAdapter

from contracts.events.upstream import CaseSubmitted
from switchyard.protocol.fields import Identifier
from switchyard.protocol.principals import (
    PRINCIPAL_ALGORITHM,
    PRINCIPAL_TOKEN_TYPE,
    PRINCIPAL_VALID_S,
    PrincipalClaims,
    question_digest,
    submission_digest,
)
from switchyard.protocol.submissions import case_id_for

_KID: TypeAdapter[str] = TypeAdapter(Identifier)

SIGNING_KEY_CACHE_S = 300.0
"""How long a key is kept in memory: a replaced one is in use everywhere after this long."""


class SigningKeyUnavailable(Exception):
    """The key cannot be had. Remedy: try again; see the secret `switchyard/principal_key` and who may read it."""


class PrincipalSigner:
    """Signs submissions as `source`. `fetch` gives keys, as JSON {"kid": "hex of 32 bytes"}: the first one signs."""

    def __init__(self, *, source: str, fetch: Callable[[], str], now: Callable[[], float] = time.time) -> None:
        self._source = source
        self._fetch = fetch
        self._now = now
        self._key: tuple[str, OKPKey] | None = None
        self._fetched = 0.0

    def signed(self, submitted: CaseSubmitted) -> CaseSubmitted:
        """The submission with its statement. Raises `SigningKeyUnavailable`."""
        kid, key = self._current()
        now = int(self._now())
        claims = PrincipalClaims(
            iss=self._source,
            sub=submitted.user_id,
            tenant=submitted.tenant,
            session_id=submitted.session_id,
            role=submitted.role,
            case_id=case_id_for(submitted.tenant, self._source, submitted.idempotency_key),
            question_sha256=question_digest(submitted.question),
            submission=submission_digest(bus_payload(submitted)),
            iat=now,
            exp=now + PRINCIPAL_VALID_S,
        )
        head = {"alg": PRINCIPAL_ALGORITHM, "kid": kid, "typ": PRINCIPAL_TOKEN_TYPE}
        payload = claims.model_dump_json(exclude_none=True)
        return submitted.model_copy(
            update={"principal": jws.serialize_compact(head, payload, key, algorithms=[PRINCIPAL_ALGORITHM])}
        )

    def _current(self) -> tuple[str, OKPKey]:
        if self._key is None or self._now() - self._fetched > SIGNING_KEY_CACHE_S:
            try:
                self._key = _parse_signing_key(self._fetch())
            except (BotoCoreError, ClientError, OSError) as error:
                raise SigningKeyUnavailable(f"the signing key is out of reach ({type(error).__name__})") from error
            self._fetched = self._now()
        return self._key


def bus_payload(submitted: CaseSubmitted) -> dict[str, Any]:
    """A submission as it goes on the bus: what is not said is left out."""
    return submitted.model_dump(mode="json", exclude_none=True)


def _parse_signing_key(secret: str) -> tuple[str, OKPKey]:
    try:
        kid, seed = next(iter(json.loads(secret).items()))
        _KID.validate_python(kid)
        return kid, OKPKey.import_key(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)))
    except (ValueError, AttributeError, StopIteration, TypeError):
        # Without its cause: a parser's error keeps the text that it could not read.
        raise SigningKeyUnavailable('the secret is not JSON {"kid": "hex of 32 bytes"}') from None
