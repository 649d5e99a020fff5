"""Callers read their own cases: status, answer and results; no other."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx2
import pytest

from switchyard.app.generate import OPENAPI_FILE
from switchyard.audit.records.roles import CALLERS
from switchyard.protocol.events.case_manager import CaseClosed, CaseFeedback, ConsentRequested
from switchyard.protocol.events.router import AskConsent, CloseCase
from switchyard_client import CaseRejected, ConsentNeeded, NotFound
from tests.integration.api.conftest import (
    ANSWER,
    CHART,
    OTHER_SIGNER,
    READER_ROLE,
    AskedCase,
    Serve,
    Served,
    asked_by,
    person_called,
    token,
)
from tests.integration.infrastructure import Owner

pytestmark = pytest.mark.integration


async def recorded(served: Served, case: AskedCase) -> AskedCase:
    await served.log.record(*case.events)
    return case


async def test_answer_with_its_results_is_opened_for_the_person_who_asked(served: Served) -> None:
    name = f"ana-{uuid.uuid4()}"
    case = asked_by(person_called(name))
    case.answer()
    await recorded(served, case)
    async with served.client(name) as client:
        found = await client.case(case.case_id)
        assert (found.status, found.outcome, found.position) == ("closed", "answered", len(case.events))
        assert found.answer == json.loads(ANSWER)
        assert found.text.startswith("Seven wells")
        assert {each.name for each in found.artefacts} == {"findings", "chart", "answer"}
        [chart] = [each for each in found.artefacts if each.name == "chart"]
        assert await client.artefact(chart) == CHART


async def test_case_that_waits_names_the_grant_to_renew(served: Served) -> None:
    name, grant = f"ana-{uuid.uuid4()}", str(uuid.uuid4())
    case = asked_by(person_called(name))
    until = case.events[0]["case_deadline"]
    case.then(AskConsent(audience="https://w.example"), "router", state={"step": "consent"}, time_limit_ms=60_000)
    case.then(
        ConsentRequested(grant=grant, audience="https://w.example", until=until, url="http://x/v1"), "case_manager"
    )
    await recorded(served, case)
    async with served.client(name) as client:
        with pytest.raises(ConsentNeeded) as waiting:
            await client.wait(case.case_id, timeout_s=20)
    assert waiting.value.case.consent is not None
    assert (waiting.value.case.status, waiting.value.case.consent.grant) == ("waiting", grant)


@pytest.fixture
async def foreign(served: Served) -> AskedCase:
    case = asked_by(person_called(f"ben-{uuid.uuid4()}"))
    case.answer()
    return await recorded(served, case)


async def test_foreign_case_is_answered_like_one_that_does_not_exist(served: Served, foreign: AskedCase) -> None:
    name = f"ana-{uuid.uuid4()}"
    person = person_called(name)
    own = await recorded(served, asked_by(person))
    # What a system submitted in her name was read with the system's rights, not with hers.
    of_a_system = asked_by(person, source="upstream.cli")
    of_a_system.answer()
    await recorded(served, of_a_system)
    namesake = asked_by(person_called(name, "other-tenant"))
    await recorded(served, namesake)
    sha256 = foreign.events[-1]["payload"]["answer"]["sha256"]
    bodies = set()
    async with served.client(name) as client, httpx2.AsyncClient(base_url=served.url) as http:
        assert (await client.case(own.case_id)).status == "open"
        http.headers["Authorization"] = f"Bearer {token(name)}"
        foreign_ids = (foreign.case_id, of_a_system.case_id, namesake.case_id, str(uuid.uuid4()))
        for case_id in (*foreign_ids, "x", "%00", "' or 1=1"):
            for tail in ("", "/events", f"/artefacts/{sha256}"):
                answer = await http.get(f"/v1/cases/{case_id}{tail}")
                assert answer.status_code == 404, (case_id, tail)
                bodies.add(answer.text)
    assert len(bodies) == 1


@pytest.fixture
async def readers(owner: Owner) -> AsyncIterator[None]:
    """As `switchyard migrate` grants it for an application that names roles which read every answer."""
    await owner.execute("grant execute on function vault.key_for_review to api")
    yield
    await owner.execute("revoke execute on function vault.key_for_review from api")


async def test_role_that_may_read_all_reads_its_own_tenant_and_is_recorded(
    served: Served, foreign: AskedCase, readers: None
) -> None:
    outside = asked_by(person_called(f"eve-{uuid.uuid4()}", "other-tenant"))
    await recorded(served, outside)
    async with httpx2.AsyncClient(base_url=served.url) as http:
        headers = {"Authorization": f"Bearer {token('sam', roles=['FIELD_ALL', READER_ROLE])}"}
        answer = await http.get(f"/v1/cases/{foreign.case_id}", headers=headers)
        assert answer.json()["answer"] == json.loads(ANSWER)
        assert (await http.get(f"/v1/cases/{outside.case_id}", headers=headers)).status_code == 404
        assert (await http.get("/v1/cases", headers=headers)).json()["cases"] == []
    rows = await served.work.fetch("select * from disclosure where case_id = $1", uuid.UUID(foreign.case_id))
    assert [(row["artefact"], row["opened_by"]) for row in rows] == [("answer", "sam")]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="none"),
        pytest.param(f"Basic {token()}", id="another scheme"),
        pytest.param(f"Bearer {token(exp=1, iat=0)}", id="expired"),
        pytest.param(f"Bearer {token(key=OTHER_SIGNER)}", id="of another key"),
        pytest.param(f"Bearer {token(iss='https://other.example/')}", id="of another issuer"),
        pytest.param(f"Bearer {token(aud='warehouse')}", id="for another service"),
        pytest.param(f"Bearer {token(tenant=None)}", id="without a tenant"),
        pytest.param("Bearer a.b.c", id="no token"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/cases", "/v1/cases/x", "/v1/cases/x/events", "/v1/cases/x/artefacts/y"])
async def test_request_without_a_valid_token_has_to_log_in(served: Served, text: str, path: str) -> None:
    async with httpx2.AsyncClient(base_url=served.url) as http:
        answer = await http.get(path, headers={"Authorization": text} if text else {})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (401, "login_required", "authorization")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert problem["remedy"]


async def test_list_has_every_own_case_once_in_pages(served: Served) -> None:
    name = f"ana-{uuid.uuid4()}"
    person = person_called(name)
    own = [asked_by(person, session_id=f"s-{number % 2}") for number in range(7)]
    own[0].then(CloseCase(outcome="failed", code="defect"), "router")
    own[0].then(CaseClosed(outcome="failed", code="defect"), "case_manager")
    for case in own:
        await recorded(served, case)
    listed: list[Any] = []
    async with served.client(name) as client:
        page = await client.cases(limit=3)
        listed += page.cases
        while page.next:
            page = await client.cases(after=page.next)
            assert len(page.cases) <= 3
            listed += page.cases
        assert len((await client.cases(session="s-1")).cases) == 3
    assert len(listed) == len(own)
    assert {each.case_id: each.status for each in listed} == {case.case_id: "open" for case in own} | {
        own[0].case_id: "closed"
    }


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("before=x", "before"),
        ("before=1~2~3", "before"),
    ],
)
async def test_invalid_page_names_the_field(served: Served, query: str, field: str) -> None:
    async with httpx2.AsyncClient(base_url=served.url) as http:
        answer = await http.get(f"/v1/cases?{query}", headers={"Authorization": f"Bearer {token()}"})
    assert (answer.status_code, answer.json()["field"]) == (400, field)


async def test_erased_persons_cases_are_found_by_nobody(served: Served, owner: Owner) -> None:
    name = f"ana-{uuid.uuid4()}"
    case = asked_by(person_called(name))
    case.answer()
    await recorded(served, case)
    async with served.client(name) as client:
        assert (await client.case(case.case_id)).text
        await owner.execute("delete from vault.subject_key where subject = $1", uuid.UUID(case.person.subject))
        with pytest.raises(NotFound):
            await client.case(case.case_id)
        assert (await client.cases()).cases == ()


@pytest.mark.parametrize(
    "statement",
    [
        "select * from vault.subject_key",
        "select * from vault.key_for_review($1)",
        "select * from vault.key_for_task($1, 'answer')",
        "select * from case_manager.submission where case_id = $1",
        "select * from identity.user_grant where grant_id = $1",
        "delete from disclosure where case_id = $1",
        "update disclosure set opened_by = 'me' where case_id = $1",
    ],
)
async def test_login_of_the_api_reads_nothing_else_in_the_work_database(
    served: Served, foreign: AskedCase, statement: str
) -> None:
    arguments = (uuid.UUID(foreign.case_id),) if "$1" in statement else ()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await served.work.fetch(statement, *arguments)


async def test_login_of_the_api_gets_no_key_without_the_name_of_the_person(served: Served, foreign: AskedCase) -> None:
    statement = "select * from vault.key_for_answer($1, $2)"
    case_id = uuid.UUID(foreign.case_id)
    assert await served.work.fetch(statement, case_id, foreign.person.fingerprint)
    assert not await served.work.fetch(statement, case_id, b"\0" * 32)
    of_a_system = asked_by(foreign.person, source="upstream.cli")
    assert not await served.work.fetch(statement, uuid.UUID(of_a_system.case_id), foreign.person.fingerprint)


@pytest.mark.parametrize("table", ["transition", "case_summary", "transition_detail", "mac_key", "integrity_alarm"])
async def test_login_of_the_api_reads_one_view_of_the_log(served: Served, table: str) -> None:
    connection = await asyncpg.connect(served.log.url(CALLERS))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(f"select * from audit.{table} limit 1")
        assert await connection.fetch("select case_id from audit.caller_event limit 1") is not None
    finally:
        await connection.close()


async def test_feedback_is_shown_with_the_case(served: Served) -> None:
    name = f"ana-{uuid.uuid4()}"
    case = asked_by(person_called(name))
    case.answer()
    case.then(CaseFeedback(thumb="down", by=f"user:{case.person.subject}"), "case_manager")
    await recorded(served, case)
    async with served.client(name) as client:
        found = await client.case(case.case_id)
        assert found.status == "closed"
        assert found.feedback is not None
        assert (found.feedback.thumb, found.feedback.reviewer) == ("down", False)


async def test_later_rejection_is_heard_under_the_id_that_was_answered(served: Served, owner: Owner) -> None:
    name, case_id = f"ana-{uuid.uuid4()}", uuid.uuid4()
    await owner.execute(
        "insert into case_manager.rejected_submission (case_id, person, code, message, field, remedy) "
        "values ($1, $2, 'invalid_submission', 'no specialist of that name is deployed', 'agent', 'leave it out')",
        case_id,
        person_called(name).fingerprint,
    )
    async with served.client(name) as client, served.client("mallory") as other:
        with pytest.raises(CaseRejected, match="no specialist of that name") as rejected:
            await client.wait(str(case_id), timeout_s=20)
        assert [each.field for each in rejected.value.case.rejections] == ["agent"]
        assert (await client.case(str(case_id))).status == "rejected"
        with pytest.raises(NotFound):
            await other.case(str(case_id))


async def test_posted_request_is_answered_by_the_function_behind_the_api(served: Served) -> None:
    async with served.client("ana") as client:
        submitted = await client.submit("Which wells?", session="s-1", key="k-1")
    assert submitted.case_id == "x"
    [event] = served.function_calls
    assert (event["httpMethod"], event["path"], event["headers"]["x-session-id"]) == ("POST", "/v1/cases", "s-1")
    assert json.loads(base64.b64decode(event["body"])) == {"question": "Which wells?", "idempotency_key": "k-1"}


@pytest.mark.parametrize("path", ["cases", "consents", "revocations", "feedback", "nothing"])
async def test_posted_request_without_a_valid_token_does_not_reach_the_function(served: Served, path: str) -> None:
    async with httpx2.AsyncClient(base_url=served.url) as http:
        answer = await http.post(f"/v1/{path}", json={}, headers={"Authorization": "Bearer a.b.c"})
    assert (answer.status_code, answer.json()["code"]) == (401, "login_required")
    assert served.function_calls == []


async def test_body_beyond_the_limit_is_read_no_further_than_the_limit(served: Served) -> None:
    async with httpx2.AsyncClient(base_url=served.url) as http:
        await http.post("/v1/cases", content=b"[" * 3_000_000, headers={"Authorization": f"Bearer {token()}"})
    [event] = served.function_calls
    assert len(base64.b64decode(event["body"])) < 1_000_000


async def test_caller_over_the_rate_has_to_wait_and_others_are_served(serve: Serve) -> None:
    async with serve(api_requests_per_minute=3) as served, httpx2.AsyncClient(base_url=served.url) as http:
        answers = [await http.get("/v1/cases", headers={"Authorization": f"Bearer {token('ana')}"}) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[-1].json()["code"] == "too_many_requests"
        assert 0 < int(answers[-1].headers["retry-after"]) <= 20
        other = await http.get("/v1/cases", headers={"Authorization": f"Bearer {token('ben')}"})
        assert other.status_code == 200


async def test_no_token_is_in_what_the_api_logs(
    served: Served,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(*_: Any) -> Any:
        raise RuntimeError("a defect")

    text = token("ana")
    async with httpx2.AsyncClient(base_url=served.url) as http:
        for path in ("/v1/cases", "/v1/cases/x", f"/v1/cases/{uuid.uuid4()}/events", f"/v1/{text}"):
            await http.get(path, headers={"Authorization": f"Bearer {text}"})
        monkeypatch.setattr(type(served.api.cases), "page", broken)
        answer = await http.get("/v1/cases", headers={"Authorization": f"Bearer {text}"})
    assert (answer.status_code, answer.json()["code"]) == (500, "defect")
    captured = capsys.readouterr()
    logged = caplog.text + captured.out + captured.err
    assert "api.defect" in logged
    assert text not in logged
    assert text.split(".")[2] not in logged


async def test_document_of_the_api_is_served_without_a_token(served: Served) -> None:
    async with httpx2.AsyncClient(base_url=served.url) as http:
        answer = await http.get("/v1/openapi.json")
    assert answer.json() == json.loads(OPENAPI_FILE.read_text())


@pytest.mark.parametrize(("method", "path", "status"), [("DELETE", "/v1/cases", 405), ("GET", "/v2", 404)])
async def test_unknown_route_is_a_problem(served: Served, method: str, path: str, status: int) -> None:
    async with httpx2.AsyncClient(base_url=served.url) as http:
        answer = await http.request(method, path, headers={"Authorization": f"Bearer {token()}"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["remedy"]
