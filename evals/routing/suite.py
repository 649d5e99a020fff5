"""Runs the routing agent over its questions: the parameters against the label, each plan against the checker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from demo.work_orders.field import areas_of, as_json, dispatch_rules, open_orders, technicians
from evals.cases import RoutingCase, hash_dataset
from evals.routing.checker import check_plan
from services.specialists.field_routing.agent import (
    ROUTE_PROMPT_VERSION,
    CannotPlan,
    RoutingAgent,
    RoutingRun,
    choose_parameters,
)
from services.specialists.field_routing.document import plan_json
from services.specialists.field_routing.plan import NoPlan, plan_day
from services.specialists.field_routing.problem import Problem
from services.specialists.field_routing.request import PlanningTask, RouteRequest
from services.specialists.field_routing.schedule import Sequences
from services.specialists.field_routing.solver import solve_problem
from services.specialists.field_routing.travel import GreatCircleTravel
from services.specialists.field_routing.work_orders import CrewMember, FieldData, read_crew, read_orders
from switchyard.evals.models import SIMULATOR_MODEL
from switchyard.evals.results import EvalRun, SuiteResult, share
from switchyard.runtime.core.errors import TaskError


@dataclass(slots=True)
class RoutingTally:
    """What happened over all runs of all cases."""

    wanted: int = 0
    right: int = 0
    plans: int = 0
    violations: list[str] = field(default_factory=list)


class RoutingSuite:
    """The agent on the synthetic field, read in the case's role. No problem is solved twice."""

    def __init__(self, agent: RoutingAgent) -> None:
        self._agent = agent
        self._solved: dict[str, Sequences] = {}
        self._lock = asyncio.Lock()

    async def run(self, cases: Sequence[RoutingCase], run: EvalRun) -> SuiteResult:
        """Every case, so many times. A plan that cannot be driven must never happen."""
        tally = RoutingTally()
        results = await run.score(cases, lambda case: self._note(case, tally))
        return SuiteResult(
            suite="field_routing",
            model=run.model,
            deterministic=run.model == SIMULATOR_MODEL,
            prompt_version=ROUTE_PROMPT_VERSION,
            dataset_version=hash_dataset("field_routing"),
            rates={
                "right_parameters": share(tally.right, tally.wanted),
                "infeasible_plans": share(len(tally.violations), tally.plans),
            },
            violations=tuple(tally.violations),
            cases=results,
        )

    async def _note(self, case: RoutingCase, tally: RoutingTally) -> str:
        """What went wrong, or empty text."""
        run = routing_run(case.role)
        try:
            output = await choose_parameters(case.question, agent=self._agent, run=run)
        except TaskError as error:
            return f"failed: {error.code}"
        if case.parameters is None or isinstance(output, CannotPlan) or run.task is None:
            if not isinstance(output, CannotPlan):
                return "planned"
            return "" if case.parameters is None else "answered that it cannot plan"
        tally.wanted += 1
        expected = await run.build(RouteRequest.model_validate(case.parameters))
        if run.task != expected:
            return f"other parameters: {output.request.model_dump_json(exclude_defaults=True)}"
        tally.right += 1
        return await self._check(case, run.task, tally)

    async def _check(self, case: RoutingCase, task: PlanningTask, tally: RoutingTally) -> str:
        try:
            plan = await plan_day(task.problem, self._solve, added=task.added, max_moved=task.max_moved)
        except NoPlan:
            return "" if case.expect == "refused" else "refused"
        tally.plans += 1
        checked = check_plan(plan_json(plan, {}))
        tally.violations += [f"{case.id}: {problem}" for problem in checked.problems]
        return "planned" if case.expect == "refused" else "; ".join(checked.problems)

    async def _solve(self, problem: Problem) -> Sequences:
        key = problem.model_dump_json()
        async with self._lock:
            if key not in self._solved:
                self._solved[key] = solve_problem(problem)
        return self._solved[key]


def routing_run(role: str) -> RoutingRun:
    """A run with what a user in this role sees of the synthetic field."""
    areas = areas_of((role,))
    orders = open_orders(areas)
    body = {"as_of": dispatch_rules()["as_of"], "total": len(orders), "truncated": False, "work_orders": orders}
    data: FieldData = read_orders(as_json(body))

    async def crew_of(day: str) -> tuple[CrewMember, ...]:
        return read_crew(as_json({"technicians": technicians(areas, date.fromisoformat(day))}))

    return RoutingRun(data, crew_of, GreatCircleTravel(road_factor=1.3, miles_per_hour=45.0))
