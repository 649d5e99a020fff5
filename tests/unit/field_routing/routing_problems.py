"""Small problems for the tests of the routing agent."""

from __future__ import annotations

from services.specialists.field_routing.problem import Job, Legs, Lunch, Problem, Rates, Risk, Technician


def job(number: int, **changes: object) -> Job:
    """A job of 30 minutes; its money at risk is a hundred dollars per day for each number."""
    risk = Risk(rate_bbl_per_day=10.0 * (number + 1), price_usd_per_bbl=100.0, net_interest=1.0, probability=0.1)
    fields = {"id": f"J{number}", "label": f"Well {number}", "latitude": 32.0, "longitude": -102.0 - number / 10}
    return Job.model_validate({**fields, "minutes": 30, "risk": risk} | changes)


def technician(number: int, **changes: object) -> Technician:
    """A technician from seven to five."""
    fields = {"id": f"T{number}", "name": f"Person {number}", "base": "Base", "latitude": 32.0, "longitude": -102.0}
    return Technician.model_validate({**fields, "shift_starts": 420, "shift_ends": 1020} | changes)


def problem(jobs: tuple[Job, ...], people: tuple[Technician, ...], *, minutes: int = 20, **changes: object) -> Problem:
    """A problem in which every leg takes as long, and is a mile for two minutes."""
    points = len(jobs) + len(people)
    rows = tuple(tuple(0 if one == other else minutes for other in range(points)) for one in range(points))
    tenths = tuple(tuple(5 * each for each in row) for row in rows)
    legs = Legs(source="a test", minutes=rows, tenths=tenths)
    fields = {
        "day": "2026-07-01",
        "jobs": jobs,
        "technicians": people,
        "legs": legs,
        "rates": Rates(),
        "lunch": Lunch(),
    }
    return Problem.model_validate(fields | changes)
