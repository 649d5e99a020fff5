"""Sessions with conflicting questions never see each other's rows or text."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e

BASINS = {"FIELD_PERMIAN": "Permian", "FIELD_WILLISTON": "Williston", "FIELD_EAGLE_FORD": "Eagle Ford"}


async def test_same_question_interleaved_answers_in_each_users_role(deployment: Deployment) -> None:
    asked = [
        (
            role,
            deployment.question(
                f"e2e wells by basin of {role} {turn}", session_id=f"{role}-session", role=role, user_id=role
            ),
        )
        for turn in range(4)
        for role in BASINS
    ]
    cases = await deployment.submit([question for _, question in asked])
    await deployment.closed(cases)
    for (role, question), case in zip(asked, cases, strict=True):
        text = (await deployment.answer(case))["text"]
        assert BASINS[role] in text
        for other, basin in BASINS.items():
            if other != role:
                assert basin not in text
        assert {event["session_id"] for event in await deployment.events(case)} == {question["session_id"]}


async def test_each_user_has_a_key_of_their_own(deployment: Deployment) -> None:
    cases = await deployment.submit(
        [deployment.question("e2e wells by basin", user_id=name) for name in ("ann", "bob", "ann")]
    )
    await deployment.closed(cases)
    subjects = [(await deployment.events(case))[0]["principal"]["subject"] for case in cases]
    assert subjects[0] == subjects[2] != subjects[1]
