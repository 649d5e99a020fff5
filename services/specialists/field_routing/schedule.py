"""The times and the costs of one technician's stops in a given order. Pure; on the work clock, which has no lunch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from services.specialists.field_routing.problem import Problem

Sequences = tuple[tuple[int, ...], ...]
"""For each technician the jobs in order, by index."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A job in a route."""

    job: int
    arrives: int
    begins: int
    ends: int
    drive_minutes: int
    """From the stop before, or from the base."""
    tenths: int


@dataclass(frozen=True, slots=True)
class TimedRoute:
    """A technician's route: as short as the order allows, and as early as that."""

    technician: int
    leaves: int
    returns: int
    visits: tuple[Visit, ...]
    home_minutes: int
    home_tenths: int
    overtime: int

    @property
    def duration(self) -> int:
        """Minutes away from the base, without lunch."""
        return self.returns - self.leaves

    @property
    def drive_minutes(self) -> int:
        """Minutes at the wheel."""
        return sum(visit.drive_minutes for visit in self.visits) + self.home_minutes

    @property
    def tenths(self) -> int:
        """Tenths of a mile."""
        return sum(visit.tenths for visit in self.visits) + self.home_tenths

    def cost(self, problem: Problem) -> int:
        """Cents."""
        rates = problem.rates
        return (
            self.tenths * rates.cents_per_tenth_mile
            + self.duration * rates.cents_per_minute
            + self.overtime * rates.overtime_cents_per_minute
        )


def time_route(problem: Problem, technician: int, jobs: Sequence[int]) -> TimedRoute | None:
    """The route, or None if a skill, a window or the shift forbids it."""
    starts, ends = problem.shift(technician)
    if not jobs:
        return TimedRoute(technician, starts, starts, (), 0, 0, 0)
    if not all(problem.technicians[technician].can_do(problem.jobs[job]) for job in jobs):
        return None
    minutes, tenths = problem.legs.minutes, problem.legs.tenths
    windows = [problem.window(job) for job in jobs]
    points = [technician, *map(problem.point, jobs), technician]
    drives = [minutes[one][other] for one, other in pairwise(points)]
    work = [problem.jobs[job].minutes for job in jobs]

    earliest = starts
    for drive, (opens, closes), spent in zip(drives, windows, work, strict=False):
        earliest = max(earliest + drive, opens)
        if earliest > closes:
            return None
        earliest += spent
    returns = earliest + drives[-1]
    if returns > ends + problem.rates.max_overtime:
        return None

    # The latest departure with which the technician is home no later.
    latest = returns - drives[-1]
    for drive, (_, closes), spent in zip(drives[-2::-1], windows[::-1], work[::-1], strict=True):
        latest = min(latest - spent, closes) - drive
    leaves = max(latest, starts)

    visits, clock = [], leaves
    for index, job in enumerate(jobs):
        arrives = clock + drives[index]
        begins = max(arrives, windows[index][0])
        clock = begins + work[index]
        leg = tenths[points[index]][points[index + 1]]
        visits.append(Visit(job, arrives, begins, clock, drives[index], leg))
    overtime = max(0, returns - leaves - (ends - starts))
    home = tenths[points[-2]][technician]
    return TimedRoute(technician, leaves, returns, tuple(visits), drives[-1], home, overtime)


def sequences_cost(problem: Problem, sequences: Sequences) -> int | None:
    """Cents that the routes cost and that stay at risk; None if a route is not possible."""
    total, visited = 0, set[int]()
    for technician, jobs in enumerate(sequences):
        route = time_route(problem, technician, jobs)
        if route is None:
            return None
        total += route.cost(problem)
        visited.update(jobs)
    return total + sum(job.risk.cents for index, job in enumerate(problem.jobs) if index not in visited)
