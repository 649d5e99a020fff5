"""The function behind HTTP, as the local stack serves it: the same answers as behind API Gateway."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from services.ingress.server import build_app
from services.ingress.submission import MAX_BODY_BYTES
from switchyard.runtime.process.web import WebServer
from tests.unit.ingress.test_handler import BODY, Bus, Registry, ask, ingress, token


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: Any


async def post(
    path: str, body: Any, headers: Mapping[str, str] | None = None, *, bus: Bus | None = None, method: str = "POST"
) -> Answer:
    server = WebServer(build_app(ingress(bus, Registry())), "127.0.0.1", 0)
    try:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"http://127.0.0.1:{server.port}{path}"
        async with aiohttp.ClientSession() as http, http.request(method, url, data=content, headers=headers) as answer:
            return Answer(answer.status, answer.headers, json.loads(await answer.text()))
    finally:
        await server.stop()


async def test_question_over_http_is_the_submission_of_the_function() -> None:
    bus, text = Bus(), token()
    headers = {"authorization": f"Bearer {text}", "x-session-id": "s-1"}
    response = await post("/v1/cases", BODY, headers, bus=bus)
    status, answer, [entry] = ask(f"Bearer {text}")
    assert (response.status, response.body) == (status, answer)
    assert response.headers["Cache-Control"] == "no-store"
    [sent] = bus.entries
    assert json.loads(sent["Detail"])["question"] == json.loads(entry["Detail"])["question"] == BODY["question"]


@pytest.mark.parametrize(
    ("path", "method", "status", "field"),
    [
        ("/v1/cases", "POST", 401, "authorization"),
        ("/v1/consents", "POST", 401, "authorization"),
        ("/v1/cases", "GET", 404, "path"),
        ("/v1/grants", "POST", 404, "path"),
        ("/v1/", "POST", 404, "path"),
    ],
)
async def test_refused_request_is_a_problem_with_field_and_remedy(
    path: str, method: str, status: int, field: str
) -> None:
    response = await post(path, {}, method=method)
    problem = response.body
    assert (response.status, problem["status"], problem["field"]) == (status, status, field)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert problem["remedy"]
    assert ("WWW-Authenticate" in response.headers) == (status == 401)


async def test_body_over_the_limit_is_refused_by_its_size() -> None:
    headers = {"authorization": f"Bearer {token()}", "x-session-id": "s-1"}
    response = await post("/v1/cases", b"[" * 10 * MAX_BODY_BYTES, headers)
    assert response.status == 400
    assert str(MAX_BODY_BYTES) in response.body["detail"]
