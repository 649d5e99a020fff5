"""The function's entry: `services.ingress.handler.handle`, behind API Gateway."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any
from urllib.request import urlopen

from contracts.events.upstream import CaseSubmitted
from services.ingress.principal import Signer, SigningKeyUnavailable, as_sent
from services.ingress.submission import RequestRefused, read_call, submission
from services.ingress.tokens import KeysUnavailable, TokenRefused, Tokens
from switchyard.protocol.submissions import case_id_for

log = logging.getLogger(__name__)

TIMEOUT_S = 4
"""For each call, of the function's 15 s: whoever waits gets the 503 that says what to do."""


class NotAccepted(Exception):
    """The bus did not take the event. Remedy: send the request again; the idempotency key makes it the same case."""


Put = Callable[[CaseSubmitted], None]


def handle(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """What Lambda calls."""
    parts = _composed()
    return answer(event, tokens=parts.tokens, signer=parts.signer, put=parts.put, source=parts.source)


def answer(event: Mapping[str, Any], *, tokens: Tokens, signer: Signer, put: Put, source: str) -> dict[str, Any]:
    """The response to one request: 202 once the bus has the event, else what to do."""
    try:
        call = read_call(event)
        submitted = signer.signed(submission(call, tokens.asker(call.headers.get("authorization"))))
        put(submitted)
    except TokenRefused as refused:
        return _response(401, {"error": str(refused)}) | {"headers": _HEADERS | {"WWW-Authenticate": "Bearer"}}
    except RequestRefused as refused:
        return _response(400, {"error": str(refused)})
    except (KeysUnavailable, SigningKeyUnavailable, NotAccepted) as unavailable:
        log.error("%s: %s", type(unavailable).__name__, unavailable)  # noqa: TRY400 - a cause may quote a secret
        return _response(503, {"error": str(unavailable)})
    case_id = case_id_for(submitted.tenant, source, submitted.idempotency_key)
    return _response(202, {"case_id": str(case_id), "session_id": submitted.session_id})


def put_event(client: Any, bus: str, source: str, submitted: CaseSubmitted) -> None:
    """Put the submission on the bus. Raises `NotAccepted` unless the bus says that it has it."""
    from botocore.exceptions import BotoCoreError, ClientError

    entry = {
        "EventBusName": bus,
        "Source": source,
        "DetailType": CaseSubmitted.__name__,
        "Detail": json.dumps(as_sent(submitted)),
    }
    try:
        result = client.put_events(Entries=[entry])
    except (BotoCoreError, ClientError) as error:
        raise NotAccepted(f"the bus is out of reach ({type(error).__name__}); send it again") from error
    if result["FailedEntryCount"]:
        raise NotAccepted(f"the bus refused it ({result['Entries'][0].get('ErrorCode')}); send it again")


_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}


def _response(status: int, body: Mapping[str, Any]) -> dict[str, Any]:
    return {"statusCode": status, "headers": _HEADERS, "body": json.dumps(body)}


@dataclass(frozen=True)
class _Parts:
    tokens: Tokens
    signer: Signer
    put: Put
    source: str


@cache
def _composed() -> _Parts:
    """The function's parts, made at its first request from the environment that terraform gives it."""
    import boto3
    from botocore.config import Config

    url, source = os.environ["JWKS_URL"], os.environ["SOURCE"]
    if not url.startswith("https://"):
        raise ValueError("JWKS_URL must be https: whoever alters the keys decides who everybody is")
    once = Config(connect_timeout=1, read_timeout=TIMEOUT_S, retries={"total_max_attempts": 1})
    tokens = Tokens(
        issuer=os.environ["ISSUER"],
        audience=os.environ["AUDIENCE"],
        tenant_claim=os.environ["TENANT_CLAIM"],
        role_claim=os.environ["ROLE_CLAIM"],
        fetch=partial(_read, url),
    )
    secrets = boto3.client("secretsmanager", config=once)
    signer = Signer(source=source, fetch=partial(read_secret, secrets, os.environ["PRINCIPAL_KEY_SECRET_ARN"]))
    put = partial(put_event, boto3.client("events", config=once), os.environ["BUS"], source)
    return _Parts(tokens, signer, put, source)


def read_secret(client: Any, arn: str) -> str:
    """The text of a secret, read when it is needed, so that it never stands in the function's environment."""
    text: str = client.get_secret_value(SecretId=arn)["SecretString"]
    return text


def _read(url: str) -> bytes:
    with urlopen(url, timeout=TIMEOUT_S) as found:  # noqa: S310 - https only, see above
        data: bytes = found.read()
    return data
