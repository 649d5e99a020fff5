"""Who may see and do what: every endpoint with every role, without a session, and with a form that is not theirs."""

from __future__ import annotations

import httpx2
import pytest

from switchyard.console.access import ENDPOINTS, ROLES, ConsoleRole
from switchyard.protocol.catalogue import AUDIT
from tests.integration.console.conftest import Console
from tests.integration.console.served import HOSTILE, SECRET, encoded, visiting

pytestmark = pytest.mark.integration
CLOSED = sorted(name for name, endpoint in ENDPOINTS.items() if endpoint.roles is not None)
POSTS = sorted(name for name in CLOSED if ENDPOINTS[name].method == "POST")
ENDLESS = "tail_events"
"""Its answer does not end; tests of the tail read it."""


def path_of(console: Console, name: str) -> str:
    """An address of an endpoint that exists."""
    sealed = console.log.sealed
    return ENDPOINTS[name].path.format(
        case_id=sealed.case_id,
        event_id=sealed.events[-1]["event_id"],
        approval_id=console.log.approval["approval_id"],
        place=AUDIT,
        key=console.log.refused,
    )


async def ask(console: Console, name: str, *roles: ConsoleRole, token: str | None = None) -> httpx2.Response:
    with visiting(console.app, console.views, *roles) as visitor:
        path = path_of(console, name)
        return await (visitor.get(path) if ENDPOINTS[name].method == "GET" else visitor.post(path, token=token))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", [each for each in CLOSED if each != ENDLESS])
async def test_endpoint_is_open_to_its_roles_only(console: Console, name: str, role: ConsoleRole) -> None:
    answer = await ask(console, name, role)
    allowed = role in (ENDPOINTS[name].roles or ())
    # An empty form of a role that may send it is answered with what is missing; 409: no checkpoint has this case yet.
    assert (answer.status_code in {200, 303, 400, 409}) == allowed, answer.text[:500]
    assert (answer.status_code == 403) == (not allowed)
    assert not any(text in answer.text for text in encoded(SECRET))


@pytest.mark.parametrize("name", CLOSED)
async def test_endpoint_without_a_session_shows_nothing(console: Console, name: str) -> None:
    answer = await ask(console, name)
    assert answer.status_code == (303 if ENDPOINTS[name].method == "GET" else 401)
    assert console.log.sealed.case_id not in answer.text


@pytest.mark.parametrize("token", ["", "0" * 64, "é", HOSTILE])
@pytest.mark.parametrize("name", POSTS)
async def test_form_without_its_sessions_token_is_refused(console: Console, name: str, token: str) -> None:
    answer = await ask(console, name, *ROLES, token=token)
    assert answer.status_code == 403
    assert "not of your session" in answer.text


async def test_form_of_another_session_or_another_site_is_refused(console: Console) -> None:
    with visiting(console.app, console.views, *ROLES) as other, visiting(console.app, console.views, *ROLES) as visitor:
        assert other.user is not None
        stolen = console.views.pages.sessions.form_token(other.user)
        day = console.views.clock.now().date().isoformat()
        assert (await visitor.post("/proof/verify", token=stolen, day=day)).status_code == 403
        assert (await visitor.post("/proof/verify", origin="https://evil.example", day=day)).status_code == 403
        assert (await visitor.post("/proof/verify", origin="null", day=day)).status_code == 403
        assert (await visitor.post("/proof/verify", day=day)).status_code == 200


async def test_cookie_that_was_changed_is_no_session(console: Console) -> None:
    with visiting(console.app, console.views, "viewer") as visitor:
        [(name, value)] = visitor.client.cookies.items()
        visitor.client.cookies.clear()
        assert (await visitor.get("/cases", headers={"Cookie": f"{name}={value}"})).status_code == 200
        assert (await visitor.get("/cases", headers={"Cookie": f"{name}={value}x"})).status_code == 303


@pytest.mark.parametrize(
    "path", ["/cases", "/nothing", "/cases/x", "/login/callback?state=x&code=y", "/static/console.css"]
)
async def test_answer_of_any_kind_has_the_security_headers(console: Console, path: str) -> None:
    with visiting(console.app, console.views, "viewer") as visitor:
        answer = await visitor.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == ("no-store" if "static" not in path else answer.headers["cache-control"])


@pytest.mark.parametrize(
    "path",
    [
        "/cases/x",
        "/cases/00000000-0000-4000-8000-000000000000",
        "/cases?since=yesterday",
        "/cases?since=2026-02-02&until=2026-02-01",
        "/cases?before=x",
        "/cases?case=%00",
        "/cases?outcome=%00",
        f"/cases?tenant={'x' * 201}",
        "/cases?until=0001-01-01",
        "/cases?since=2026-01-01&until=2026-04-03",
        "/cases?before=2026-01-01~0001-01-01T00:00:00%2B14:00~00000000-0000-4000-8000-000000000000",
        "/failures?node=%00",
        f"/failures?code={'x' * 201}",
        "/dashboards?days=9",
        "/tail/events?after=-1",
        "/switches?cancel=x",
    ],
)
async def test_bad_input_is_answered_in_words(console: Console, path: str) -> None:
    with visiting(console.app, console.views, *ROLES) as visitor:
        answer = await visitor.get(path)
    assert answer.status_code in {400, 404}, answer.text
    assert "defect" not in answer.text
