"""What becomes of a submission: a case, the same case again, or a rejection that names the field."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from contracts.events.case_manager import CaseOpened
from switchyard.case_manager.intake import UpstreamPolicy
from switchyard.devstack.stack.provision import OBJECT_BUCKET
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.events.case_manager import SubmissionRejected
from switchyard.protocol.fields import Json, StorageRef
from switchyard.protocol.submissions import case_id_for
from switchyard.runtime.core.clock import moment
from switchyard.runtime.storage.artefacts import Artefacts
from switchyard.runtime.storage.objects import S3Objects
from tests.integration.case_manager.conftest import (
    DEADLINE,
    QUESTION,
    SOURCE,
    USER,
    CaseManager,
    StartCaseManager,
    submission,
)
from tests.integration.cloud import Cloud
from tests.integration.events import NOW, bus_body, fresh_id
from tests.integration.infrastructure import Owner
from tests.integration.manual_clock import ManualClock
from tests.reference import read_event

pytestmark = pytest.mark.integration


def rejection(event: Json) -> SubmissionRejected:
    """The payload of an event that must be a rejection."""
    assert (event["type"], event["node_to"]) == ("SubmissionRejected", "external")
    return SubmissionRejected.model_validate_json(json.dumps(event["payload"]))


async def test_valid_submission_opens_a_case_that_the_router_accepts(case_manager: CaseManager) -> None:
    intake = replace(case_manager.intake, upstreams={SOURCE: UpstreamPolicy(tenants=("acme",), roles=("ANALYST",))})
    detail = submission(idempotency_key="k-1", role="ANALYST")
    [event] = await intake.open_case(SOURCE, detail, "CaseSubmitted")
    received = read_event(bus_body(event), node="router")
    assert isinstance(received.payload, CaseOpened)
    assert (received.payload.agent, received.payload.submitted_by) == ("text_to_sql", SOURCE)
    assert received.envelope.case_id == case_id_for("acme", SOURCE, USER, "k-1")
    assert received.envelope.principal.scopes == ("role:ANALYST",)
    assert received.envelope.principal.act == (f"user:{received.envelope.principal.subject}",)


async def test_question_is_sealed_and_its_user_is_a_pseudonym(case_manager: CaseManager) -> None:
    text = json.dumps(await case_manager.submit())
    assert "Zanzibar" not in text
    assert USER not in text


async def test_question_is_opened_by_an_agent_whose_card_decrypts_it(case_manager: CaseManager, cloud: Cloud) -> None:
    event = await case_manager.submit()
    opening = Artefacts(S3Objects(cloud.s3, OBJECT_BUCKET), case_manager.vault, decrypts=("question",))
    payload = CaseOpened.model_validate_json(json.dumps(event["payload"]))
    places = {sha256: StorageRef.model_validate(place) for sha256, place in event["storage_refs"].items()}
    assert (await opening.read_from(places, event["case_id"], payload.question)).decode() == QUESTION


async def test_submission_repeated_gives_identical_event(
    case_manager: CaseManager, start_case_manager: StartCaseManager, clock: ManualClock
) -> None:
    sent = submission()
    first = await case_manager.intake.open_case(SOURCE, sent, "CaseSubmitted")
    clock.advance(3_600)
    another = await start_case_manager()
    assert await another.intake.open_case(SOURCE, dict(reversed(sent.items())), "CaseSubmitted") == first


async def test_concurrent_case_managers_open_one_case_per_submission(
    case_manager: CaseManager, start_case_manager: StartCaseManager
) -> None:
    case_managers, sent = [case_manager, await start_case_manager()], submission()
    events = await asyncio.gather(
        *(case_managers[index % 2].intake.open_case(SOURCE, sent, "CaseSubmitted") for index in range(10))
    )
    assert all(event == events[0] for event in events)
    assert len(events[0]) == 1


async def test_case_manager_killed_after_recording_republishes_the_same_event(
    case_manager: CaseManager, start_case_manager: StartCaseManager, clock: ManualClock, owner: Owner
) -> None:
    sent = submission()
    await case_manager.intake.open_case(SOURCE, sent, "CaseSubmitted")  # admitted; the process dies before it publishes
    stored = await owner.fetchval("select event from case_manager.outbox")
    clock.advance(60)
    assert await (await start_case_manager()).intake.open_case(SOURCE, sent, "CaseSubmitted") == [json.loads(stored)]


async def test_idempotency_key_of_another_user_opens_a_separate_case(case_manager: CaseManager) -> None:
    squatter = await case_manager.submit(idempotency_key="k-7", user_id="mallory@example.com", question="What is mine?")
    asked = await case_manager.submit(idempotency_key="k-7")
    assert {event["type"] for event in (squatter, asked)} == {"CaseOpened"}
    assert squatter["case_id"] != asked["case_id"] == case_id_for("acme", SOURCE, USER, "k-7")
    assert await case_manager.submit(idempotency_key="k-7") == asked


async def test_reused_idempotency_key_is_conflict_and_case_stands(case_manager: CaseManager) -> None:
    opened = await case_manager.submit(idempotency_key="k-2")
    other = submission(idempotency_key="k-2", question="Something else about Zanzibar-4711?")
    [event] = await case_manager.intake.open_case(SOURCE, other, "CaseSubmitted")
    rejected = rejection(event)
    assert (rejected.code, rejected.field) == ("submission_conflict", "idempotency_key")
    assert rejected.would_be == opened["case_id"]
    assert rejected.remedy
    assert "Zanzibar" not in json.dumps(event)
    assert event["case_id"] != opened["case_id"]
    assert await case_manager.intake.open_case(SOURCE, other, "CaseSubmitted") == [event], (
        "a conflict repeated is the same rejection"
    )
    assert await case_manager.submit(idempotency_key="k-2") == opened


@pytest.mark.parametrize("changes", [{"tenant": "globex"}, {"source": "upstream.batch"}])
async def test_idempotency_key_belongs_to_its_tenant_and_source(
    case_manager: CaseManager, changes: dict[str, str]
) -> None:
    first = await case_manager.submit(idempotency_key="k-3")
    second = await case_manager.submit(idempotency_key="k-3", **changes)
    assert (second["type"], second["case_id"] != first["case_id"]) == ("CaseOpened", True)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        pytest.param({"question": ""}, "question", id="empty"),
        pytest.param({"question": "Zanzibar" * 600}, "question", id="too long"),
        pytest.param({"question": None}, "question", id="missing"),
        pytest.param({"user_id": "Zanzibar Smith"}, "user_id", id="blanks"),
        pytest.param({"tenant": "Zanzibar Inc"}, "tenant", id="tenant"),
        pytest.param({"session_id": 4711}, "session_id", id="a number"),
        pytest.param({"playbook": "Zanzibar"}, "playbook", id="playbook"),
        pytest.param({"deadline_ms": 4711_000_000}, "deadline_ms", id="deadline"),
        pytest.param({"idempotency_key": "Zanzibar 4711"}, "idempotency_key", id="key"),
        pytest.param({"urgency": "Zanzibar"}, "urgency", id="unknown field"),
        pytest.param({"Zanzibar 4711 asked": "x"}, "(name)", id="a value where a name should be"),
    ],
)
async def test_invalid_field_is_named_and_its_value_is_not_quoted(
    case_manager: CaseManager, owner: Owner, changes: dict[str, Any], field: str
) -> None:
    event = await case_manager.submit(**changes)
    rejected = rejection(event)
    assert (rejected.code, rejected.field) == ("invalid_submission", field)
    assert rejected.remedy
    stored = await owner.fetchval("select event from case_manager.outbox")
    assert json.loads(stored) == event
    assert "Zanzibar" not in stored
    assert "4711" not in json.dumps(event["payload"])


async def test_invalid_submission_repeated_is_the_same_rejection(case_manager: CaseManager, clock: ManualClock) -> None:
    bad = submission(question="")
    first = await case_manager.intake.open_case(SOURCE, bad, "CaseSubmitted")
    clock.advance(60)
    assert await case_manager.intake.open_case(SOURCE, bad, "CaseSubmitted") == first
    [other] = await case_manager.intake.open_case(SOURCE, submission(question=""), "CaseSubmitted")
    assert other["case_id"] != first[0]["case_id"]


async def test_agent_not_deployed_is_rejected_with_the_deployed_ones(case_manager: CaseManager) -> None:
    rejected = rejection(await case_manager.submit(agent="oracle"))
    assert (rejected.code, rejected.field) == ("invalid_submission", "agent")
    assert "text_to_sql" in str(rejected.remedy)
    assert "oracle" not in rejected.model_dump_json()


async def test_internal_agent_asked_from_outside_is_rejected(case_manager: CaseManager) -> None:
    assert rejection(await case_manager.submit(agent="drafter")).field == "agent"


@pytest.mark.parametrize(
    "source", ["switchyard.router", "aws.s3", "upstreamportal", "upstream.my portal", "upstream." + "x" * 200]
)
async def test_submission_of_a_source_outside_the_upstreams_is_refused_as_forged(
    case_manager: CaseManager, source: str
) -> None:
    with pytest.raises(InvalidEvent, match="forged"):
        await case_manager.intake.open_case(source, submission(), "CaseSubmitted")


@pytest.mark.parametrize(("deadline_ms", "seconds"), [(None, DEADLINE.total_seconds()), (60_000, 60.0)])
async def test_case_deadline_is_the_upstreams_or_the_default(
    case_manager: CaseManager, owner: Owner, deadline_ms: int | None, seconds: float
) -> None:
    event = await case_manager.submit(deadline_ms=deadline_ms)
    assert (moment(event["case_deadline"]) - NOW).total_seconds() == seconds
    assert await owner.fetchval("select due_at from case_manager.timer") == moment(event["case_deadline"])


async def test_subject_pseudonym_is_stable_in_tenant_and_differs_across_tenants(
    case_manager: CaseManager,
) -> None:
    user = fresh_id()
    subjects = [
        (await case_manager.submit(user_id=user, tenant=tenant))["principal"]["subject"]
        for tenant in ("acme", "acme", "globex")
    ]
    assert subjects[0] == subjects[1] != subjects[2]


async def test_work_database_has_no_user_or_question_in_the_clear(case_manager: CaseManager, owner: Owner) -> None:
    # Words of this test alone: other tests keep theirs in the same database.
    user, word = f"{fresh_id()}@example.com", fresh_id()
    await case_manager.submit(idempotency_key="k-4", user_id=user)
    await case_manager.submit(idempotency_key="k-4", user_id=user, session_id="session-2")
    await case_manager.submit(user_id=user, question=word * 100)
    tables = await owner.fetch(
        "select format('%I.%I', schemaname, tablename) from pg_tables"
        " where schemaname not in ('pg_catalog', 'information_schema')"
    )
    rows = [str(row[0]) for (table,) in tables for row in await owner.fetch(f"select t::text from {table} t")]
    dump = "\n".join(rows)
    assert case_id_for("acme", SOURCE, user, "k-4") in dump, "the search looks in the wrong place"
    for secret in (user, word):
        assert secret not in dump
        assert secret.encode().hex() not in dump, "bytea prints as hex"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        pytest.param({"tenant": "globex"}, "tenant", id="another tenant"),
        pytest.param({"role": "ACCOUNTADMIN"}, "role", id="a role it may not name"),
        pytest.param({"role": "FIELD_PERMIAN"}, None, id="what it may"),
    ],
)
async def test_upstream_outside_its_grants_is_not_authorised(
    case_manager: CaseManager, given: dict[str, str], field: str | None
) -> None:
    intake = replace(case_manager.intake, upstreams={SOURCE: UpstreamPolicy(tenants=("acme",), roles=("FIELD_*",))})
    [event] = await intake.open_case(SOURCE, submission(**given), "CaseSubmitted")
    if field is None:
        assert event["type"] == "CaseOpened"
    else:
        assert (event["payload"]["code"], event["payload"]["field"]) == ("not_authorised", field)
        assert given[field] not in json.dumps(event["payload"])


async def test_source_that_configuration_gives_no_role_names_none(case_manager: CaseManager) -> None:
    [event] = await case_manager.intake.open_case(SOURCE, submission(role="FIELD_PERMIAN"), "CaseSubmitted")
    assert (event["payload"]["code"], event["payload"]["field"]) == ("not_authorised", "role")
    assert "SWITCHYARD_UPSTREAMS" in event["payload"]["remedy"]
    [event] = await case_manager.intake.open_case(SOURCE, submission(), "CaseSubmitted")
    assert event["principal"].get("scopes", []) == []


async def test_upstream_without_grants_is_not_authorised(case_manager: CaseManager) -> None:
    intake = replace(case_manager.intake, upstreams={"upstream.other": UpstreamPolicy(tenants=("*",))})
    [event] = await intake.open_case(SOURCE, submission(), "CaseSubmitted")
    assert event["payload"]["code"] == "not_authorised"
