"""Turns a request to the API into a submission. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from contracts.events.upstream import CaseSubmitted
from services.ingress.tokens import AuthenticatedUser
from switchyard.protocol.canonical import parse_json
from switchyard.protocol.errors import InvalidEvent

SESSION_HEADER = "x-session-id"
ACCEPTED_FIELDS = frozenset({"question", "idempotency_key", "agent", "deadline_ms"})
"""The fields that a caller may set. Tenant, user and role come from the token, the session from its header."""

MAX_BODY_BYTES = 32_768


class InvalidRequest(Exception):
    """The request is invalid: correct the field that the message names."""


@dataclass(frozen=True)
class ApiRequest:
    """The parts of an API Gateway proxy request that are read."""

    headers: Mapping[str, str]
    body: bytes


def read_api_request(event: Mapping[str, Any]) -> ApiRequest:
    """The request, with header names in lower case. Raises `InvalidRequest` for a body that cannot be read."""
    body = event.get("body") or ""
    try:
        data = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else str(body).encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest("the body is not UTF-8: send well-formed Unicode") from error
    except ValueError as error:
        raise InvalidRequest("the body is not valid base64") from error
    return ApiRequest({str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()}, data)


def build_submission(call: ApiRequest, authenticated_user: AuthenticatedUser) -> CaseSubmitted:
    """The submission of a request for a user. Raises `InvalidRequest`."""
    session = call.headers.get(SESSION_HEADER)
    if not session:
        raise InvalidRequest(f"header {SESSION_HEADER} is missing: set it to the id of the conversation")
    if len(call.body) > MAX_BODY_BYTES:
        raise InvalidRequest(f"the body is over {MAX_BODY_BYTES} bytes: shorten it")
    try:
        fields = parse_json(call.body)
    except InvalidEvent as error:
        raise InvalidRequest(f"{error.field or 'the body'}: {error.message}; {error.remedy}") from error
    if foreign := sorted(fields.keys() - ACCEPTED_FIELDS):
        raise InvalidRequest(f"{foreign[0][:60]}: a caller may not set this field; leave it out")
    try:
        return CaseSubmitted.model_validate(
            {
                **fields,
                "tenant": authenticated_user.tenant,
                "user_id": authenticated_user.user_id,
                "role": authenticated_user.role,
                "session_id": session,
            }
        )
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise InvalidRequest(f"{where}: {problem['msg']}") from error
