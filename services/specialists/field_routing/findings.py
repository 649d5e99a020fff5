"""Findings of a plan, or of the reasons against one. Code makes every figure and the summary."""

from __future__ import annotations

from contracts.documents.findings import Figure, Findings, ResultColumn
from services.specialists.field_routing.document import clock, totals
from services.specialists.field_routing.plan import DayPlan, NoPlan, dollars
from services.specialists.field_routing.problem import Job, Problem
from services.specialists.field_routing.work_orders import FieldData

SHOWN_SKIPPED = 3
COLUMNS = tuple(
    ResultColumn(name=name, type=kind, unit=unit)
    for name, kind, unit in (
        ("technician", "text", None),
        ("stop", "number", None),
        ("work_order", "text", None),
        ("well", "text", None),
        ("arrives", "time", None),
        ("begins", "time", None),
        ("ends", "time", None),
        ("drive", "number", "min"),
        ("drive_distance", "number", "mi"),
        ("at_risk", "number", "USD/day"),
        ("not_visited_because", "text", None),
    )
)
NOT_KNOWN = (
    "Traffic, weather, closed roads and gates: travel is {travel}.",
    "The probability of failure is the work-order system's estimate; money at risk is an expectation for one day of "
    "delay (rate lost x price x net interest x probability), not a forecast of revenue.",
    "How long the work takes: the planned minutes of each work order are taken as they are.",
    "Whether these are the best routes of all: the search is a fixed number of steps, not a proof.",
)


def build_findings(plan: DayPlan, data: FieldData, *, computation: str, explanation: str) -> Findings:
    """The stops in order, then what is not visited, with totals beside the fixed loop's."""
    problem = plan.problem
    rows: list[tuple[str | int | None, ...]] = []
    for route in plan.routes:
        person = problem.technicians[route.technician]
        for number, visit in enumerate(route.visits, start=1):
            job = problem.jobs[visit.job]
            times = (
                clock(problem.lunch.end(visit.arrives)),
                clock(problem.lunch.begin(visit.begins)),
                clock(problem.lunch.end(visit.ends)),
            )
            drive = visit.drive_minutes, f"{visit.tenths / 10:.1f}", _usd(job.risk.cents)
            rows.append((person.name, number, job.id, job.label, *times, *drive, ""))
    for each in plan.skipped:
        job = problem.jobs[each.job]
        why = f"{each.reason}: {each.detail}"
        rows.append((None, None, job.id, job.label, None, None, None, None, None, _usd(job.risk.cents), why))
    return Findings(
        outcome="rows" if plan.routes else "no_rows",
        summary=_summary(plan, data),
        columns=COLUMNS,
        rows=tuple(rows),
        row_count=len(rows),
        truncated=data.truncated,
        figures=_figures(plan, data),
        computation=computation,
        not_known=_not_known(problem, data),
        explanation=explanation,
        data_label=data.data_label,
        data_through=data.as_of,
    )


def build_no_plan(
    problem: Problem, refused: NoPlan, data: FieldData, *, computation: str, explanation: str
) -> Findings:
    """Findings that name the must-visits without which there could be a plan, and why each is impossible."""
    jobs = "; ".join(f"{_name(problem.jobs[job])}: {why}" for job, why in refused.reasons)
    return Findings(
        outcome="refused",
        summary=f"There is no plan for {problem.day}: {refused}. {jobs}.",
        computation=computation,
        not_known=_not_known(problem, data),
        explanation=explanation,
        data_label=data.data_label,
        data_through=data.as_of,
    )


