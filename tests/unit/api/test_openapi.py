"""The OpenAPI document says what the code does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from services.app import APP
from switchyard.api.endpoints import READS
from switchyard.api.openapi import build_openapi
from switchyard.app.generate import OPENAPI_FILE, api_requests, openapi_text
from switchyard.ingress.handler import ROUTES

DOCUMENT = build_openapi(api_requests(APP))
OPERATIONS = [
    (path, method, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()
]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (each for name, each in value.items() if name == "$ref")
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_committed_document_is_what_the_code_generates() -> None:
    assert OPENAPI_FILE.read_text() == openapi_text(APP), (
        "run `python -m switchyard.app.generate` and commit the result"
    )


def test_reference_points_at_a_schema() -> None:
    found = {each.removeprefix("#/components/schemas/") for each in references(DOCUMENT)}
    assert found <= set(DOCUMENT["components"]["schemas"])


def test_routes_of_the_function_and_of_the_document_are_the_same() -> None:
    posted = {f"POST {path.removeprefix('/v1/')}" for path, method, _ in OPERATIONS if method == "post"}
    assert posted == set(ROUTES)
    assert {path for path, method, _ in OPERATIONS if method == "get"} == {each.path for each in READS}


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=[f"{m} {p}" for p, m, _ in OPERATIONS])
def test_operation_names_its_problems_and_parameters(path: str, method: str, operation: dict[str, Any]) -> None:
    statuses = set(operation["responses"])
    if "security" in operation:
        assert {"401", "429", "503"} <= statuses
    else:
        assert path == "/v1/openapi.json"
    named = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
    assert named == {part.strip("{}") for part in path.split("/") if part.startswith("{")}
    for status, answer in operation["responses"].items():
        assert answer["description"]
        if status >= "400":
            assert set(answer["content"]) == {"application/problem+json"}


def test_document_is_json_without_anything_else() -> None:
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT
    assert DOCUMENT["openapi"].startswith("3.1")
