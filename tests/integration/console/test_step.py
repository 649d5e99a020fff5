"""A step of a model: its prompt for everybody, what it was given and what it answered for who may open it."""

from __future__ import annotations

import uuid
from html import unescape
from typing import Any

import pytest

from contracts.events.drafter import AnswerDrafted
from contracts.events.specialists import FindingsReady
from services.drafter.agent import ANSWER_PROMPT
from switchyard.console.access import ROLES
from switchyard.console.case_step import MAX_OPENED
from tests.integration.console.conftest import Console
from tests.integration.console.served import (
    CHART,
    SECRET,
    SECRET_TEXT,
    VAULT_KEY,
    add_submission,
    encoded,
    visiting,
)
from tests.integration.console.test_pages import disclosures
from tests.integration.infrastructure import Infrastructure
from tests.integration.known_cases import Person
from tests.operators import OPERATOR
from tests.unit.audit import cases

pytestmark = pytest.mark.integration


def step_path(console: Console, event: dict[str, Any] | None = None) -> str:
    """The page of the sealed case's answer, or of another of its events."""
    case = console.log.sealed
    return f"/cases/{case.case_id}/steps/{(event or case.events[-1])['event_id']}"


async def test_step_shows_the_text_of_the_version_that_its_row_names_and_nothing_sealed(console: Console) -> None:
    with visiting(console.app, console.views, "viewer") as visitor:
        answer = await visitor.get(step_path(console))
        case = await visitor.get(f"/cases/{console.log.sealed.case_id}")
    assert answer.status_code == 200
    assert ANSWER_PROMPT.strip() in unescape(answer.text)
    assert step_path(console) in case.text
    assert not any(text in answer.text for text in encoded(SECRET))
    assert "<form method" not in answer.text.partition('id="main"')[2]


async def test_step_is_opened_with_one_reason_that_is_recorded_for_each_artefact(
    console: Console, infrastructure: Infrastructure
) -> None:
    case_id = console.log.sealed.case_id
    before = len(await disclosures(infrastructure, case_id))
    with visiting(console.app, console.views, "auditor") as visitor:
        answer = await visitor.post(step_path(console), reason="complaint 4712")
    assert answer.status_code == 200
    assert SECRET_TEXT in answer.text
    rows = (await disclosures(infrastructure, case_id))[before:]
    assert {(row["opened_by"], row["reason"]) for row in rows} == {(OPERATOR, "complaint 4712")}
    assert {row["artefact"] for row in rows} == {"findings", "chart", "answer"}
    # The answer, and what can be opened beside it; the other one says why it cannot.
    assert "data:image/svg+xml;base64," in answer.text
    assert CHART.decode() not in answer.text
    assert "findings cannot be opened" in answer.text or "reference to this artefact" in answer.text


@pytest.mark.parametrize("reason", ["", "   ", "x" * 2_001])
async def test_step_stays_sealed_without_a_usable_reason(
    console: Console, infrastructure: Infrastructure, reason: str
) -> None:
    before = len(await disclosures(infrastructure, console.log.sealed.case_id))
    with visiting(console.app, console.views, *ROLES) as visitor:
        answer = await visitor.post(step_path(console), reason=reason)
    assert answer.status_code == 400
    assert SECRET_TEXT not in answer.text
    assert len(await disclosures(infrastructure, console.log.sealed.case_id)) == before


async def test_answer_of_a_step_that_was_given_much_is_opened_first(console: Console) -> None:
    person, opened = Person(VAULT_KEY), cases.first(uuid.uuid4().int % 10**9)
    case_id = opened["case_id"]
    kept = [person.artefact(case_id, "findings", f"finding {number}".encode()) for number in range(2 * MAX_OPENED)]
    answer, place = person.artefact(case_id, "answer", b'{"text": "the one answer"}')
    events = [cases.rewritten(opened, principal=opened["principal"] | {"subject": person.subject})]
    add_submission(events[0])
    found = FindingsReady(findings=tuple(artefact for artefact, _ in kept))
    places = {artefact.sha256: where for artefact, where in kept}
    events.append(cases.follow(events[0], found, "well_data", node_to="router", storage_refs=places))
    drafted = AnswerDrafted(answer=answer, cites=("F1",))
    more: dict[str, Any] = {"node_to": "router", "storage_refs": {answer.sha256: place}, "model_call": cases.CALL}
    events.append(cases.follow(events[1], drafted, "drafter", **more))
    await console.log.record(cases.bodies(events))
    with visiting(console.app, console.views, "auditor") as visitor:
        page = (await visitor.post(f"/cases/{case_id}/steps/{events[-1]['event_id']}", reason="complaint")).text
    assert "the one answer" in page
    assert page.count("bytes that are not text") == MAX_OPENED - 1
    assert "The case&#39;s page opens the others." in page or "The case's page opens the others." in page


async def test_step_of_another_case_or_without_a_model_is_not_found(console: Console) -> None:
    other = console.log.waiting.case_id
    with visiting(console.app, console.views, *ROLES) as visitor:
        stolen = step_path(console).replace(console.log.sealed.case_id, other)
        assert (await visitor.get(stolen)).status_code == 404
        assert (await visitor.post(stolen, reason="curious")).status_code == 404
        assert (await visitor.get(step_path(console, console.log.sealed.events[0]))).status_code == 404


async def test_step_of_a_version_that_was_never_released_says_so(console: Console) -> None:
    drafted = next(event for event in console.log.answered[0].events if event["type"] == "AnswerDrafted")
    assert drafted["model_call"]["prompt_version"] == cases.CALL.prompt_version
    with visiting(console.app, console.views, "viewer") as visitor:
        answer = await visitor.get(f"/cases/{drafted['case_id']}/steps/{drafted['event_id']}")
    assert answer.status_code == 200
    assert "no text of this version" in answer.text
