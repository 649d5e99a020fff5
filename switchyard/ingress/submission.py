"""Turns a request to the API into a submission. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from switchyard.api.problems import InvalidRequest, TooLong
from switchyard.api.requests import Feedback, Forgetting, case_fields
from switchyard.api.user_tokens import AuthenticatedUser
from switchyard.protocol.canonical import parse_json
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Uuid
from switchyard.protocol.submissions import UserSubmission, playbook_of

SESSION_HEADER = "x-session-id"
MAX_BODY_BYTES = 32_768
_UUID: TypeAdapter[str] = TypeAdapter(Uuid)


@dataclass(frozen=True)
class ApiRequest:
    """The parts of an API Gateway proxy request that are read. `route` is its method and the last part of its path."""

    route: str
    headers: Mapping[str, str]
    body: bytes


def read_api_request(event: Mapping[str, Any]) -> ApiRequest:
    """The request, with header names in lower case. Raises `InvalidRequest` for a body that cannot be read."""
    body = event.get("body") or ""
    try:
        data = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else str(body).encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest("the body is not UTF-8", field="body", remedy="send well-formed Unicode") from error
    except ValueError as error:
        raise InvalidRequest("the body is not valid base64", field="body", remedy="encode it again") from error
    route = f"{event.get('httpMethod')} {str(event.get('path')).rstrip('/').rpartition('/')[2]}"
    headers = {str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    return ApiRequest(route, headers, data)


def read_fields(call: ApiRequest, accepted: frozenset[str]) -> dict[str, Any]:
    """The fields of the body, all of them accepted ones. Raises `InvalidRequest`."""
    if len(call.body) > MAX_BODY_BYTES:
        raise TooLong(f"the body is over {MAX_BODY_BYTES} bytes", field="body", remedy="shorten it")
    try:
        fields = parse_json(call.body)
    except InvalidEvent as error:
        raise InvalidRequest(error.message, field=error.field or "body", remedy=error.remedy or "correct it") from error
    if foreign := sorted(fields.keys() - accepted):
        field = foreign[0][:60]
        raise InvalidRequest("a caller may not set this field", field=field, remedy=f"leave {field} out")
    return fields


def read_grant_id(call: ApiRequest) -> str:
    """The grant that a request is about. Raises `InvalidRequest`."""
    grant = read_fields(call, frozenset({"grant"})).get("grant")
    try:
        return _UUID.validate_python(grant)
    except ValidationError:
        raise InvalidRequest("a UUID is expected", field="grant", remedy="name the grant as its case does") from None


def read_feedback(call: ApiRequest) -> Feedback:
    """What a user says about a case. Raises `InvalidRequest`."""
    fields = read_fields(call, frozenset(Feedback.model_fields))
    try:
        return Feedback.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        raise _invalid(error, "send it as the OpenAPI document has it") from error


def read_forgetting(call: ApiRequest) -> Forgetting:
    """What a user wants forgotten. Raises `InvalidRequest`."""
    fields = read_fields(call, frozenset(Forgetting.model_fields))
    try:
        wanted = Forgetting.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        raise _invalid(error, "send it as the OpenAPI document has it") from error
    if (wanted.memory is None) == (wanted.scope == "one"):
        remedy = "name a memory with the scope one, and none with the scope all"
        raise InvalidRequest("it does not fit the scope", field="memory", remedy=remedy)
    return wanted


def build_submission(
    call: ApiRequest, authenticated_user: AuthenticatedUser, kind: type[UserSubmission], *, grants: bool
) -> UserSubmission:
    """The submission of a request for a user; the role comes with a grant only. Raises `InvalidRequest`."""
    session = call.headers.get(SESSION_HEADER)
    if not session:
        raise InvalidRequest(
            "the header is missing", field=SESSION_HEADER, remedy=f"set {SESSION_HEADER} to the id of the conversation"
        )
    fields = read_fields(call, case_fields(kind))
    try:
        return kind.model_validate(
            {
                **fields,
                "tenant": authenticated_user.tenant,
                "user_id": authenticated_user.user_id,
                "role": authenticated_user.role if grants else None,
                "playbook": playbook_of(kind),
                "session_id": session,
            }
        )
    except ValidationError as error:
        raise _invalid(error, "send it as the OpenAPI document has it") from error


def _invalid(error: ValidationError, remedy: str) -> InvalidRequest:
    problem = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    return InvalidRequest(problem["msg"], field=where, remedy=remedy)
