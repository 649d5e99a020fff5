"""The client: retries that are safe, errors by name, streams that lose nothing."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

import switchyard_client
from switchyard_client import (
    Client,
    EventGap,
    Gone,
    InvalidRequest,
    LoginRequired,
    NotFound,
    SwitchyardError,
    TemporarilyUnavailable,
    TooManyRequests,
    Unreachable,
    WebhookInvalid,
    verify_webhook,
)

Handler = Callable[[httpx2.Request], httpx2.Response]
EVENT = {
    "seq": 0,
    "event_id": "e",
    "type": "CaseOpened",
    "node_from": "case_manager",
    "node_to": "router",
    "at": "2026-11-29T00:00:00Z",
    "digest": "d",
}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


def client(handler: Handler, **options: Any) -> Client:
    return Client("http://api.example", options.pop("token", "t"), transport=httpx2.MockTransport(handler), **options)


def problem(status: int, code: str, **headers: str) -> httpx2.Response:
    body = {"title": "t", "status": status, "code": code, "detail": "what", "remedy": "do", "field": "f"}
    return httpx2.Response(status, json=body, headers=headers)


def stream(*positions: int, end: bool = False) -> bytes:
    texts = [f"id: {each}\nevent: transition\ndata: {json.dumps(EVENT | {'position': each})}\n\n" for each in positions]
    return ("".join(texts) + ('event: end\ndata: {"outcome": "answered"}\n\n' if end else "")).encode()


def test_retried_question_keeps_its_idempotency_key(pauses: list[float]) -> None:
    keys = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        keys.append(json.loads(request.content)["idempotency_key"])
        if len(keys) == 1:
            raise httpx2.ConnectError("reset")
        if len(keys) == 2:
            return problem(503, "temporarily_unavailable", **{"Retry-After": "7"})
        return httpx2.Response(202, json={"case_id": "c", "session_id": "s", "grant": "g"})

    assert client(answer).submit("Which wells?", session="s").case_id == "c"
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert pauses[1] >= 7


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "invalid_request", InvalidRequest),
        (401, "login_required", LoginRequired),
        (404, "not_found", NotFound),
        (410, "gone", Gone),
    ],
)
def test_problem_that_a_retry_does_not_solve_is_raised_at_once(
    pauses: list[float], status: int, code: str, error: type[SwitchyardError]
) -> None:
    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return problem(status, code)

    with pytest.raises(error, match=r"what \(field f\)\. Remedy: do"):
        client(answer).case("c")
    assert (len(asked), pauses) == (1, [])


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda _: problem(503, "temporarily_unavailable"), TemporarilyUnavailable),
        (lambda _: problem(429, "too_many_requests"), TooManyRequests),
        (lambda _: httpx2.Response(502, text="<html>proxy</html>"), Unreachable),
        (lambda _: httpx2.Response(200, text="<html>log in here</html>"), Unreachable),
        (lambda _: httpx2.Response(302, headers={"Location": "http://elsewhere.example"}), Unreachable),
    ],
)
def test_retries_end(pauses: list[float], answer: Handler, error: type[SwitchyardError]) -> None:
    with pytest.raises(error):
        client(answer, retries=3).case("c")
    assert len(pauses) in {0, 3}


def test_token_is_asked_for_each_request(pauses: list[float]) -> None:
    sent, tokens = [], iter("abc")

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.headers["authorization"])
        return problem(503, "temporarily_unavailable") if len(sent) == 1 else httpx2.Response(200, json={"cases": []})

    client(answer, token=lambda: next(tokens)).cases()
    assert sent == ["Bearer a", "Bearer b"]


def test_stream_that_breaks_is_resumed_after_the_last_whole_event(pauses: list[float]) -> None:
    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers.get("last-event-id"))
        # Cut in the middle of an event, then sent again from before it, then the rest.
        parts = [stream(1, 2) + stream(3)[:-9], stream(2, 3), stream(4, end=True)]
        return httpx2.Response(200, content=parts[len(asked) - 1])

    found = [event.position for event in client(answer).events("c")]
    assert found == [1, 2, 3, 4]
    assert asked == [None, "2", "3"]


def test_case_that_was_just_submitted_is_waited_for_and_another_is_not_found(pauses: list[float]) -> None:
    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.method == "POST":
            return httpx2.Response(202, json={"case_id": "c", "session_id": "s", "grant": "g"})
        asked.append(request.url.path)
        if asked.count(request.url.path) < 3:
            return problem(404, "not_found")
        events = request.url.path.endswith("events")
        return httpx2.Response(200, content=stream(1, end=True) if events else b'{"case_id": "c", "status": "open"}')

    ours = client(answer)
    ours.submit("Which wells?", session="s")
    assert [event.position for event in ours.events("c")] == [1]
    assert ours.case("c").status == "open"
    for other in (lambda: ours.case("d"), lambda: list(ours.events("d"))):
        with pytest.raises(NotFound):
            other()


def test_missing_event_is_an_error_and_not_left_out(pauses: list[float]) -> None:
    events = client(lambda _: httpx2.Response(200, content=stream(1, 2, 4))).events("c")
    assert [next(events).position, next(events).position] == [1, 2]
    with pytest.raises(EventGap):
        next(events)
    with pytest.raises(EventGap):
        list(client(lambda _: httpx2.Response(200, content=b'event: gap\ndata: {"last": 1}\n\n')).events("c", after=3))


def test_line_breaks_of_unicode_do_not_cut_an_event(pauses: list[float]) -> None:
    body = EVENT | {"position": 1, "type": "a\u2028b\x85c"}
    content = f"event: transition\ndata: {json.dumps(body, ensure_ascii=False)}\n\n".encode() + stream(end=True)
    [event] = client(lambda _: httpx2.Response(200, content=content)).events("c")
    assert event.type == "a\u2028b\x85c"


FORMS = (
    (r"\bawait asyncio\.", "time."),
    (r"\bawait |\basync ", ""),
    (r"Async(Client|Iterator|Generator|BaseTransport)", r"\1"),
    (r"\[CaseEvent, None\]", "[CaseEvent, None, None]"),
    (r"__a(enter|exit)__", r"__\1__"),
    (r"\ba(closing|close|iter_bytes|read)\b", r"\1"),
    # What only one of the two can write in one line.
    (r"for event in cursor\.read_line\(line\):\s+yield event", "yield from cursor.read_line(line)"),
    (r"submitted = (self\.submit\(.*\))\s+return self\.wait\(submitted\.", r"return self.wait(\1."),
)


def test_both_clients_do_the_same() -> None:
    """The one that awaits is the other with the words of asyncio."""
    folder = Path(switchyard_client.__file__).parent
    plain, awaiting = ((folder / name).read_text() for name in ("client.py", "async_client.py"))
    for pattern, text in FORMS:
        awaiting = re.sub(pattern, text, awaiting)
    plain, awaiting = (re.sub(r"[\s(),]+", " ", text[text.index("class Client") :]) for text in (plain, awaiting))
    assert awaiting == plain


def test_stream_of_the_client_that_awaits_is_resumed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers.get("last-event-id"))
        return httpx2.Response(200, content=stream(1) if len(asked) == 1 else stream(2, end=True))

    async def follow() -> list[int]:
        async with switchyard_client.AsyncClient(
            "http://api.example", "t", transport=httpx2.MockTransport(answer)
        ) as client:
            return [event.position async for event in client.events("c")]

    began = time.monotonic()
    assert asyncio.run(follow()) == [1, 2]
    assert asked == [None, "1"]
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 5_000, b"1" * 5_000, b'{"code": 1}', b'["code"]', b"\xff"])
@pytest.mark.parametrize("status", [200, 401, 429, 500])
def test_answer_of_a_proxy_is_an_error_of_the_client(pauses: list[float], status: int, body: bytes) -> None:
    with pytest.raises(SwitchyardError):
        client(lambda _: httpx2.Response(status, content=body)).case("c")


@pytest.mark.parametrize("data", ["", "{", "[" * 5_000, "1", "null", "{}", '{"position": "x"}', "[]"])
def test_event_that_cannot_be_read_is_an_error_of_the_client(pauses: list[float], data: str) -> None:
    body = f"id: 1\nevent: transition\ndata: {data}\n\n".encode()
    with pytest.raises(SwitchyardError):
        list(client(lambda _: httpx2.Response(200, content=body)).events("c"))


@pytest.mark.parametrize("at", ["9" * 400, "-" + "9" * 400, "9" * 5_000, "1e400", "\udcff", "nan", ""])
@pytest.mark.parametrize("signature", ["v1,x", "\udcff", ""])
def test_webhook_with_headers_of_anything_is_invalid(at: str, signature: str) -> None:
    headers = {"webhook-id": "\udcff", "webhook-timestamp": at, "webhook-signature": signature}
    for now in (None, 0.0):
        with pytest.raises(WebhookInvalid):
            verify_webhook(headers, b"{}", "whsec_AAAA", now=now)
