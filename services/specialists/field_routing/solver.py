"""The search for the best routes: PyVRP's iterated local search, and an exact recombination of the routes it came by.

Only the solver's process imports this: numpy, SciPy and PyVRP take 0.8 s of CPU. PyVRP has no skills: each set of
skills has a travel profile in which a job beyond it cannot be reached in any day.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
from pyvrp import (
    Client,
    CostEvaluator,
    Depot,
    IteratedLocalSearchCallbacks,
    IteratedLocalSearchParams,
    Location,
    PenaltyParams,
    ProblemData,
    Route,
    Solution,
    SolveParams,
    VehicleType,
    solve,
)
from pyvrp.stop import MaxIterations
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csc_matrix

from services.specialists.field_routing.problem import Problem
from services.specialists.field_routing.schedule import Sequences
from services.specialists.field_routing.solver_process import (
    ITERATIONS,
    JOBS_PER_START,
    LEAST_STARTS,
    MOST_STARTS,
    SEED,
)

OUT_OF_REACH = 1_000_000
"""Minutes and tenths of a mile to a job that a technician lacks a skill for."""
ROUNDING = 500
"""Cents by which rounded legs may make a detour cheaper than none."""
RECOMBINATION_GAP = 0.002
"""Share by which a recombination may be worse than the best one; a proof down to zero takes seconds."""


def solve_problem(
    problem: Problem, *, starts: int | None = None, iterations: int = ITERATIONS, seed: int = SEED
) -> Sequences:
    """The best routes found: `starts` searches, each from nothing and with a seed of its own, then one from the best
    choice among all their routes. A must-visit is missing only if no search found a way to fit all of them in."""
    candidates = [job for job in range(len(problem.jobs)) if _is_candidate(problem, job)]
    sequences: list[tuple[int, ...]] = [() for _ in problem.technicians]
    if not candidates:
        return tuple(sequences)
    # It writes to stdout, where the answer of this process goes.
    logging.getLogger("pyvrp").handlers.clear()
    data, pool = problem_data(problem, candidates), RoutePool()
    parameters = SolveParams(
        # For so few iterations: PyVRP's own figures are for some 100,000.
        ils=IteratedLocalSearchParams(history_length=50, num_iters_no_improvement=500, callbacks=pool),
        penalty=PenaltyParams(solutions_between_updates=50, target_feasible=0.4),
    )

    def search(number: int, begin: Solution | None = None) -> None:
        found = solve(
            data,
            MaxIterations(iterations),
            seed=seed + number,
            collect_stats=False,
            display=False,
            params=parameters,
            initial_solution=begin,
        )
        pool.add(found.best)

    if starts is None:
        starts = min(MOST_STARTS, LEAST_STARTS + len(problem.jobs) // JOBS_PER_START)
    for number in range(starts):
        search(number)
    search(starts, pool.recombine(data))
    for route in pool.recombine(data).routes():
        sequences[route.vehicle_type()] = tuple(candidates[job] for job in _clients(route))
    return tuple(sequences)


class RoutePool(IteratedLocalSearchCallbacks):
    """The cheapest order of each set of jobs that a technician had in any solution on the way."""

    def __init__(self) -> None:
        self._routes: dict[tuple[int, frozenset[int]], tuple[int, tuple[int, ...]]] = {}

    def on_iteration(
        self, current: Solution, candidate: Solution, best: Solution, cost_evaluator: CostEvaluator
    ) -> None:
        """Keep the routes of a candidate, which as a whole may be infeasible or bad."""
        self.add(candidate)

    def add(self, solution: Solution) -> None:
        """Keep the feasible routes of a solution."""
        for route in solution.routes():
            if route.is_feasible():
                jobs = tuple(_clients(route))
                cost = route.distance_cost() + route.duration_cost() - route.prizes()
                key = route.vehicle_type(), frozenset(jobs)
                if key not in self._routes or cost < self._routes[key][0]:
                    self._routes[key] = cost, jobs

    def recombine(self, data: ProblemData) -> Solution:
        """The best choice of at most one route for each technician and one visit for each job (set packing)."""
        keys, people = list(self._routes), data.num_vehicle_types
        if not keys:
            return Solution(data, [])
        entries = [
            (row, column)
            for column, (technician, jobs) in enumerate(keys)
            for row in (technician, *(people + job for job in sorted(jobs)))
        ]
        used = csc_matrix(
            (np.ones(len(entries)), tuple(zip(*entries, strict=True))), (people + data.num_clients, len(keys))
        )
        costs = np.array([float(self._routes[key][0]) for key in keys])
        result = milp(
            costs,
            integrality=np.ones(len(keys)),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(used, -np.inf, 1),
            options={"mip_rel_gap": RECOMBINATION_GAP},
        )
        chosen = [keys[column] for column in np.flatnonzero(result.x > 0.5)]
        return Solution(data, [Route(data, list(self._routes[key][1]), key[0]) for key in chosen])


def _clients(route: Route) -> Iterable[int]:
    return (visit.idx for visit in route if visit.is_client())


def _is_candidate(problem: Problem, job: int) -> bool:
    """Whether somebody can do a job, and it is worth the time on site at least."""
    opens, closes = problem.window(job)
    if opens > closes or not any(True for _ in problem.able(job)):
        return False
    known = problem.jobs[job]
    return known.must_visit or known.risk.cents + ROUNDING > known.minutes * problem.rates.cents_per_minute


def problem_data(problem: Problem, candidates: list[int]) -> ProblemData:
    """The problem in PyVRP's terms: its clients are the candidates, its vehicle types the technicians."""
    people, rates = len(problem.technicians), problem.rates
    points = [*range(people), *map(problem.point, candidates)]
    jobs = [problem.jobs[job] for job in candidates]
    # More than all else together: no money buys a must-visit off the plan.
    decisive = 1 + sum(job.risk.cents for job in jobs) + people * _dearest_route(problem)
    clients = []
    for place, (index, job) in enumerate(zip(candidates, jobs, strict=True)):
        opens, closes = problem.window(index)
        clients.append(
            Client(
                people + place,
                service_duration=job.minutes,
                tw_early=opens,
                tw_late=closes,
                prize=job.risk.cents + decisive * job.must_visit,
                required=False,
            )
        )
    doable = [tuple(each.can_do(job) for job in jobs) for each in problem.technicians]
    profiles = sorted(set(doable))
    vehicles = []
    for index in range(people):
        begins, ends = problem.shift(index)
        vehicles.append(
            VehicleType(
                start_depot=index,
                end_depot=index,
                tw_early=begins,
                tw_late=ends + rates.max_overtime,
                shift_duration=ends - begins,
                max_overtime=rates.max_overtime,
                unit_distance_cost=rates.cents_per_tenth_mile,
                unit_duration_cost=rates.cents_per_minute,
                unit_overtime_cost=rates.overtime_cents_per_minute,
                profile=profiles.index(doable[index]),
            )
        )
    minutes, tenths = (np.array(each)[np.ix_(points, points)] for each in (problem.legs.minutes, problem.legs.tenths))
    return ProblemData(
        [Location(each.longitude, each.latitude) for each in (*problem.technicians, *jobs)],
        clients,
        [Depot(index) for index in range(people)],
        vehicles,
        [_restricted(tenths, people, profile) for profile in profiles],
        [_restricted(minutes, people, profile) for profile in profiles],
    )


def _restricted(matrix: Any, people: int, doable: tuple[bool, ...]) -> Any:
    restricted = matrix.copy()
    for job, possible in enumerate(doable):
        if not possible:
            restricted[people + job, :] = restricted[:, people + job] = OUT_OF_REACH
    np.fill_diagonal(restricted, 0)
    return restricted


def _dearest_route(problem: Problem) -> int:
    longest = max(ends - starts for starts, ends in map(problem.shift, range(len(problem.technicians))))
    day = longest + problem.rates.max_overtime
    farthest = max(map(max, problem.legs.tenths)) * (len(problem.jobs) + 1)
    per_minute = problem.rates.cents_per_minute + problem.rates.overtime_cents_per_minute
    return day * per_minute + farthest * problem.rates.cents_per_tenth_mile
