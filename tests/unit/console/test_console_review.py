"""What a person who decides sees, and what a page says when it cannot show or know everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, cast
from uuid import uuid4

import aiohttp
import asyncpg
import httpx2
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from starlette.requests import Request

from services.artefact_texts import read_email, read_email_page
from switchyard.console.access import ENDPOINTS
from switchyard.console.app import BadInput, ConsoleApp
from switchyard.console.day_verifier import DayVerifier
from switchyard.console.login import MAX_ANSWER_BYTES, Login, LoginFailed
from switchyard.console.pages import HERE
from switchyard.console.sealed import MAX_SHOWN_CHARS, SealedArtefacts
from switchyard.console.sessions import Sessions, User
from switchyard.console.signed_commands import SignedCommands
from switchyard.console.tail import MAX_VIEWERS_PER_USER, Tail, TailEntry
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.core.settings import InvalidSettings
from tests.integration.console.served import console_settings
from tests.integration.manual_clock import ManualClock

NO_GUARD: Any = None

EMAIL = b"From: a@acme.example\nTo: b@b.example\nSubject: Hello\nContent-Type: text/plain\n\nDear Ana"


def describe(data: bytes) -> Any:
    made = SealedArtefacts(cast("Any", None), cast("Any", None), {"email": read_email}, {"email": read_email_page})
    return made.describe("email", "message/rfc822", data)


def test_enter_in_a_field_of_a_signed_form_does_not_sign() -> None:
    script = (HERE / "static" / "sign.js").read_text(encoding="utf-8")
    keydown = script.partition('form.addEventListener("keydown"')[2].partition("});")[0]
    assert 'event.key === "Enter"' in keydown
    assert "event.preventDefault()" in keydown


async def test_answer_that_cannot_be_read_at_first_is_read_later() -> None:
    answers: Iterator[Unavailable | str] = iter([Unavailable("database", "away"), "done"])

    async def read() -> str | None:
        found = next(answers)
        if isinstance(found, Unavailable):
            raise found
        return found

    made = SignedCommands(*(cast("Any", None) for _ in range(3)))
    assert await made._answer(read) == "done"


def test_email_that_is_short_is_shown_whole_and_exactly() -> None:
    shown = describe(EMAIL)
    assert (shown.whole, shown.exact) == (True, True)


def test_email_whose_text_is_longer_than_its_bytes_is_cut() -> None:
    made = SealedArtefacts(cast("Any", None), cast("Any", None), {"email": lambda _: "x" * (MAX_SHOWN_CHARS + 1)}, {})
    assert made.describe("email", "text/plain", b"short").cut


def test_email_with_html_that_cannot_be_rendered_is_not_shown_whole() -> None:
    unknown = EMAIL.replace(b"text/plain", b"Text/HTML; charset=no-such-charset")
    assert describe(unknown).unrendered
    assert not describe(unknown).whole
    assert describe(EMAIL.replace(b"text/plain", b"text/html")).whole


@pytest.mark.parametrize("tail", [b"\xff", b"x" * MAX_SHOWN_CHARS], ids=["no-utf-8", "long"])
def test_source_that_is_not_every_byte_is_not_called_exact(tail: bytes) -> None:
    assert not describe(EMAIL + tail).exact


def test_email_shows_every_address_and_each_header_on_one_line() -> None:
    data = b"Bcc: c@c.example\nTo: second@b.example\nCc: d@d.example\nReply-To: e@e.example\n" + EMAIL
    text = read_email(data.replace(b"Hello", b"=?utf-8?q?Hello=0ATo=3A_f=40f.example?="))
    headers = text.partition("\n\n")[0].split("\n")
    assert headers[0] == "From: a@acme.example"
    assert {"To: second@b.example", "To: b@b.example", "Cc: d@d.example"} <= set(headers)
    assert {"Bcc: c@c.example", "Reply-To: e@e.example"} <= set(headers)
    assert len(headers) == 7


async def next_events(tail: Tail, user: str, *, ended: bool = False) -> str:
    """What a stream begins with."""
    found = ""
    async for text in tail.follow(None, user=user, ended=lambda: ended):
        found += text
        if "event: hello" in found and not ended:
            break
    return found


async def test_stream_of_a_session_that_is_over_ends_with_a_word() -> None:
    tail = Tail(cast("Any", None))
    assert "event: ended" in await next_events(tail, "ana", ended=True)
    assert tail.viewers == {}


async def test_stream_of_a_session_that_ends_sends_no_more_entries() -> None:
    clock = ManualClock()
    made = Sessions({"a": b"\x01" * 32}, True, 60, clock)
    user = User(name="ana", roles=("viewer",), tenants=None, session="s", until=int(clock.now().timestamp()) + 60)
    tail = Tail(cast("Any", None), newest=0)
    events = tail.follow(0, user="ana", ended=lambda: made.has_ended(user))
    assert "event: hello" in await anext(events)
    clock.advance(61)
    tail.entries.append(TailEntry(1, {}, "{}"))
    assert "event: ended" in await anext(events)


async def test_user_has_a_limited_number_of_streams_and_others_have_theirs() -> None:
    tail = Tail(cast("Any", None))
    tail.viewers["ana"] = MAX_VIEWERS_PER_USER
    assert "event: full" in await next_events(tail, "ana")
    assert "event: hello" in await next_events(tail, "vera")


def test_live_page_does_not_come_back_after_the_session() -> None:
    script = (HERE / "static" / "tail.js").read_text(encoding="utf-8")
    assert '["full", "ended"]' in script


class SlowLog:
    """A log whose verification does not end."""

    async def verify(self, *, day: date) -> Any:
        await asyncio.sleep(60)


async def test_second_day_is_not_verified_at_the_same_time() -> None:
    made = DayVerifier(cast("Any", SlowLog()))
    running = asyncio.create_task(made.verify(date(2026, 6, 17)))
    await asyncio.sleep(0)
    with pytest.raises(BadInput, match="a day is being verified: wait, or run switchyard audit verify") as caught:
        await made.verify(date(2026, 6, 18))
    assert caught.value.status == 409
    running.cancel()


async def test_day_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("switchyard.console.day_verifier.VERIFY_TIMEOUT_S", 0.01)
    made = DayVerifier(cast("Any", SlowLog()))
    for _ in range(2):
        with pytest.raises(BadInput, match="takes longer"):
            await made.verify(date(2026, 6, 17))


def page_after(path: str, cause: Exception | None) -> bool:
    """Whether the page about a database that is away reloads itself."""
    request = Request({"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""})
    error = Unavailable("database_unreachable", "away")
    error.__cause__ = cause
    return ConsoleApp(cast("Any", None), {}, {}, "http://127.0.0.1", NO_GUARD)._tries_again(request, error)


def test_page_that_took_too_long_does_not_reload_itself() -> None:
    assert page_after("/cases", ConnectionRefusedError())
    assert not page_after("/cases", TimeoutError())
    assert not page_after("/cases", asyncpg.QueryCanceledError())


def test_page_that_records_an_opening_does_not_reload_itself() -> None:
    assert not page_after(f"/approvals/{uuid4()}", ConnectionRefusedError())


@pytest.mark.parametrize("url", ["http://console.example", "http://127.0.0.1@evil.example", "http://127.0.0.1.example"])
def test_address_over_plain_http_is_of_this_machine_only(url: str) -> None:
    with pytest.raises(InvalidSettings, match="plain http is for"):
        console_settings(console_url=url)


@pytest.mark.parametrize("host", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "https://c.example"])
def test_address_over_tls_or_of_this_machine_is_accepted(host: str) -> None:
    assert console_settings(console_url=host).console_url == host


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_answer_over_tls_asks_browsers_to_stay_with_it(scheme: str) -> None:
    handlers = {name: cast("Any", None) for name, endpoint in ENDPOINTS.items() if endpoint.roles is not None}
    public = {name: cast("Any", None) for name in ENDPOINTS.keys() - handlers}
    app = ConsoleApp(cast("Any", None), handlers, public, f"{scheme}://127.0.0.1", NO_GUARD).build()
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://127.0.0.1") as client:
        answer = await client.get("/static/sign.js")
    assert ("strict-transport-security" in answer.headers) == (scheme == "https")
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@asynccontextmanager
async def redeeming(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[Login]:
    """A log-in whose identity provider answers so."""
    app = web.Application()
    app.router.add_post("/token", answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        address = str(server.make_url("/token"))
        yield Login(http, cast("Any", None), "console", "a secret", address, address, address, "roles")


async def test_token_that_comes_in_parts_is_read_to_its_end() -> None:
    async def in_parts(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in (b'{"id_token": ', b'"a token"}'):
            await response.write(part)
            await asyncio.sleep(0.1)
        return response

    async with redeeming(in_parts) as login:
        assert await login._redeem("code", "verifier") == "a token"


async def test_token_that_is_too_long_or_elsewhere_logs_nobody_in() -> None:
    async def too_long(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"[" * (MAX_ANSWER_BYTES + 1))

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        if "again" in request.query:
            return web.json_response({"id_token": "a token"})
        raise web.HTTPTemporaryRedirect("/token?again=1")

    for answer, why in ((too_long, "too long"), (elsewhere, "does not accept")):
        async with redeeming(answer) as login:
            with pytest.raises(LoginFailed, match=why):
                await login._redeem("code", "verifier")
