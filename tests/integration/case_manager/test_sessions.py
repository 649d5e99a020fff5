"""The cases of a session are turns: numbered in order, one person's own."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from switchyard.protocol.digest import event_digest
from switchyard.protocol.fields import Json
from tests.integration.case_manager.conftest import SOURCE, CaseManager, StartCaseManager, submission
from tests.integration.infrastructure import Owner

pytestmark = pytest.mark.integration


def turn_of(opened: Json) -> tuple[int, str | None]:
    """Which turn an opening is, and after which case."""
    return opened["payload"]["turn"], opened["payload"].get("previous_case")


async def openings(owner: Owner) -> list[Json]:
    """The openings of every turn, in order, whether published or not."""
    rows = await owner.fetch("select event from case_manager.outbox where type = 'CaseOpened'")
    return sorted((json.loads(row["event"]) for row in rows), key=lambda event: event["payload"]["turn"])


async def test_turns_of_a_session_are_numbered_and_name_the_case_before(
    case_manager: CaseManager, owner: Owner
) -> None:
    for _ in range(3):
        await case_manager.intake.open_case(SOURCE, submission(session_id="s"), "CaseSubmitted")
    first, second, third = await openings(owner)
    assert [turn_of(each) for each in (first, second, third)] == [
        (1, None),
        (2, first["case_id"]),
        (3, second["case_id"]),
    ]
    assert all(event["digest"] == event_digest(event) for event in (first, second, third))


async def test_turn_submitted_again_later_is_the_same_event(case_manager: CaseManager) -> None:
    detail = submission(session_id="s")
    [first] = await case_manager.intake.open_case(SOURCE, detail, "CaseSubmitted")
    await case_manager.intake.open_case(SOURCE, submission(session_id="s"), "CaseSubmitted")
    assert await case_manager.intake.open_case(SOURCE, detail, "CaseSubmitted") == [first]


@pytest.mark.parametrize(
    "other", [{"user_id": "b.okoro"}, {"tenant": "other"}, {"source": "upstream.other"}, {"session_id": "t"}]
)
async def test_session_id_of_another_person_tenant_or_source_is_another_session(
    case_manager: CaseManager, other: dict[str, Any]
) -> None:
    await case_manager.submit(session_id="s")
    assert turn_of(await case_manager.submit(**{"session_id": "s"} | other)) == (1, None)


async def test_turns_that_two_case_managers_open_at_once_have_a_number_each(
    start_case_manager: StartCaseManager, owner: Owner
) -> None:
    managers = [await start_case_manager() for _ in range(2)]
    details = [submission(session_id="s") for _ in range(8)]
    answers = await asyncio.gather(
        *(manager.intake.open_case(SOURCE, detail, "CaseSubmitted") for detail in details for manager in managers)
    )
    assert {event["payload"]["turn"] for answer in answers for event in answer} == {1}
    in_order = await openings(owner)
    cases = [None, *(event["case_id"] for event in in_order)]
    assert [turn_of(event) for event in in_order] == [(n + 1, cases[n]) for n in range(8)]


async def test_key_used_in_two_sessions_at_once_opens_one_case_and_counts_one_turn(
    case_manager: CaseManager, owner: Owner
) -> None:
    details = [submission(session_id=session, idempotency_key="k") for session in ("s", "t")]
    answers = await asyncio.gather(
        *(case_manager.intake.open_case(SOURCE, detail, "CaseSubmitted") for detail in details)
    )
    assert sorted(event["type"] for [event] in answers) == ["CaseOpened", "SubmissionRejected"]
    assert await owner.fetchval("select sum(turns) from case_manager.session") == 1
