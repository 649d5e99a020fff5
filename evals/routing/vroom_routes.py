"""VROOM beside our solver: the same instances with native skills, money as priorities (it has no prizes)."""

from __future__ import annotations

import numpy as np
import vroom

from services.specialists.field_routing.problem import Problem
from services.specialists.field_routing.schedule import Sequences

EXPLORATION = 5
"""VROOM's default, and its most."""


def vroom_sequences(problem: Problem) -> Sequences:
    """VROOM's routes. Priorities are the money at risk in 99ths of the largest; a must-visit has 100."""
    people, rates = len(problem.technicians), problem.rates
    minutes = np.array(problem.legs.minutes, dtype=np.uint32)
    costs = (
        minutes * rates.cents_per_minute + np.array(problem.legs.tenths, dtype=np.uint32) * rates.cents_per_tenth_mile
    )
    names = sorted({skill for each in (*problem.jobs, *problem.technicians) for skill in each.skills})
    skills = {name: number for number, name in enumerate(names)}
    most = max((job.risk.cents for job in problem.jobs), default=0) or 1
    model = vroom.Input()
    model.set_durations_matrix(profile="car", matrix_input=minutes)
    model.set_costs_matrix(profile="car", matrix_input=costs.astype(np.uint32))
    for index, each in enumerate(problem.technicians):
        begins, ends = problem.shift(index)
        model.add_vehicle(
            vroom.Vehicle(
                index,
                start=index,
                end=index,
                skills={skills[name] for name in each.skills},
                time_window=(begins, ends + rates.max_overtime),
            )
        )
    for index, job in enumerate(problem.jobs):
        opens, closes = problem.window(index)
        worth_it = job.must_visit or job.risk.cents > job.minutes * rates.cents_per_minute
        if opens <= closes and worth_it:
            model.add_job(
                vroom.Job(
                    index,
                    location=people + index,
                    default_service=job.minutes,
                    skills={skills[name] for name in job.skills},
                    priority=100 if job.must_visit else round(99 * job.risk.cents / most),
                    time_windows=[(opens, closes)],
                )
            )
    solution = model.solve(exploration_level=EXPLORATION, nb_threads=1)
    sequences: list[list[int]] = [[] for _ in range(people)]
    steps = solution.routes
    for vehicle, kind, job in zip(steps["vehicle_id"], steps["type"], steps["id"], strict=True):
        if kind == "job":
            sequences[int(vehicle)].append(int(job))
    return tuple(map(tuple, sequences))
