"""The fixed loop: what the plan is compared with.

Each job is on the loop of the nearest base where somebody can do it; a base deals its jobs to those who can, in sectors
of the compass. A technician drives the sector clockwise, the same order on any day and for any money, leaves out what
the window or the shift no longer allows, and works no overtime.
"""

from __future__ import annotations

import math
from collections import defaultdict

from services.specialists.field_routing.problem import Problem
from services.specialists.field_routing.schedule import Sequences, time_route


def fixed_loop(problem: Problem) -> Sequences:
    """The loops of all technicians."""
    without_overtime = problem.model_copy(update={"rates": problem.rates.model_copy(update={"max_overtime": 0})})
    dealt: dict[int, list[int]] = defaultdict(list)
    for crew, jobs in _by_base(problem).items():
        ordered = sorted(jobs, key=lambda job: (_bearing(problem, crew[0], job), problem.jobs[job].id))
        for place, job in enumerate(ordered):
            # The sector's own technician, or the next one with the skills.
            first = place * len(crew) // len(ordered)
            able = set(problem.able(job))
            dealt[next(each for each in (*crew[first:], *crew[:first]) if each in able)].append(job)
    return tuple(_drive(without_overtime, each, dealt[each]) for each in range(len(problem.technicians)))


def _by_base(problem: Problem) -> dict[tuple[int, ...], list[int]]:
    """The jobs of each base's crew."""
    crews: dict[tuple[float, float], list[int]] = defaultdict(list)
    for index, each in enumerate(problem.technicians):
        crews[each.latitude, each.longitude].append(index)
    crew_of = {member: tuple(crew) for crew in crews.values() for member in crew}
    jobs: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for job in range(len(problem.jobs)):
        able = list(problem.able(job))
        if able:
            nearest = min(able, key=lambda each: (problem.legs.tenths[each][problem.point(job)], each))
            jobs[crew_of[nearest]].append(job)
    return jobs


def _bearing(problem: Problem, technician: int, job: int) -> float:
    """Clockwise from north, in degrees; good enough at the size of a field."""
    base, well = problem.technicians[technician], problem.jobs[job]
    east = (well.longitude - base.longitude) * math.cos(math.radians(base.latitude))
    return round(math.degrees(math.atan2(east, well.latitude - base.latitude)) % 360, 6)


def _drive(problem: Problem, technician: int, jobs: list[int]) -> tuple[int, ...]:
    kept: tuple[int, ...] = ()
    for job in jobs:
        if time_route(problem, technician, (*kept, job)) is not None:
            kept = (*kept, job)
    return kept
