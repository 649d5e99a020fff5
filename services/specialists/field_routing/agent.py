"""The field routing agent: prompt, parameters, tools, factory. The model chooses the parameters; code plans."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from pydantic_ai import Agent, ModelRetry, RunContext, UnexpectedModelBehavior, UsageLimitExceeded, UsageLimits
from pydantic_ai.models import Model

from services.specialists.field_routing.problem import Lunch, Rates
from services.specialists.field_routing.request import (
    PlanningTask,
    RouteRequest,
    UnclearRequest,
    build_task,
    planned_day,
)
from services.specialists.field_routing.travel import TravelMatrix
from services.specialists.field_routing.work_orders import CrewMember, FieldData
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError

ROUTE_PROMPT = (Path(__file__).parent / "prompts" / "route.md").read_text(encoding="utf-8")
ROUTE_PROMPT_VERSION = f"route/{hashlib.sha256(ROUTE_PROMPT.encode()).hexdigest()[:12]}"
MAX_ROUTE_CORRECTIONS = 2
MAX_ROUTE_REQUESTS = 8
LISTED = 200


class PlanRoutes(BaseModel):
    """The parameters of the plan that answers the question."""

    request: RouteRequest
    explanation: str = Field(description="One sentence: what is planned, and for whom.", max_length=400)


class CannotPlan(BaseModel):
    """The question asks for something else than a plan of visits."""

    reason: str = Field(description="One sentence: why.", max_length=400)


@dataclass(slots=True)
class RoutingRun:
    """What one run of the agent works on."""

    data: FieldData
    crew_of: Callable[[str], Awaitable[Sequence[CrewMember]]]
    """The technicians on a day."""
    travel: TravelMatrix
    rates: Rates = field(default_factory=Rates)
    lunch: Lunch = field(default_factory=Lunch)
    unclear: list[str] = field(default_factory=list)
    task: PlanningTask | None = None

    async def build(self, request: RouteRequest) -> PlanningTask:
        """The planning task of a request. Raises `UnclearRequest`."""
        crew = await self.crew_of(planned_day(request.day, self.data.as_of))
        return build_task(request, self.data, crew, travel=self.travel, rates=self.rates, lunch=self.lunch)


RoutingAgent = Agent[RoutingRun, PlanRoutes | CannotPlan]


def build_routing_agent(model: Model[Any]) -> RoutingAgent:
    """The agent on this model."""
    agent: RoutingAgent = Agent(
        model,
        deps_type=RoutingRun,
        output_type=[PlanRoutes, CannotPlan],
        name="field_routing",
        instructions=ROUTE_PROMPT,
        retries={"tools": MAX_ROUTE_CORRECTIONS, "output": MAX_ROUTE_CORRECTIONS},
    )

    @agent.instructions
    def today(context: RunContext[RoutingRun]) -> str:
        data = context.deps.data
        areas = ", ".join(sorted({order.area for order in data.orders})) or "none"
        return f"Today is {data.as_of}. {len(data.orders)} work orders are open, in the areas: {areas}."

    @agent.tool
    async def list_technicians(context: RunContext[RoutingRun], day: str) -> str:
        """The technicians with id, base, skills and whether they are on duty on a day (today, tomorrow, YYYY-MM-DD)."""
        try:
            crew = await context.deps.crew_of(planned_day(day, context.deps.data.as_of))
        except UnclearRequest as problem:
            raise ModelRetry(str(problem)) from None
        return "\n".join(
            f"{each.id} {each.name}, {each.base} ({each.area}): {', '.join(each.skills)}"
            f"{'' if each.on_duty else '; not on duty'}"
            for each in crew[:LISTED]
        )

    @agent.tool
    def list_work_orders(context: RunContext[RoutingRun]) -> str:
        """The open work orders with id, well, county, area and kind of work."""
        return "\n".join(
            f"{each.id} {each.well} ({each.api_number}), {each.county}, {each.area}: {each.work_type}"
            for each in context.deps.data.orders[:LISTED]
        )

    @agent.output_validator
    async def can_be_planned(
        context: RunContext[RoutingRun], output: PlanRoutes | CannotPlan
    ) -> PlanRoutes | CannotPlan:
        if isinstance(output, PlanRoutes):
            try:
                context.deps.task = await context.deps.build(output.request)
            except UnclearRequest as problem:
                context.deps.unclear.append(str(problem))
                raise ModelRetry(str(problem)) from None
        return output

    return agent


async def choose_parameters(
    question: str, *, agent: RoutingAgent, run: RoutingRun, memory: str = ""
) -> PlanRoutes | CannotPlan:
    """Ask the agent. The planning task is then in `run`. `memory` is what was said before, as text for the prompt.

    Raises `PermanentTaskError` if the question names what does not exist, `RetryableTaskError` for an unusable answer.
    """
    if not question.strip():
        raise PermanentTaskError("empty_question", "the question is empty", "question", "ask something")
    prompt, usage = (
        f"<question>{question.replace('<', '&lt;')}</question>{memory}",
        UsageLimits(request_limit=MAX_ROUTE_REQUESTS),
    )
    try:
        return (await agent.run(prompt, deps=run, usage_limits=usage)).output
    except UsageLimitExceeded as error:
        message = f"the model chose no parameters in {MAX_ROUTE_REQUESTS} requests"
        raise PermanentTaskError("too_many_steps", message, remedy="ask a simpler question") from error
    except UnexpectedModelBehavior as error:
        if len(run.unclear) <= MAX_ROUTE_CORRECTIONS:
            remedy = "see the prompt and the field_routing evals"
            raise RetryableTaskError("bad_answer", "the model gave no usable answer", remedy=remedy) from error
        # What was unclear may repeat the question, and this goes into an event.
        message = "the question names a day, an area, a technician or a job that does not exist or cannot be planned"
        remedy = "name them as the work-order system does"
        raise PermanentTaskError("unclear_question", message, "question", remedy) from error
