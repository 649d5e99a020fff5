"""What a question asks for, as the model understood it, and the problem that follows from it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from services.specialists.field_routing.problem import (
    MAX_JOBS,
    MAX_TECHNICIANS,
    Job,
    Lunch,
    Problem,
    Rates,
    Technician,
)
from services.specialists.field_routing.travel import TravelMatrix, UnknownPoint
from services.specialists.field_routing.work_orders import CrewMember, FieldData, OpenOrder

_Names = Annotated[list[Annotated[str, Field(max_length=120)]], Field(max_length=MAX_TECHNICIANS)]


class RouteRequest(BaseModel):
    """The parameters of a plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    day: str = Field(description="`today`, `tomorrow`, or a date as YYYY-MM-DD.", max_length=20)
    area: str | None = Field(
        default=None, description="A basin, county or home base that the question names; else absent.", max_length=60
    )
    technicians: _Names = Field(
        default=[], description="Ids or names of the technicians that the question names; else everybody on duty."
    )
    must_visit: _Names = Field(
        default=[], description="Ids of work orders, or names of wells, that the question says must be visited."
    )
    add: _Names = Field(
        default=[],
        description="Ids of work orders, or names of wells, to fit into the plan that people already have for this "
        "day. Only if the question says that there is a plan or schedule already.",
    )
    max_moved: int = Field(
        default=2, ge=0, le=4, description="With `add`: how many stops of that plan may move; 2 unless it says so."
    )


class UnclearRequest(Exception):
    """The request names something that does not exist. The message is for the model, or the asker."""


@dataclass(frozen=True)
class PlanningTask:
    """A problem with the jobs to add to an earlier plan."""

    problem: Problem
    added: tuple[int, ...]
    max_moved: int


def planned_day(text: str, as_of: str) -> str:
    """The day that a request means; `today` is the day of the data. Raises `UnclearRequest`."""
    today = date.fromisoformat(as_of)
    named = {"today": today, "tomorrow": today + timedelta(days=1)}.get(text.strip().lower())
    if named is not None:
        return named.isoformat()
    try:
        return date.fromisoformat(text.strip()).isoformat()
    except ValueError:
        raise UnclearRequest(f"day is invalid: write today, tomorrow or YYYY-MM-DD. Today is {as_of}.") from None


def build_task(
    request: RouteRequest,
    data: FieldData,
    crew: Sequence[CrewMember],
    *,
    travel: TravelMatrix,
    rates: Rates,
    lunch: Lunch,
) -> PlanningTask:
    """The problem that a request describes. Raises `UnclearRequest`, also for more than can be planned at once."""
    day = planned_day(request.day, data.as_of)
    orders, people = _in_area(request.area, data.orders, [each for each in crew if each.on_duty], crew)
    if request.technicians:
        chosen = [_find(name, crew, lambda each: (each.id, each.name), "technician") for name in request.technicians]
        if away := [each.name for members in chosen for each in members if not each.on_duty]:
            raise UnclearRequest(f"Not on duty on {day}: {', '.join(away)}.")
        ids = {each.id for members in chosen for each in members}
        people = [each for each in crew if each.id in ids]
        if not request.area:
            orders = [order for order in orders if order.area in {each.area for each in people}]
    wanted = {order.id for name in request.must_visit for order in _find_orders(name, data.orders)}
    added = {order.id for name in request.add for order in _find_orders(name, data.orders)}
    orders = [order for order in data.orders if order in orders or order.id in wanted | added]
    for count, most, what in ((len(orders), MAX_JOBS, "work orders"), (len(people), MAX_TECHNICIANS, "technicians")):
        if count > most:
            raise UnclearRequest(f"{count} {what} are too many for one plan, {most} are not: ask for one area.")
    jobs = tuple(_job(order, day, order.id in wanted) for order in sorted(orders, key=lambda each: each.id))
    technicians = tuple(
        Technician(**each.model_dump(exclude={"area", "on_duty"})) for each in sorted(people, key=lambda each: each.id)
    )
    api = {order.id: order.api_number for order in orders}
    points = [
        *((each.base, each.latitude, each.longitude) for each in technicians),
        *((api[job.id], job.latitude, job.longitude) for job in jobs),
    ]
    try:
        legs = travel.legs(points)
    except UnknownPoint as unknown:
        raise UnclearRequest(f"{unknown}; leave it out or extend the matrix.") from None
    index = tuple(place for place, job in enumerate(jobs) if job.id in added)
    problem = Problem(day=day, jobs=jobs, technicians=technicians, rates=rates, lunch=lunch, legs=legs)
    return PlanningTask(problem, index, request.max_moved)


def _in_area(
    area: str | None, orders: Sequence[OpenOrder], people: Sequence[CrewMember], crew: Sequence[CrewMember]
) -> tuple[list[OpenOrder], list[CrewMember]]:
    """The orders and technicians of a basin, a county or a base. A county has the technicians of its basin, a base the
    orders of its own."""
    if area is None or not area.strip():
        return list(orders), list(people)
    wanted = _fold(area)
    if any(_fold(each.area) == wanted for each in (*orders, *crew)):
        return [o for o in orders if _fold(o.area) == wanted], [p for p in people if _fold(p.area) == wanted]
    if any(_fold(order.county) == wanted for order in orders):
        found = [order for order in orders if _fold(order.county) == wanted]
        basins = {order.area for order in found}
        return found, [each for each in people if each.area in basins]
    if any(_fold(each.base) == wanted for each in crew):
        here = [each for each in people if _fold(each.base) == wanted]
        basins = {each.area for each in crew if _fold(each.base) == wanted}
        return [order for order in orders if order.area in basins], here
    names = sorted({each.area for each in (*orders, *crew)} | {o.county for o in orders} | {p.base for p in crew})
    raise UnclearRequest(f"There is no such area. There are: {', '.join(names)}.")


T = TypeVar("T", OpenOrder, CrewMember)


def _find(name: str, among: Iterable[T], names: Callable[[T], tuple[str, ...]], what: str) -> list[T]:
    known = list(among)
    found = [each for each in known if _fold(name) in map(_fold, names(each))]
    if found:
        return found
    near = [each for each in known if _fold(name) and any(_fold(name) in _fold(text) for text in names(each))]
    if len(near) == 1:
        return near
    choice = near or known
    listed = ", ".join(" ".join(names(each)) for each in choice[:30])
    raise UnclearRequest(f"No one {what} has that name. There are: {listed or 'none'}.")


def _find_orders(name: str, orders: Sequence[OpenOrder]) -> list[OpenOrder]:
    """The orders of this id, or every order of this well."""
    return _find(name, orders, lambda each: (each.id, each.well, each.api_number), "open work order or well with one")


def _job(order: OpenOrder, day: str, asked: bool) -> Job:
    due = order.must_visit_by is not None and order.must_visit_by <= day
    return Job(
        id=order.id,
        label=order.well,
        latitude=order.latitude,
        longitude=order.longitude,
        minutes=order.minutes,
        skills=tuple(sorted(order.skills)),
        opens=order.opens,
        closes=order.closes,
        must_visit=due or asked,
        must_reason=order.must_reason if due else "asked for" if asked else "",
        risk=order.risk,
    )


def _fold(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().casefold().removesuffix(" basin").removesuffix(" county")
