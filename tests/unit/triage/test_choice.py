"""Triage chooses one specialist, several with a part each, or none."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from contracts.events.router import ChooseAgent
from contracts.events.triage import AgentChosen, AgentsChosen, NoAgentFits
from latency_failover import FailoverModel
from services.specialists.triage.agent import build_triage_agent
from services.specialists.triage.handlers import choose_agent
from switchyard.app.cards import AgentCard
from switchyard.protocol.fields import Contract, Json
from switchyard.protocol.received import ReceivedEvent
from switchyard.runtime.core.errors import RetryableTaskError
from switchyard.runtime.core.task import Task
from tests.unit.drafter.test_answer import ARTEFACTS, SUBJECT, Written
from tests.unit.protocol.bus_events import changed, golden, with_digest
from tests.unit.router.cases import received

CARDS = [
    AgentCard(name=name, kind="specialist", purpose=name, consumes=("AnswerQuestion",), emits=("FindingsReady",))
    for name in ("text_to_sql", "well_data", "field_routing")
]


def part(agent: str, question: str = "What is it?") -> Json:
    return {"agent": agent, "question": question}


async def chosen(*answers: Json, at_most: int | None = 3) -> tuple[Contract, Task[Any]]:
    """What triage makes of the model's answers, one after another."""
    replies = iter([{"why": "w", "mode": "parallel", "parts": []} | answer for answer in (*answers, *answers[-1:] * 9)])

    def speak(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[ToolCallPart("final_result", next(replies))])

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> Any:
        import json

        yield {0: DeltaToolCall(name="final_result", json_args=json.dumps(next(replies)), tool_call_id="1")}

    fixed = FunctionModel(speak, stream_function=stream)
    model = FailoverModel(fixed, fixed)
    write = Written()
    payload = ChooseAgent(question=write("question", "All of it?"), at_most=at_most)
    event = changed(golden("ChooseAgent"), "payload", payload.model_dump(mode="json", exclude_none=True))
    read: ReceivedEvent[Any] = received(with_digest(event | {"storage_refs": write.places}))
    task: Task[Any] = Task(read, attempt=1, deadline=None)
    reply = await choose_agent(task, artefacts=ARTEFACTS, model=model, agent=build_triage_agent(model, CARDS))
    return reply.payload, task


async def test_one_agent_is_chosen_for_the_whole_question() -> None:
    assert (await chosen({"agent": "well_data"}))[0] == AgentChosen(agent="well_data")
    assert (await chosen({"agent": "well_data", "parts": [part("well_data")]}))[0] == AgentChosen(agent="well_data")
    assert (await chosen({"agent": "none"}))[0] == NoAgentFits()


@pytest.mark.parametrize("mode", ["parallel", "sequence"])
async def test_several_agents_are_chosen_with_sealed_parts_in_order(mode: str) -> None:
    parts = [part("well_data", "Who fell?"), part("field_routing", "Who goes?")]
    payload, task = await chosen({"agent": "well_data", "parts": parts, "mode": mode})
    assert isinstance(payload, AgentsChosen)
    assert (payload.mode, [branch.agent for branch in payload.branches]) == (mode, ["well_data", "field_routing"])
    texts = []
    for branch in payload.branches:
        assert branch.part is not None
        assert (branch.part.name, branch.part.subject) == ("question", SUBJECT)
        texts.append(base64.b64decode(task.written_refs[branch.part.sha256].inline or "").decode())
    assert texts == ["Who fell?", "Who goes?"]
    assert "fell" not in payload.model_dump_json()


async def test_command_of_an_older_playbook_gets_one_agent() -> None:
    answer = {"agent": "well_data", "parts": [part("well_data"), part("field_routing")]}
    assert (await chosen(answer, at_most=None))[0] == AgentChosen(agent="well_data")


@pytest.mark.parametrize(
    "answer",
    [
        {"agent": "palmist"},
        {"agent": "well_data", "parts": [part("well_data"), part("palmist")]},
        {"agent": "well_data", "parts": [part("well_data"), part("none")]},
        {"agent": "well_data", "parts": [part("well_data")] * 4},
        {"agent": "well_data", "parts": [part("well_data"), part("field_routing", "  ")]},
    ],
)
async def test_invalid_choice_is_corrected_or_fails(answer: Json) -> None:
    assert (await chosen(answer, {"agent": "text_to_sql"}))[0] == AgentChosen(agent="text_to_sql")
    with pytest.raises(RetryableTaskError, match="did not choose"):
        await chosen(answer)