def _summary(plan: DayPlan, data: FieldData) -> str:
    problem, ours, loop = plan.problem, totals(plan.problem, plan.routes), totals(plan.problem, plan.loop)
    if not problem.jobs:
        return f"No work order is open that may be planned for {problem.day}."
    parts = [
        f"{problem.day}: {ours['visits']} of {len(problem.jobs)} jobs by {len(plan.routes)} of "
        f"{len(problem.technicians)} technicians, {ours['distance_tenth_mi'] / 10:.1f} mi, "
        f"{dollars(ours['kept_cents_per_day'])} per day kept from risk, {dollars(ours['left_cents_per_day'])} left, "
        f"at a cost of {dollars(ours['cost_cents'])}."
    ]
    for route in plan.routes:
        person, first = problem.technicians[route.technician], problem.lunch.begin(route.leaves)
        stops = ", ".join(
            f"{clock(problem.lunch.begin(visit.begins))} {_name(problem.jobs[visit.job])}" for visit in route.visits
        )
        back = clock(problem.lunch.end(route.returns))
        parts.append(f"{person.name} leaves {person.base} at {clock(first)}: {stops}; back at {back}.")
    if plan.skipped:
        dearest = sorted(plan.skipped, key=lambda each: (-problem.jobs[each.job].risk.cents, each.job))
        named = "; ".join(
            f"{_name(problem.jobs[each.job])} ({dollars(problem.jobs[each.job].risk.cents)} per day, "
            f"{each.reason.replace('_', ' ')})"
            for each in dearest[:SHOWN_SKIPPED]
        )
        more = f" and {len(dearest) - SHOWN_SKIPPED} more" if len(dearest) > SHOWN_SKIPPED else ""
        parts.append(f"Not visited: {named}{more}.")
    gain = ours["kept_cents_per_day"] - loop["kept_cents_per_day"]
    parts.append(
        f"The fixed loop visits {loop['visits']} jobs in {loop['distance_tenth_mi'] / 10:.1f} mi and keeps "
        f"{dollars(loop['kept_cents_per_day'])}: {dollars(abs(gain))} per day {'less' if gain >= 0 else 'more'}"
        f"{_left_out(plan)}."
    )
    if plan.change is not None:
        parts.append(
            f"Added: {', '.join(_name(problem.jobs[job]) for job in plan.change.added)}; {plan.change.moved} stops of "
            f"the earlier plan move (at most {plan.change.max_moved} may); a new plan of the whole day would move "
            f"{plan.change.full_replan_moved}."
        )
    return " ".join(parts)


def _left_out(plan: DayPlan) -> str:
    """The must-visits that the fixed loop has no regard for."""
    seen = {visit.job for route in plan.loop for visit in route.visits}
    count = sum(job.must_visit and index not in seen for index, job in enumerate(plan.problem.jobs))
    return f", with {count} must-visits left out" if count else ""


def _figures(plan: DayPlan, data: FieldData) -> tuple[Figure, ...]:
    source = (f"work-order service as of {data.as_of}: {len(plan.problem.jobs)} work orders",)
    shown = (
        ("money kept from risk", "kept_cents_per_day", 100, "USD/day"),
        ("money left at risk", "left_cents_per_day", 100, "USD/day"),
        ("cost of the routes", "cost_cents", 100, "USD"),
        ("distance", "distance_tenth_mi", 10, "mi"),
        ("driving", "drive_min", 1, "min"),
        ("overtime", "overtime_min", 1, "min"),
        ("visits", "visits", 1, "visits"),
    )
    return tuple(
        Figure(
            name=name,
            of=of,
            value=sums[field] if divisor == 1 else f"{sums[field] / divisor:.{1 if divisor == 10 else 2}f}",
            unit=unit,
            period=plan.problem.day,
            sources=source,
        )
        for of, sums in (
            ("the plan", totals(plan.problem, plan.routes)),
            ("the fixed loop", totals(plan.problem, plan.loop)),
        )
        for name, field, divisor, unit in shown
    )


def _not_known(problem: Problem, data: FieldData) -> tuple[str, ...]:
    known = [each.format(travel=problem.legs.source) for each in NOT_KNOWN]
    if data.truncated:
        known.append("There are more open work orders than the service returns at once; these are not planned.")
    return tuple(known)


def _name(job: Job) -> str:
    return f"{job.label} ({job.id})"


def _usd(cents: int) -> str:
    return f"{cents / 100:.2f}"
