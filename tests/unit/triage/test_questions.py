"""What a specialist's model is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.events.router import AnswerQuestion
from services.specialists.questions import MAX_FINDING_CHARS, read_question
from switchyard.protocol.fields import Json
from switchyard.protocol.received import ReceivedEvent
from switchyard.runtime.core.task import Task
from tests.unit.drafter.test_answer import ARTEFACTS, Written
from tests.unit.protocol.bus_events import changed, golden, with_digest
from tests.unit.router.cases import received


async def asked(write: Written, payload: AnswerQuestion) -> str:
    event: Json = changed(golden("AnswerQuestion"), "payload", payload.model_dump(mode="json", exclude_none=True))
    read: ReceivedEvent[Any] = received(with_digest(event | {"storage_refs": write.places}))
    return await read_question(Task(read, attempt=1, deadline=None), ARTEFACTS)


async def test_whole_question_is_asked_as_it_is() -> None:
    write = Written()
    assert await asked(write, AnswerQuestion(question=write("question", "How many?"))) == "How many?"


async def test_part_is_asked_with_what_earlier_specialists_found() -> None:
    write = Written()
    findings = tuple(write("findings", json.dumps({"summary": each})) for each in ("A fell", "B" * 15_000))
    text = await asked(write, AnswerQuestion(part=write("question", "Who goes?"), findings=findings))
    assert text.startswith("Who goes?\n")
    assert text.index("A fell") < text.index("BBB")
    assert len(text) < MAX_FINDING_CHARS + 1_000


@pytest.mark.parametrize("fields", [{}, {"question", "part"}])
def test_command_without_exactly_one_question_is_refused(fields: set[str]) -> None:
    write = Written()
    with pytest.raises(ValidationError, match="either question or part"):
        AnswerQuestion.model_validate({name: write("question", name) for name in fields})
