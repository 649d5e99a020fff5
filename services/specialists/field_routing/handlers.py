"""Handles a question about routes: parameters by the model, jobs and technicians as the user, the plan by code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from contracts.documents.findings import Findings
from contracts.events.router import AnswerQuestion
from contracts.events.specialists import FindingsReady
from latency_failover import FailoverModel
from services.specialists.field_routing.agent import (
    ROUTE_PROMPT_VERSION,
    CannotPlan,
    PlanRoutes,
    RoutingAgent,
    RoutingRun,
    choose_parameters,
)
from services.specialists.field_routing.document import plan_csv, plan_json
from services.specialists.field_routing.findings import build_findings, build_no_plan
from services.specialists.field_routing.plan import DayPlan, NoPlan, plan_day
from services.specialists.field_routing.problem import Lunch, Rates
from services.specialists.field_routing.request import PlanningTask
from services.specialists.field_routing.route_map import draw_map
from services.specialists.field_routing.solver_process import CPU_S, SEARCH, SolveProblem
from services.specialists.field_routing.travel import TravelMatrix
from services.specialists.field_routing.work_orders import (
    WORK_ORDER_SCOPES,
    CrewMember,
    TokenNotAccepted,
    WorkOrderService,
)
from services.specialists.questions import read_memory, read_question
from switchyard.identity.client import ConsentRequired, TokenSource
from switchyard.protocol.events.failures import ReauthNeeded
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.core.task import Task, TaskResult
from switchyard.runtime.models.clients import model_budget, model_call
from switchyard.runtime.storage.artefacts import Artefacts

FIELD_ROUTING_MARGIN_MS = 2_000
"""Of the task's time limit, kept for sealing and storing the result."""
SOLVING_MS = 15_000
"""Of the same, kept for the search while the model is asked."""


@dataclass(frozen=True)
class Planner:
    """How this deployment plans."""

    travel: TravelMatrix
    rates: Rates
    lunch: Lunch
    solve: SolveProblem


@dataclass(frozen=True)
class _Planned:
    findings: Findings
    plan: DayPlan | None


async def answer_question(
    task: Task[AnswerQuestion],
    *,
    artefacts: Artefacts,
    model: FailoverModel,
    agent: RoutingAgent,
    tokens: TokenSource,
    audience: str,
    service: WorkOrderService,
    planner: Planner,
) -> TaskResult:
    """Plan the routes that the question asks for; the plan and its map are artefacts beside the findings."""
    ask = partial(tokens.token, task, audience=audience, scopes=WORK_ORDER_SCOPES)
    try:
        user = await ask()
        try:
            data = await service.open_orders(user.token)
        except TokenNotAccepted:
            user = await ask(instead_of=user)
            data = await service.open_orders(user.token)
    except ConsentRequired as needed:
        return TaskResult(ReauthNeeded(audience=needed.audience))
    question, memory = await read_question(task, artefacts), await read_memory(task, artefacts)
    crews: dict[str, Sequence[CrewMember]] = {}

    async def crew_of(day: str) -> Sequence[CrewMember]:
        if day not in crews:
            crews[day] = await service.technicians(user.token, day)
        return crews[day]

    run = RoutingRun(data, crew_of, planner.travel, planner.rates, planner.lunch)
    async with model_budget(model, task, margin_ms=FIELD_ROUTING_MARGIN_MS + SOLVING_MS) as decisions:
        output = await choose_parameters(question, agent=agent, run=run, memory=memory)
    if isinstance(output, CannotPlan) or run.task is None:
        # The model's reason may repeat the question, so it does not go into an event.
        message = "the question asks for something else than a plan of visits"
        raise PermanentTaskError("cannot_answer", message, "question", "ask who should visit which wells, and when")
    remaining = task.remaining_ms(task.deadline)
    timeout_s = CPU_S if remaining is None else max(1.0, (remaining - FIELD_ROUTING_MARGIN_MS) / 1_000)
    planned = await _plan(run, run.task, output, planner, timeout_s)
    findings = planned.findings
    found = await artefacts.write(task, "findings", findings.model_dump_json().encode(), media_type="application/json")
    charts, files = [], []
    if planned.plan is not None:
        documents = plan_json(planned.plan, SEARCH), plan_csv(planned.plan)
        files.append(await artefacts.write(task, "plan", documents[0], media_type="application/json"))
        files.append(await artefacts.write(task, "plan_table", documents[1], media_type="text/csv"))
        charts.append(await artefacts.write(task, "chart", draw_map(planned.plan), media_type="image/svg+xml"))
    return TaskResult(
        FindingsReady(
            findings=(found,),
            charts=tuple(charts),
            files=tuple(files),
            rows=findings.row_count,
            truncated=findings.truncated,
        ),
        model_call=model_call(decisions, prompt_version=ROUTE_PROMPT_VERSION),
    )


async def _plan(
    run: RoutingRun, asked: PlanningTask, output: PlanRoutes, planner: Planner, timeout_s: float
) -> _Planned:
    computation = f"plan_routes({output.request.model_dump_json(exclude_defaults=True)})"
    words = {"computation": computation, "explanation": output.explanation}
    try:
        plan = await plan_day(
            asked.problem,
            lambda problem: planner.solve(problem, timeout_s),
            added=asked.added,
            max_moved=asked.max_moved,
        )
    except NoPlan as refused:
        return _Planned(build_no_plan(asked.problem, refused, run.data, **words), None)
    return _Planned(build_findings(plan, run.data, **words), plan)
