"""A request to the API becomes a submission. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from contracts.events.upstream import CaseSubmitted
from services.ingress.tokens import AuthenticatedUser
from switchyard.protocol.canonical import check_storable
from switchyard.protocol.errors import InvalidEvent

SESSION_HEADER = "x-session-id"
ACCEPTED_FIELDS = frozenset({"question", "idempotency_key", "agent", "deadline_ms"})
"""What a caller may say. Tenant, user and role come from the token, the session from its header."""

MAX_BODY_BYTES = 32_768


class InvalidRequest(Exception):
    """The request is no submission. The message names the field and the remedy."""


@dataclass(frozen=True)
class ApiRequest:
    """What the function reads of an API Gateway proxy request."""

    headers: Mapping[str, str]
    body: bytes


def read_api_request(event: Mapping[str, Any]) -> ApiRequest:
    """The request; names of headers in lower case. Raises `InvalidRequest` for a body that cannot be read."""
    body = event.get("body") or ""
    try:
        data = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else str(body).encode()
    except binascii.Error as error:
        raise InvalidRequest("the body is not what its encoding says") from error
    return ApiRequest({str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()}, data)


def build_submission(call: ApiRequest, authenticated_user: AuthenticatedUser) -> CaseSubmitted:
    """The submission that a request makes for a user. Raises `InvalidRequest`."""
    session = call.headers.get(SESSION_HEADER)
    if not session:
        raise InvalidRequest(f"header {SESSION_HEADER} is missing: name the conversation")
    if len(call.body) > MAX_BODY_BYTES:
        raise InvalidRequest(f"the body is over {MAX_BODY_BYTES} bytes")
    try:
        said = json.loads(call.body)
    except ValueError as error:
        raise InvalidRequest("the body is not JSON") from error
    if not isinstance(said, dict):
        raise InvalidRequest("the body is not a JSON object")
    if foreign := sorted(said.keys() - ACCEPTED_FIELDS):
        raise InvalidRequest(f"{foreign[0][:60]}: not for a caller to say; leave it out")
    try:
        check_storable(said)
        return CaseSubmitted.model_validate(
            {
                **said,
                "tenant": authenticated_user.tenant,
                "user_id": authenticated_user.user_id,
                "role": authenticated_user.role,
                "session_id": session,
            }
        )
    except InvalidEvent as error:
        raise InvalidRequest(f"{error.field or 'the body'}: {error.message}") from error
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise InvalidRequest(f"{where}: {problem['msg']}") from error
