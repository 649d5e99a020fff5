"""The plan of a day: routes, what is not visited and why, the fixed loop beside it, and a change of an earlier plan."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from services.specialists.field_routing.change import change_plan, moved_stops
from services.specialists.field_routing.fixed_loop import fixed_loop
from services.specialists.field_routing.problem import Problem
from services.specialists.field_routing.schedule import Sequences, TimedRoute, sequences_cost, time_route

SolveDay = Callable[[Problem], Awaitable[Sequences]]
SkipReason = Literal["no_skill", "no_time", "not_worth_the_drive"]


@dataclass(frozen=True, slots=True)
class SkippedJob:
    """A job that the plan leaves out, and why."""

    job: int
    reason: SkipReason
    detail: str


@dataclass(frozen=True, slots=True)
class PlanChange:
    """How a plan differs from the one that people already had."""

    added: tuple[int, ...]
    max_moved: int
    moved: int
    full_replan_moved: int
    full_replan_objective: int
    """Cents; what the stability costs is the difference."""
    before: Sequences


@dataclass(frozen=True, slots=True)
class DayPlan:
    """The routes of a day. `loop` is the fixed loop over the same jobs."""

    problem: Problem
    routes: tuple[TimedRoute, ...]
    skipped: tuple[SkippedJob, ...]
    loop: tuple[TimedRoute, ...]
    change: PlanChange | None = None


class NoPlan(Exception):
    """The must-visits cannot all be visited. `reasons` says, for each that is the cause, why."""

    def __init__(self, reasons: Sequence[tuple[int, str]]) -> None:
        super().__init__("the must-visits cannot all be visited")
        self.reasons = tuple(reasons)


async def plan_day(problem: Problem, solve: SolveDay, *, added: tuple[int, ...] = (), max_moved: int = 0) -> DayPlan:
    """The best plan found. With `added`, the best change of the plan without these jobs that moves at most `max_moved`
    of its stops. Raises `NoPlan`, and what `solve` raises."""
    check_must_visits(problem)
    found = await _solve(problem, solve)
    if not added:
        return describe_plan(problem, found)
    before = await _plan_without(problem, added, solve)
    changed = change_plan(problem, before, added, max_moved=max_moved)
    if changed is None:
        moved = moved_stops(before, found)
        why = f"it does not fit with at most {max_moved} moved stops; a new plan of the whole day would move {moved}"
        raise NoPlan([(job, why) for job in added])
    change = PlanChange(
        added, max_moved, moved_stops(before, changed), moved_stops(before, found), _objective(problem, found), before
    )
    return describe_plan(problem, changed, change)


def check_must_visits(problem: Problem) -> None:
    """Raises `NoPlan` for must-visits that are impossible each for itself."""
    impossible = [
        (index, skip[1])
        for index, job in enumerate(problem.jobs)
        if job.must_visit and (skip := _impossible(problem, index)) is not None
    ]
    if impossible:
        raise NoPlan(impossible)


async def _solve(problem: Problem, solve: SolveDay) -> Sequences:
    found = await solve(problem)
    visited = {job for route in found for job in route}
    missing = [index for index, job in enumerate(problem.jobs) if job.must_visit and index not in visited]
    if missing:
        raise NoPlan([(job, "it does not fit into the day beside the other must-visits") for job in missing])
    return found


async def _plan_without(problem: Problem, added: tuple[int, ...], solve: SolveDay) -> Sequences:
    """The plan that people have: the same day without the added jobs, in this problem's indexes."""
    kept = [index for index in range(len(problem.jobs)) if index not in added]
    points = [*range(len(problem.technicians)), *map(problem.point, kept)]
    legs = problem.legs.model_copy(
        update={
            name: tuple(tuple(matrix[one][other] for other in points) for one in points)
            for name, matrix in (("minutes", problem.legs.minutes), ("tenths", problem.legs.tenths))
        }
    )
    smaller = problem.model_copy(update={"jobs": tuple(problem.jobs[index] for index in kept), "legs": legs})
    return tuple(tuple(kept[job] for job in route) for route in await _solve(smaller, solve))


def timed_routes(problem: Problem, sequences: Sequences) -> tuple[TimedRoute, ...]:
    """The routes with times, those without a stop left out. Raises `ValueError` for one that is not possible."""
    routes = []
    for technician, jobs in enumerate(sequences):
        route = time_route(problem, technician, jobs)
        if route is None:
            raise ValueError(f"the route of technician {problem.technicians[technician].id} is not possible")
        if jobs:
            routes.append(route)
    return tuple(routes)


def _objective(problem: Problem, sequences: Sequences) -> int:
    cost = sequences_cost(problem, sequences)
    if cost is None:
        raise ValueError("a route of the solver is not possible")
    return cost


def describe_plan(problem: Problem, sequences: Sequences, change: PlanChange | None = None) -> DayPlan:
    """The plan of these routes, with reasons for what they leave out. Raises `ValueError` for an impossible route."""
    visited = {job for route in sequences for job in route}
    skipped = tuple(_skip(problem, sequences, job) for job in range(len(problem.jobs)) if job not in visited)
    loop = timed_routes(problem, fixed_loop(problem))
    return DayPlan(problem, timed_routes(problem, sequences), skipped, loop, change)


def _impossible(problem: Problem, job: int) -> tuple[SkipReason, str] | None:
    able = list(problem.able(job))
    if not able:
        known = problem.jobs[job]
        if not problem.technicians:
            return "no_skill", "no technician is on duty"
        return "no_skill", f"no technician on duty has all of: {', '.join(known.skills)}"
    if all(time_route(problem, technician, (job,)) is None for technician in able):
        return "no_time", "no technician with the skills can start in its window and be home in time"
    return None


def _skip(problem: Problem, sequences: Sequences, job: int) -> SkippedJob:
    impossible = _impossible(problem, job)
    if impossible is not None:
        return SkippedJob(job, *impossible)
    worth, detour = problem.jobs[job].risk.cents, _cheapest_detour(problem, sequences, job)
    if detour >= worth:
        detail = f"the cheapest detour costs {dollars(detour)}, it is worth {dollars(worth)} per day"
        return SkippedJob(job, "not_worth_the_drive", detail)
    return SkippedJob(job, "no_time", "the day is full: it would displace stops that are worth more, or come too late")


def _cheapest_detour(problem: Problem, sequences: Sequences, job: int) -> int:
    """Cents to visit a job from the routes as they are, if there were time for it."""
    rates, minutes, tenths = problem.rates, problem.legs.minutes, problem.legs.tenths
    at, costs = problem.point(job), []
    for technician in problem.able(job):
        points = [technician, *map(problem.point, sequences[technician]), technician]
        for one, other in pairwise(points):
            time = minutes[one][at] + minutes[at][other] - minutes[one][other] + problem.jobs[job].minutes
            way = tenths[one][at] + tenths[at][other] - tenths[one][other]
            costs.append(time * rates.cents_per_minute + way * rates.cents_per_tenth_mile)
    return min(costs)


def dollars(cents: int) -> str:
    """An amount as it is shown."""
    return f"${cents / 100:,.2f}"
