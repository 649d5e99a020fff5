"""The optimum of a small instance, by dynamic programming over sets of jobs.

It reads the instance's JSON and shares no code with the agent. CP-SAT (`optimum.py`) proved eight of them, too: a test
compares the two. A path is four numbers: minutes of driving and work, the earliest end, the latest departure
from the base, and tenths of a mile. With a departure at t it ends at max(t + minutes, earliest), so a path that is not
better than another of the same jobs and the same last job in any of the four can be dropped.
"""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple


class JobPath(NamedTuple):
    """A path from the base to a job."""

    minutes: int
    earliest: int
    latest: int
    tenths: int

    def beats(self, other: JobPath) -> bool:
        """It is no worse in anything."""
        return (
            self.minutes <= other.minutes
            and self.earliest <= other.earliest
            and self.latest >= other.latest
            and self.tenths <= other.tenths
        )


def exact_optimum(problem: dict[str, Any]) -> int:
    """Cents of the best plan, money left at risk included. Raises `ValueError` if no plan makes every must-visit."""
    jobs = problem["jobs"]
    everything = (1 << len(jobs)) - 1
    must = sum(1 << index for index, job in enumerate(jobs) if job["must_visit"])
    risk = [0] * (everything + 1)
    for chosen in range(1, everything + 1):
        lowest = (chosen & -chosen).bit_length() - 1
        risk[chosen] = risk[chosen & (chosen - 1)] + jobs[lowest]["cents"]
    best: dict[int, int] = {0: 0}
    for who in range(len(problem["technicians"])):
        tours = tour_costs(problem, who)
        joined: dict[int, int] = {}
        for done, cost in best.items():
            for chosen, more in tours.items():
                if not done & chosen and cost + more < joined.get(done | chosen, cost + more + 1):
                    joined[done | chosen] = cost + more
        best = joined
    plans = [cost + risk[everything & ~done] for done, cost in best.items() if done & must == must]
    if not plans:
        raise ValueError("no plan makes every must-visit")
    return min(plans)


def tour_costs(problem: dict[str, Any], who: int) -> dict[int, int]:
    """For each set of jobs that this technician can do in one day, as bits: the cents of the cheapest tour."""
    day = _WorkingDay(problem, who)
    costs = {0: 0}
    paths: dict[tuple[int, int], list[JobPath]] = {}
    for job in day.able:
        if (first := day.visit(day.start, who, job)) is not None:
            paths[1 << job, job] = [first]
    while paths:
        longer: dict[tuple[int, int], list[JobPath]] = {}
        for (done, at), labels in paths.items():
            homes = [cost for path in labels if (cost := day.return_home(path, at)) is not None]
            if homes:
                costs[done] = min([*homes, costs[done]] if done in costs else homes)
            for path, job in product(labels, day.able):
                if not done >> job & 1 and (further := day.visit(path, day.points[at], job)) is not None:
                    _keep(longer.setdefault((done | 1 << job, job), []), further)
        paths = longer
    return costs


class _WorkingDay:
    """One technician's shift, on a clock without lunch."""

    def __init__(self, problem: dict[str, Any], who: int) -> None:
        self._who, self._jobs, self._rates, self._lunch = who, problem["jobs"], problem["rates"], problem["lunch"]
        self._minutes, self._tenths = problem["legs"]["minutes"], problem["legs"]["tenths"]
        people = problem["technicians"]
        self.points = [len(people) + index for index in range(len(self._jobs))]
        skills = set(people[who]["skills"])
        self.able = [index for index, job in enumerate(self._jobs) if set(job["skills"]) <= skills]
        self._begins, self._ends = (self._clock(people[who][name]) for name in ("shift_starts", "shift_ends"))
        self._home_by = self._ends + self._rates["max_overtime"]
        self._windows = [(self._clock(job["opens"]), self._last(job["closes"])) for job in self._jobs]
        self.start = JobPath(0, self._begins, self._home_by, 0)

    def visit(self, path: JobPath, at: int, job: int) -> JobPath | None:
        opens, closes = self._windows[job]
        drive, work = self._minutes[at][self.points[job]], self._jobs[job]["minutes"]
        before, arrives = path.minutes + drive, max(path.earliest + drive, opens)
        latest = min(path.latest, closes - before)
        if arrives > closes or latest < self._begins or arrives + work > self._home_by:
            return None
        return JobPath(before + work, arrives + work, latest, path.tenths + self._tenths[at][self.points[job]])

    def return_home(self, path: JobPath, at: int) -> int | None:
        """Cents of the tour, with the departure that makes it shortest."""
        drive = self._minutes[self.points[at]][self._who]
        away, earliest = path.minutes + drive, path.earliest + drive
        latest = min(path.latest, self._home_by - away)
        if earliest > self._home_by or latest < self._begins:
            return None
        duration = max(away, earliest - latest)
        overtime = max(0, duration - (self._ends - self._begins))
        tenths = path.tenths + self._tenths[self.points[at]][self._who]
        return int(
            tenths * self._rates["cents_per_tenth_mile"]
            + duration * self._rates["cents_per_minute"]
            + overtime * self._rates["overtime_cents_per_minute"]
        )

    def _clock(self, minute: int) -> int:
        starts, length = self._lunch["starts"], self._lunch["minutes"]
        return int(minute if minute <= starts else max(starts, minute - length))

    def _last(self, minute: int) -> int:
        starts, length = self._lunch["starts"], self._lunch["minutes"]
        return int(starts - 1 if length and starts <= minute < starts + length else self._clock(minute))


def _keep(labels: list[JobPath], new: JobPath) -> None:
    if any(old.beats(new) for old in labels):
        return
    labels[:] = [old for old in labels if not new.beats(old)]
    labels.append(new)
