"""Technicians and the work orders that they are sent on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from demo.oil_field.areas import CREW_BASES
from demo.oil_field.downtime import Downtime
from demo.oil_field.period import FIRST_MONTH, LAST_DAY, PERIOD_END, random_source
from demo.oil_field.wells import Well

SKILL_BY_WORK_TYPE = {
    "pump_repair": "pump",
    "compressor_service": "compressor",
    "electrical": "electrical",
    "site_inspection": "instrumentation",
    "chemical_treatment": "chemical",
    "tank_gauging": "instrumentation",
    "preventive_maintenance": "pump",
}
"""Which skill each type of work needs."""

REPAIR_BY_CAUSE = {
    "lift_failure": "pump_repair",
    "workover": "pump_repair",
    "compressor_outage": "compressor_service",
    "power_outage": "electrical",
}
"""Causes of downtime that send someone, and to do what."""

PLANNED_WORK_TYPES = ("site_inspection", "chemical_treatment", "tank_gauging", "preventive_maintenance")
DAYS_BY_PRIORITY = {"emergency": 1, "high": 3, "normal": 10, "low": 21}
FIRST_NAMES = (
    "Rosa", "Dale", "Maribel", "Travis", "Ingrid", "Cody", "Nadia", "Luis", "Shelby", "Amos", "Priya", "Wade", "Elena",
    "Curtis", "Tomasa", "Reid", "Janelle", "Hector", "Odette", "Brett", "Sunita", "Marlon", "Greta", "Ike", "Paloma",
    "Vernon", "Asha", "Boyd",
)  # fmt: skip
LAST_NAMES = (
    "Quintero", "Haskell", "Ybarra", "Lindqvist", "Okafor", "Pruitt", "Salcido", "Mercer", "Tallbear", "Voss",
    "Beltran", "Dunning", "Castellano", "Harjo", "Nyberg", "Stroud",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Technician:
    """An invented person."""

    id: str
    name: str
    base: str
    region: str
    skills: tuple[str, ...]
    h2s_certified: bool
    hired: date


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """Work at a well, for a downtime event or planned."""

    id: str
    well: Well
    downtime: Downtime | None
    technician: Technician | None
    type: str
    priority: str
    status: str
    opened: date
    due: date
    completed: date | None
    hours: float | None


def make_technicians(seed: int) -> list[Technician]:
    """Four at each base; together those of a base have every skill."""
    rng = random_source(seed, "technicians")
    places = [(region, base) for region, bases in CREW_BASES.items() for base in bases for _ in range(4)]
    last = rng.sample(LAST_NAMES * 2, len(places))
    skills = sorted(set(SKILL_BY_WORK_TYPE.values()))
    return [
        Technician(
            id=f"T-{100 + number}",
            name=f"{FIRST_NAMES[number]} {last[number]}",
            base=base,
            region=region,
            skills=tuple(
                sorted({skills[number % 4], skills[(number + 1) % len(skills)], rng.choice([*skills, "welding"])})
            ),
            h2s_certified=rng.random() < 0.6,
            hired=date(2009, 1, 1) + timedelta(days=rng.randrange(5_800)),
        )
        for number, (region, base) in enumerate(places)
    ]


def make_work_orders(
    seed: int, wells: list[Well], downtime: list[Downtime], technicians: list[Technician]
) -> list[WorkOrder]:
    """Orders by the day on which they were opened."""
    wanted = sorted(
        [*_repairs(seed, downtime), *_planned(seed, wells)],
        key=lambda order: (order[3], order[0].api_number, order[1]),
    )
    return [
        _order(random_source(seed, "order", str(number)), f"WO-{number:06d}", order, technicians)
        for number, order in enumerate(wanted, 1)
    ]


RequestedWork = tuple[Well, str, str, date, Downtime | None]
"""Well, type, priority, day of opening, and the event behind it."""


def _repairs(seed: int, downtime: list[Downtime]) -> Iterator[RequestedWork]:
    for event in downtime:
        if work := REPAIR_BY_CAUSE.get(event.cause):
            a_day = event.deferred_oil / max(event.hours, 1) * 24
            priority = "emergency" if a_day > 400 else "high" if a_day > 80 else "normal"
            yield event.well, work, priority, event.started.date(), event


def _planned(seed: int, wells: list[Well]) -> Iterator[RequestedWork]:
    for well in wells:
        rng = random_source(seed, "planned", well.api_number)
        day = max(well.first_production or LAST_DAY, FIRST_MONTH)
        end = well.stopped if well.stopped else PERIOD_END.date()
        while (day := day + timedelta(days=rng.randrange(40, 200))) < end:
            yield well, rng.choice(PLANNED_WORK_TYPES), rng.choices(("low", "normal"), (2, 3))[0], day, None


def _order(rng: Random, order_id: str, wanted: RequestedWork, technicians: list[Technician]) -> WorkOrder:
    well, work, priority, opened, event = wanted
    due = opened + timedelta(days=DAYS_BY_PRIORITY[priority])
    fit = [
        person
        for person in technicians
        if person.region == well.area.basin and SKILL_BY_WORK_TYPE[work] in person.skills
    ]
    # The field crew repairs what is down until it runs; planned work slips past its due day now and then.
    done = (
        event.ended.date()
        if event
        else opened + timedelta(days=int(DAYS_BY_PRIORITY[priority] * rng.uniform(0.3, 1.7)))
    )
    status = _status(rng, opened, done, planned=event is None)
    return WorkOrder(
        id=order_id,
        well=well,
        downtime=event,
        technician=None if status == "cancelled" or (status == "open" and rng.random() < 0.3) else rng.choice(fit),
        type=work,
        priority=priority,
        status=status,
        opened=opened,
        due=due,
        completed=done if status == "completed" else None,
        hours=round(rng.uniform(0.5, 6) if event is None else rng.uniform(3, 40), 2) if status == "completed" else None,
    )


def _status(rng: Random, opened: date, done: date, *, planned: bool) -> str:
    if planned and rng.random() < 0.03:
        return "cancelled"
    if done <= LAST_DAY:
        return "completed"
    return "open" if planned and (LAST_DAY - opened).days < 10 else "in_progress"
