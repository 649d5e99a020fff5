"""The OpenAPI 3.1 document, computed from the table of endpoints and the models of bodies. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from switchyard.api.endpoints import READS, ApiEndpoint, PostedRequest
from switchyard.api.problems import PROBLEM_TYPE, Problem, ProblemBody
from switchyard.api.views import EndView
from switchyard.protocol.fields import Json

_REFERENCE = "#/components/schemas/{model}"
_VERSION = "1"
_STREAM = (
    "Server-sent events: `transition` (an EventView, with its position as `id`) and in the end `end` (an EndView). "
    "Beside them `gap`, `away`, `back` and `expired`; comments are heartbeats."
)


def build_openapi(requests: Sequence[PostedRequest] = ()) -> Json:
    """The document of the API; `requests` are what the function behind it takes."""
    posted = {request.path: request for request in requests}
    endpoints = (*(request.endpoint() for request in requests), *READS)
    models: list[type[BaseModel]] = [ProblemBody, EndView, *(each.body for each in requests)]
    models += [each.answer for each in endpoints if each.answer is not None]
    _, schemas = models_json_schema([(model, "validation") for model in dict.fromkeys(models)], ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        request = posted.get(endpoint.path.rpartition("/")[2]) if endpoint.method == "POST" else None
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, request)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Switchyard",
            "version": _VERSION,
            "description": "Ask, follow a case and read its answer, as a user who has logged in.",
        },
        "paths": {path: paths[path] for path in sorted(paths)},
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"user": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(endpoint: ApiEndpoint, request: PostedRequest | None) -> Json:
    status = "200" if request is None else str(request.status)
    operation: Json = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "responses": {status: _answer(endpoint), **_problems(endpoint.all_problems)},
    }
    if not endpoint.open:
        operation["security"] = [{"user": []}]
    if endpoint.parameters:
        operation["parameters"] = [
            {
                "name": each.name,
                "in": each.where,
                "required": each.required,
                "description": each.description,
                "schema": {"type": "string"},
            }
            for each in endpoint.parameters
        ]
    if request is not None:
        content = {"application/json": {"schema": _reference(request.body)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _answer(endpoint: ApiEndpoint) -> Json:
    schema: Json = {} if endpoint.answer is None else _reference(endpoint.answer)
    described = endpoint.summary
    if endpoint.media_type == "text/event-stream":
        schema, described = {"type": "string"}, _STREAM
    return {"description": described, "content": {endpoint.media_type: {"schema": schema}}}


def _problems(kinds: Iterable[type[Problem]]) -> Json:
    by_status: dict[str, list[str]] = {}
    for kind in kinds:
        by_status.setdefault(str(kind.status), []).append((kind.__doc__ or kind.title).splitlines()[0])
    content = {PROBLEM_TYPE: {"schema": _reference(ProblemBody)}}
    return {status: {"description": " ".join(lines), "content": content} for status, lines in sorted(by_status.items())}


def _reference(model: type[BaseModel]) -> Json:
    return {"$ref": _REFERENCE.format(model=model.__name__)}
