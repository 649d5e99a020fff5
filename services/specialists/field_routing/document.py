"""A plan as JSON, from which it can be checked and computed again, and as CSV."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from services.specialists.field_routing.plan import DayPlan
from services.specialists.field_routing.problem import Problem
from services.specialists.field_routing.schedule import TimedRoute

DOCUMENT_VERSION = 1
LOOP_DEFINITION = (
    "Every job is on the loop of the nearest base with somebody who can do it; a base deals its jobs in sectors of the "
    "compass; each sector is driven clockwise, the same way on any day; what the window or the shift no longer allows "
    "is left out; no overtime."
)
CSV_COLUMNS = (
    "day", "technician_id", "technician", "stop", "work_order", "well", "latitude", "longitude", "arrives", "begins",
    "ends", "drive_min", "drive_mi", "work_min", "must_visit", "at_risk_usd_per_day", "not_visited_because",
)  # fmt: skip


def plan_json(plan: DayPlan, search: dict[str, int | str]) -> bytes:
    """The plan with the whole problem and how it was searched. Amounts are cents, distances tenths of a mile."""
    problem = plan.problem
    document: dict[str, Any] = {
        "version": DOCUMENT_VERSION,
        "day": problem.day,
        "problem": problem.model_dump(mode="json"),
        "search": search,
        "routes": [_route(problem, route) for route in plan.routes],
        "not_visited": [
            {
                "work_order": problem.jobs[each.job].id,
                "at_risk_cents_per_day": problem.jobs[each.job].risk.cents,
                "reason": each.reason,
                "detail": each.detail,
            }
            for each in plan.skipped
        ],
        "totals": totals(problem, plan.routes),
        "fixed_loop": {
            "definition": LOOP_DEFINITION,
            "totals": totals(problem, plan.loop),
            "routes": [_route(problem, route) for route in plan.loop],
        },
        "change": _change(plan),
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def totals(problem: Problem, routes: tuple[TimedRoute, ...]) -> dict[str, int]:
    """Sums over routes. The objective is what they cost and what stays at risk."""
    visited = {visit.job for route in routes for visit in route.visits}
    kept = sum(problem.jobs[job].risk.cents for job in visited)
    left = sum(job.risk.cents for job in problem.jobs) - kept
    cost = sum(route.cost(problem) for route in routes)
    return {
        "visits": len(visited),
        "distance_tenth_mi": sum(route.tenths for route in routes),
        "drive_min": sum(route.drive_minutes for route in routes),
        "overtime_min": sum(route.overtime for route in routes),
        "kept_cents_per_day": kept,
        "left_cents_per_day": left,
        "cost_cents": cost,
        "objective_cents": cost + left,
    }


def _route(problem: Problem, route: TimedRoute) -> dict[str, Any]:
    lunch = problem.lunch
    return {
        "technician": problem.technicians[route.technician].id,
        "leaves": clock(lunch.begin(route.leaves)),
        "returns": clock(lunch.end(route.returns)),
        "overtime_min": route.overtime,
        "cost_cents": route.cost(problem),
        "home_min": route.home_minutes,
        "home_tenth_mi": route.home_tenths,
        "stops": [
            {
                "work_order": problem.jobs[visit.job].id,
                "arrives": clock(lunch.end(visit.arrives)),
                "begins": clock(lunch.begin(visit.begins)),
                "ends": clock(lunch.end(visit.ends)),
                "drive_min": visit.drive_minutes,
                "drive_tenth_mi": visit.tenths,
            }
            for visit in route.visits
        ],
    }


def _change(plan: DayPlan) -> dict[str, Any] | None:
    change, problem = plan.change, plan.problem
    if change is None:
        return None

    def named(sequences: tuple[tuple[int, ...], ...]) -> dict[str, list[str]]:
        people = problem.technicians
        return {people[who].id: [problem.jobs[job].id for job in jobs] for who, jobs in enumerate(sequences) if jobs}

    return {
        "added": [problem.jobs[job].id for job in change.added],
        "max_moved": change.max_moved,
        "moved": change.moved,
        "full_replan_moved": change.full_replan_moved,
        "full_replan_objective_cents": change.full_replan_objective,
        "before": named(change.before),
    }


def plan_csv(plan: DayPlan) -> bytes:
    """A row for each stop, then one for each job that is not visited."""
    problem, text = plan.problem, io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for route in plan.routes:
        person = problem.technicians[route.technician]
        for number, visit in enumerate(route.visits, start=1):
            writer.writerow(
                _job_cells(problem, visit.job)
                | {
                    "technician_id": person.id,
                    "technician": _cell(person.name),
                    "stop": number,
                    "arrives": clock(problem.lunch.end(visit.arrives)),
                    "begins": clock(problem.lunch.begin(visit.begins)),
                    "ends": clock(problem.lunch.end(visit.ends)),
                    "drive_min": visit.drive_minutes,
                    "drive_mi": f"{visit.tenths / 10:.1f}",
                }
            )
    for each in plan.skipped:
        writer.writerow(_job_cells(problem, each.job) | {"not_visited_because": f"{each.reason}: {each.detail}"})
    return text.getvalue().encode()


def _job_cells(problem: Problem, job: int) -> dict[str, Any]:
    known = problem.jobs[job]
    return {
        "day": problem.day,
        "work_order": _cell(known.id),
        "well": _cell(known.label),
        "latitude": known.latitude,
        "longitude": known.longitude,
        "work_min": known.minutes,
        "must_visit": known.must_reason or "yes" if known.must_visit else "",
        "at_risk_usd_per_day": f"{known.risk.cents / 100:.2f}",
    }


def _cell(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text


def clock(minute: int) -> str:
    """A minute of the day as HH:MM; after midnight the hours go on."""
    return f"{minute // 60:02d}:{minute % 60:02d}"
