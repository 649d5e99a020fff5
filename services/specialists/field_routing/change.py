"""Jobs are added to a plan that people already have: the best change within a budget of moved stops.

A stop is moved if its technician changes, if it is left out, or if it must be taken out of its route's old order to
explain the new one. New jobs count nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from services.specialists.field_routing.problem import Problem
from services.specialists.field_routing.schedule import Sequences, sequences_cost, time_route

BEAM = 12
"""Partial changes that are pursued after each moved stop."""


def moved_stops(old: Sequences, new: Sequences) -> int:
    """How many stops of `old` are moved in `new`."""
    return sum(len(before) - _kept(before, after) for before, after in zip(old, new, strict=True))


def _kept(before: tuple[int, ...], after: tuple[int, ...]) -> int:
    """The longest run of stops, gaps allowed, that is in the same order in both."""
    place = {job: index for index, job in enumerate(before)}
    tails: list[int] = []
    for index in (place[job] for job in after if job in place):
        at = bisect_left(tails, index)
        tails[at : at + 1] = [index]
    return len(tails)


def change_plan(problem: Problem, old: Sequences, added: tuple[int, ...], *, max_moved: int) -> Sequences | None:
    """The cheapest change found that visits every added must-visit and moves at most `max_moved` stops; None if no
    change does. An added job without that mark is visited if it is worth it, like any other.

    Pursues the `BEAM` best choices of stops to take out; each stop taken out is put back where it costs least, or left
    out. The same input gives the same change.
    """
    best: tuple[int, Sequences] | None = None
    beam: list[tuple[Sequences, tuple[int, ...]]] = [(old, ())]
    for moves in range(max_moved + 1):
        found: dict[Sequences, tuple[int, tuple[Sequences, tuple[int, ...]]]] = {}
        for routes, taken in beam:
            for order in ((*added, *taken), (*taken, *added)):
                filled = _fill(problem, routes, order)
                cost = _cost(problem, filled)
                if cost is None or moved_stops(old, filled) > max_moved:
                    continue
                if routes not in found or cost < found[routes][0]:
                    found[routes] = (cost, (routes, taken))
                if not _missing(problem, filled, added, old) and (best is None or (cost, filled) < best):
                    best = (cost, filled)
        if moves == max_moved:
            break
        pursued = [state for _, state in sorted(found.values())[:BEAM]]
        beam = [each for routes, taken in pursued for each in _take_one(routes, taken, added)]
    return best[1] if best else None


def _cost(problem: Problem, routes: Sequences) -> int | None:
    return sequences_cost(problem, routes)


def _missing(problem: Problem, routes: Sequences, added: tuple[int, ...], old: Sequences) -> bool:
    """Whether a must-visit is missing."""
    visited = {job for route in routes for job in route}
    wanted = {job for route in (added, *old) for job in route if problem.jobs[job].must_visit}
    return not wanted <= visited


def _take_one(
    routes: Sequences, taken: tuple[int, ...], added: tuple[int, ...]
) -> Iterator[tuple[Sequences, tuple[int, ...]]]:
    for technician, route in enumerate(routes):
        for job in route:
            if job not in added:
                left = tuple(each for each in route if each != job)
                yield (*routes[:technician], left, *routes[technician + 1 :]), (*taken, job)


def _fill(problem: Problem, routes: Sequences, jobs: tuple[int, ...]) -> Sequences:
    """Put each job where it costs least, unless it is optional and costs more than it is worth."""
    for job in jobs:
        cheapest: tuple[int, int, tuple[int, ...]] | None = None
        for technician in problem.able(job):
            route = routes[technician]
            before = time_route(problem, technician, route)
            if before is None:
                continue
            for place in range(len(route) + 1):
                longer = (*route[:place], job, *route[place:])
                after = time_route(problem, technician, longer)
                if after is not None:
                    option = (after.cost(problem) - before.cost(problem), technician, longer)
                    cheapest = option if cheapest is None else min(cheapest, option)
        known = problem.jobs[job]
        if cheapest is not None and (known.must_visit or cheapest[0] < known.risk.cents):
            routes = (*routes[: cheapest[1]], cheapest[2], *routes[cheapest[1] + 1 :])
    return routes
