"""Wells: where they are, how old, how lifted, in what state, and the decline each follows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from demo.oil_field.areas import AREAS, Area
from demo.oil_field.decline import Decline
from demo.oil_field.period import FIRST_MONTH, PERIOD_END, add_months, months_between, random_source

WELL_COUNT = 240
FIRST_WELL_NUMBER = 90_001
LEASE_NAMES = (
    "Cutbow", "Harlan", "Mesquite Draw", "Long Shadow", "Tin Cup", "Sandhill", "Prickly Pear", "Bluestem", "Coyote Run",
    "Wagon Mound", "Rattler", "Stillwater", "Badger Creek", "Lone Juniper", "Windmill", "Caliche", "Quarter Horse",
    "Dry Fork", "Meadowlark", "Iron Gate",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Well:
    """A well and what it would produce if it never stood still."""

    api_number: str
    name: str
    area: Area
    latitude: float
    longitude: float
    spud: date
    first_production: date | None
    status: str
    stopped: date | None
    """First day of the month in which it was shut in or plugged for good."""
    lift: str | None
    lateral_ft: int
    decline: Decline


def make_wells(seed: int, count: int = WELL_COUNT) -> list[Well]:
    """The wells in the order of their API numbers, spread over the areas by share."""
    parts = [area for area in AREAS for _ in range(area.share)]
    placed = sorted((parts[index * len(parts) // count] for index in range(count)), key=lambda area: area.api_prefix)
    return [_well(seed, number, area) for number, area in enumerate(placed)]


def _well(seed: int, index: int, area: Area) -> Well:
    # The serial numbers start at 90001 so that no row passes for one of the well-known wells of these counties.
    api_number = f"{area.api_prefix}-{FIRST_WELL_NUMBER + index:05d}"
    rng = random_source(seed, "well", api_number)
    status = rng.choices(("producing", "shut_in", "plugged", "drilling"), (86, 7, 4, 3))[0]
    first = None if status == "drilling" else _first_production(rng, status)
    spud = (
        date(2026, 4, 1) + timedelta(days=rng.randrange(80))
        if first is None
        else first - timedelta(days=rng.randrange(90, 240))
    )
    lateral = 100 * rng.randrange(50, 132)
    return Well(
        api_number=api_number,
        name=f"{LEASE_NAMES[index % len(LEASE_NAMES)]} {index // len(LEASE_NAMES) + 1}H",
        area=area,
        latitude=round(area.latitude + rng.uniform(-0.22, 0.22), 6),
        longitude=round(area.longitude + rng.uniform(-0.22, 0.22), 6),
        spud=spud,
        first_production=first,
        status=status,
        stopped=_stopped(rng, status, first),
        lift=_lift(rng, first),
        lateral_ft=lateral,
        decline=_decline(rng, area, lateral),
    )


def _first_production(rng: Random, status: str) -> date:
    # A well that ended for good had to live first.
    newest = 38 if status == "producing" else 8
    return add_months(FIRST_MONTH, rng.randrange(-40, newest))


def _stopped(rng: Random, status: str, first: date | None) -> date | None:
    if first is None or status not in {"shut_in", "plugged"}:
        return None
    return add_months(PERIOD_END.date(), -rng.randrange(2, 20))


def _lift(rng: Random, first: date | None) -> str | None:
    if first is None:
        return None
    age = months_between(first, PERIOD_END.date())
    if age < 10:
        return rng.choices(("flowing", "esp"), (3, 2))[0]
    return rng.choices(("rod_pump", "esp", "gas_lift", "plunger_lift"), (4, 3, 4, 1))[0]


def _decline(rng: Random, area: Area, lateral: int) -> Decline:
    low, high = area.oil_rate
    return Decline(
        initial_rate=rng.uniform(low, high) * (0.6 + 0.4 * lateral / 10_000),
        initial_decline=rng.uniform(0.09, 0.20),
        exponent=rng.uniform(0.7, 1.2),
    )
