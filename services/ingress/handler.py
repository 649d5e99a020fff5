"""The function's entry: `services.ingress.handler.handle`, behind API Gateway."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any
from urllib.request import urlopen

from contracts.events.upstream import CaseSubmitted
from services.ingress.principal import PrincipalSigner, SigningKeyUnavailable, bus_payload
from services.ingress.settings import IngressSettings
from services.ingress.submission import InvalidRequest, build_submission, read_api_request
from services.ingress.tokens import TokenVerifier
from switchyard.identity.jwt_verifier import InvalidJwt, JwksUnavailable, JwtVerifier
from switchyard.protocol.submissions import case_id_for

log = logging.getLogger(__name__)

BUS_TIMEOUT_S = 4
"""Time limit per call, within the function's 15 s, so that the caller gets a 503 with its remedy."""


class SubmissionNotPublished(Exception):
    """The bus did not accept the event: send the request again; the idempotency key keeps it the same case."""


PutSubmission = Callable[[CaseSubmitted], None]


def handle(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """The entry point of Lambda."""
    parts = _build_dependencies()
    return respond(event, tokens=parts.tokens, signer=parts.signer, put=parts.put, source=parts.source)


def respond(
    event: Mapping[str, Any], *, tokens: TokenVerifier, signer: PrincipalSigner, put: PutSubmission, source: str
) -> dict[str, Any]:
    """The response to a request: 202 once the bus has accepted the event, otherwise an error with its remedy."""
    try:
        call = read_api_request(event)
        submitted = signer.signed(build_submission(call, tokens.authenticated_user(call.headers.get("authorization"))))
        put(submitted)
    except InvalidJwt as refused:
        return _response(401, {"error": str(refused)}) | {"headers": _HEADERS | {"WWW-Authenticate": "Bearer"}}
    except InvalidRequest as refused:
        return _response(400, {"error": str(refused)})
    except (JwksUnavailable, SigningKeyUnavailable, SubmissionNotPublished) as unavailable:
        log.error("%s: %s", type(unavailable).__name__, unavailable)  # noqa: TRY400 - a cause may quote a secret
        return _response(503, {"error": str(unavailable)})
    case_id = case_id_for(submitted.tenant, source, submitted.user_id, submitted.idempotency_key)
    return _response(202, {"case_id": str(case_id), "session_id": submitted.session_id})


def put_event(client: Any, bus: str, source: str, submitted: CaseSubmitted) -> None:
    """Put the submission on the bus. Raises `SubmissionNotPublished` unless the bus confirms it."""
    entry = {
        "EventBusName": bus,
        "Source": source,
        "DetailType": CaseSubmitted.__name__,
        "Detail": json.dumps(bus_payload(submitted)),
    }
    try:
        (answer,) = client.put_events(Entries=[entry])["Entries"]
        refused = answer.get("ErrorCode")
        accepted = answer.get("EventId")
    except Exception as error:
        # The boundary: an answer that is not the bus's (a proxy's page) raises what its parser makes of it.
        raise SubmissionNotPublished(f"the bus is unreachable ({type(error).__name__}); send it again") from error
    if refused or not accepted:
        raise SubmissionNotPublished(f"the bus rejected the event ({refused}); send it again")


_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}


def _response(status: int, body: Mapping[str, Any]) -> dict[str, Any]:
    return {"statusCode": status, "headers": _HEADERS, "body": json.dumps(body)}


@dataclass(frozen=True)
class _Dependencies:
    tokens: TokenVerifier
    signer: PrincipalSigner
    put: PutSubmission
    source: str


@cache
def _build_dependencies() -> _Dependencies:
    """The function's dependencies, built at the first request from the environment that terraform sets."""
    import boto3
    from botocore.config import Config

    settings = IngressSettings.read()
    once = Config(connect_timeout=1, read_timeout=BUS_TIMEOUT_S, retries={"total_max_attempts": 1})
    tokens = TokenVerifier(
        JwtVerifier(issuer=settings.issuer, fetch=partial(_fetch_url, settings.jwks_url)),
        audience=settings.audience,
        tenant_claim=settings.tenant_claim,
        role_claim=settings.role_claim,
    )
    secrets = boto3.client("secretsmanager", config=once)
    fetch = partial(read_secret, secrets, settings.principal_key_secret_arn)
    signer = PrincipalSigner(source=settings.source, fetch=fetch)
    put = partial(put_event, boto3.client("events", config=once), settings.bus, settings.source)
    return _Dependencies(tokens, signer, put, settings.source)


def read_secret(client: Any, arn: str) -> str:
    """The text of a secret, read when needed, so that it is never stored in the function's environment."""
    text: str = client.get_secret_value(SecretId=arn)["SecretString"]
    return text


def _fetch_url(url: str) -> bytes:
    with urlopen(url, timeout=BUS_TIMEOUT_S) as found:  # noqa: S310 - https only, see above
        data: bytes = found.read()
    return data
