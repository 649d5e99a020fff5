from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from contracts.cards import FIELD_ROUTING_CARD
from evals.routing.suite import routing_run
from services.specialists.field_routing.agent import CannotPlan, build_routing_agent, choose_parameters
from services.specialists.field_routing.request import RouteRequest, UnclearRequest, planned_day
from switchyard.runtime.core.errors import PermanentTaskError


class Script:
    """A model with scripted answers; the last one repeats."""

    def __init__(self, *answers: ToolCallPart) -> None:
        self.answers = list(answers)
        self.info: AgentInfo | None = None
        self.seen: list[str] = []

    def __call__(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        self.info = info
        self.seen.append(str(messages[-1]))
        return ModelResponse(parts=[self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]])


def plan(**request: Any) -> ToolCallPart:
    return ToolCallPart("final_result_PlanRoutes", {"request": request, "explanation": "A plan."})


def choose(script: Script, role: str = "FIELD_PERMIAN") -> Any:
    run = routing_run(role)
    output = asyncio.run(choose_parameters("Plan it.", agent=build_routing_agent(FunctionModel(script)), run=run))
    return output, run.task


def test_agent_has_exactly_the_tools_of_its_card() -> None:
    script = Script(plan(day="tomorrow"))
    choose(script)
    assert script.info is not None
    assert {tool.name for tool in script.info.function_tools} == set(FIELD_ROUTING_CARD.tools)


def test_area_selects_jobs_and_technicians_of_what_the_user_may_see() -> None:
    _, task = choose(Script(plan(day="tomorrow", area="midland county")))
    assert {job.label for job in task.problem.jobs} > {"Iron Gate 10H"}
    assert task.problem.day == "2026-07-01"
    _, everything = choose(Script(plan(day="tomorrow")))
    assert len(everything.problem.jobs) > len(task.problem.jobs)


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ({"day": "tomorrow", "area": "Williston"}, "There is no such area"),
        ({"day": "tomorrow", "technicians": ["Curtis Harjo"]}, "No one technician"),
        ({"day": "tomorrow", "must_visit": ["WO-999999"]}, "No one open work order"),
        ({"day": "tomorrow", "technicians": ["Maribel Haskell"]}, "Not on duty"),
        ({"day": "next week"}, "day is invalid"),
    ],
)
def test_request_for_what_the_user_cannot_see_is_corrected_by_the_model(request_: dict[str, Any], named: str) -> None:
    script = Script(plan(**request_), plan(day="tomorrow"))
    _, task = choose(script)
    assert task is not None
    assert named in script.seen[1]


def test_request_that_stays_unclear_fails_without_quoting_the_question() -> None:
    with pytest.raises(PermanentTaskError) as failed:
        choose(Script(plan(day="tomorrow", must_visit=["Secret Well"])))
    assert failed.value.code == "unclear_question"
    assert "Secret" not in str(failed.value)


def test_question_for_something_else_is_not_planned() -> None:
    output, task = choose(Script(ToolCallPart("final_result_CannotPlan", {"reason": "no"})))
    assert isinstance(output, CannotPlan)
    assert task is None


def test_day_counts_from_the_day_of_the_data() -> None:
    assert planned_day("today", "2026-06-30") == "2026-06-30"
    assert planned_day(" Tomorrow ", "2026-06-30") == "2026-07-01"
    with pytest.raises(UnclearRequest):
        planned_day("2026-02-30", "2026-06-30")


def test_unknown_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match="extra"):
        RouteRequest.model_validate({"day": "today", "iterations": 10**9})
