"""Makes the synthetic oil field as compressed CSV: `python -m demo.oil_field.generate [FOLDER]`.

The files in `data/` are its output. Run it again only to change the data: gold answers of the evals depend on them.
County codes are those of API Bulletin D12A; rates and ratios describe no real field, operator or well.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from demo.oil_field.warehouse import DATA_FOLDER
from services.specialists.text_to_sql.schema import load_schema

SEED, LABEL, WELL_COUNT = 20260630, "SYNTHETIC", 240
FIRST_MONTH, LAST_DAY, PERIOD_END = date(2023, 1, 1), date(2026, 6, 30), datetime(2026, 7, 1)
VOLUME_NOISE = 0.05  # standard deviation of the logarithm of a month's volume
MEAN_DAYS_BETWEEN_EVENTS = 260


class Area(NamedTuple):
    """A county of a basin, and what its wells are like. `share` is its part of the wells, `oil_rate` bbl/d at first."""

    basin: str
    field: str
    formation: str
    county: str
    state: str
    operator: str
    api_prefix: str
    latitude: float
    longitude: float
    share: int
    oil_rate: tuple[float, float]
    gas_oil_ratio: float
    water_oil_ratio: float


AREAS = (
    Area("Permian", "Spraberry", "Wolfcamp", "Midland", "TX", "Caprock Energy",
         "42-329", 31.87, -102.03, 6, (450, 1100), 2.1, 2.2),
    Area("Permian", "Delaware River", "Bone Spring", "Reeves", "TX", "Caprock Energy",
         "42-389", 31.32, -103.69, 4, (500, 1300), 3.4, 3.6),
    Area("Permian", "Red Tank", "Wolfcamp", "Lea", "NM", "Pecos Valley Oil",
         "30-025", 32.35, -103.55, 4, (550, 1400), 2.8, 3.1),
    Area("Permian", "Purple Sage", "Wolfcamp", "Eddy", "NM", "Pecos Valley Oil",
         "30-015", 32.25, -104.05, 3, (400, 1200), 4.0, 3.8),
    Area("Eagle Ford", "Eagleville", "Eagle Ford", "Karnes", "TX", "Brush Country Resources",
         "42-255", 28.90, -97.86, 4, (350, 1000), 1.9, 0.9),
    Area("Eagle Ford", "Briscoe Ranch", "Eagle Ford", "La Salle", "TX", "Brush Country Resources",
         "42-283", 28.35, -99.10, 2, (250, 700), 5.2, 0.7),
    Area("Williston", "Spotted Horn", "Bakken", "McKenzie", "ND", "Missouri Breaks Petroleum",
         "33-053", 47.78, -103.10, 4, (450, 1250), 1.7, 1.3),
    Area("Williston", "Parshall", "Three Forks", "Mountrail", "ND", "Missouri Breaks Petroleum",
         "33-061", 48.05, -102.20, 2, (300, 800), 1.2, 1.0),
    Area("DJ", "Wattenberg", "Niobrara", "Weld", "CO", "Front Range Operating",
         "05-123", 40.35, -104.70, 4, (250, 750), 4.5, 0.4),
    Area("Anadarko", "Sooner Trend", "Meramec", "Kingfisher", "OK", "Cross Timbers Oil",
         "35-073", 35.95, -97.94, 3, (200, 650), 5.8, 1.6),
)  # fmt: skip
LEASES = (
    "Cutbow", "Harlan", "Mesquite Draw", "Long Shadow", "Tin Cup", "Sandhill", "Prickly Pear", "Bluestem", "Coyote Run",
    "Wagon Mound", "Rattler", "Stillwater", "Badger Creek", "Lone Juniper", "Windmill", "Caliche", "Quarter Horse",
    "Dry Fork", "Meadowlark", "Iron Gate",
)  # fmt: skip
CREW_BASES = {
    "Permian": ("Midland", "Carlsbad"), "Eagle Ford": ("Karnes City",), "Williston": ("Watford City",),
    "DJ": ("Greeley",), "Anadarko": ("Kingfisher",),
}  # fmt: skip
FIRST_NAMES = (
    "Rosa", "Dale", "Maribel", "Travis", "Ingrid", "Cody", "Nadia", "Luis", "Shelby", "Amos", "Priya", "Wade", "Elena",
    "Curtis", "Tomasa", "Reid", "Janelle", "Hector", "Odette", "Brett", "Sunita", "Marlon", "Greta", "Ike", "Paloma",
    "Vernon", "Asha", "Boyd",
)  # fmt: skip
LAST_NAMES = (
    "Quintero", "Haskell", "Ybarra", "Lindqvist", "Okafor", "Pruitt", "Salcido", "Mercer", "Tallbear", "Voss",
    "Beltran", "Dunning", "Castellano", "Harjo", "Nyberg", "Stroud",
)  # fmt: skip
# Cause of downtime: shortest and longest in hours, weight in summer and in winter.
CAUSES = {
    "lift_failure": (24, 260, 34, 34), "compressor_outage": (6, 72, 14, 14), "power_outage": (3, 36, 12, 14),
    "offset_frac": (96, 500, 6, 6), "weather": (12, 96, 3, 30), "workover": (48, 340, 12, 8),
    "gathering_limit": (12, 120, 10, 10),
}  # fmt: skip
REPAIRS = {
    "lift_failure": "pump_repair", "workover": "pump_repair", "compressor_outage": "compressor_service",
    "power_outage": "electrical",
}  # fmt: skip
SKILLS = {
    "pump_repair": "pump", "compressor_service": "compressor", "electrical": "electrical",
    "site_inspection": "instrumentation", "chemical_treatment": "chemical", "tank_gauging": "instrumentation",
    "preventive_maintenance": "pump",
}  # fmt: skip
PLANNED_WORK = ("site_inspection", "chemical_treatment", "tank_gauging", "preventive_maintenance")
DAYS_BY_PRIORITY = {"emergency": 1, "high": 3, "normal": 10, "low": 21}


@dataclass(frozen=True)
class Well:
    """A well. `stopped` is the first day of the month in which it was shut in or plugged."""

    api_number: str
    name: str
    area: Area
    latitude: float
    longitude: float
    spud: date
    first_production: date | None
    status: str
    stopped: date | None
    lift: str | None
    lateral_ft: int
    initial_rate: float
    initial_decline: float
    exponent: float

    def oil_rate(self, months_on: float) -> float:
        """Oil in bbl/d so many months after first production: Arps' hyperbolic decline (Trans. AIME 160, 1945)."""
        return float(self.initial_rate / (1 + self.exponent * self.initial_decline * months_on) ** (1 / self.exponent))


class Event(NamedTuple):
    """A downtime event, in whole hours."""

    id: str
    well: Well
    started: datetime
    ended: datetime
    cause: str
    deferred_oil: float

    def hours(self, start: datetime = datetime.min, end: datetime = datetime.max) -> int:
        """Its length, or the part of it in a period."""
        return max(0, int((min(self.ended, end) - max(self.started, start)).total_seconds()) // 3600)


def make_tables() -> dict[str, list[tuple[Any, ...]]]:
    """All rows by table, in the order of the schema's columns."""
    wells = make_wells()
    events = [
        Event(f"DT-{number:06d}", *event)
        for number, event in enumerate((event for well in wells for event in _downtime(well)), 1)
    ]
    technicians = _technicians()
    return {
        "WELLS": [
            (well.api_number, well.name, *well.area[:6], well.latitude, well.longitude, well.spud,
             well.first_production, well.status, well.lift, well.lateral_ft, LABEL)
            for well in wells
        ],
        "MONTHLY_PRODUCTION": [row for well in wells for row in _production(well, events)],
        "DOWNTIME": [
            (each.id, each.well.api_number, each.started, each.ended, each.hours(), each.cause, each.deferred_oil,
             LABEL)
            for each in events
        ],
        "WORK_ORDERS": list(_work_orders(wells, events, technicians)),
        "TECHNICIANS": technicians,
    }  # fmt: skip


def make_wells() -> list[Well]:
    """The wells in the order of their API numbers, spread over the areas by share."""
    parts = [area for area in AREAS for _ in range(area.share)]
    placed = sorted(
        (parts[index * len(parts) // WELL_COUNT] for index in range(WELL_COUNT)), key=lambda a: a.api_prefix
    )
    return [_well(number, area) for number, area in enumerate(placed)]


def _well(index: int, area: Area) -> Well:
    api_number = f"{area.api_prefix}-{90_001 + index:05d}"  # from 90001: no row passes for a well-known real well
    rng = _random("well", api_number)
    status = rng.choices(("producing", "shut_in", "plugged", "drilling"), (86, 7, 4, 3))[0]
    first = None
    if status != "drilling":  # a well that ended for good had to live first
        first = _add_months(FIRST_MONTH, rng.randrange(-40, 38 if status == "producing" else 8))
    days = rng.randrange(80) if first is None else -rng.randrange(90, 240)
    lateral = 100 * rng.randrange(50, 132)
    return Well(
        api_number=api_number,
        name=f"{LEASES[index % len(LEASES)]} {index // len(LEASES) + 1}H",
        area=area,
        latitude=round(area.latitude + rng.uniform(-0.22, 0.22), 6),
        longitude=round(area.longitude + rng.uniform(-0.22, 0.22), 6),
        spud=(first or date(2026, 4, 1)) + timedelta(days=days),
        first_production=first,
        status=status,
        stopped=_add_months(PERIOD_END, -rng.randrange(2, 20)) if status in {"shut_in", "plugged"} else None,
        lift=None if first is None else _lift(rng, _months_between(first, PERIOD_END)),
        lateral_ft=lateral,
        initial_rate=rng.uniform(*area.oil_rate) * (0.6 + 0.4 * lateral / 10_000),
        initial_decline=rng.uniform(0.09, 0.20),
        exponent=rng.uniform(0.7, 1.2),
    )


def _lift(rng: Random, age: int) -> str:
    if age < 10:
        return rng.choices(("flowing", "esp"), (3, 2))[0]
    return rng.choices(("rod_pump", "esp", "gas_lift", "plunger_lift"), (4, 3, 4, 1))[0]


def _downtime(well: Well) -> Iterator[tuple[Well, datetime, datetime, str, float]]:
    """Events in order of time, never overlapping: everything of an Event but its id."""
    first = well.first_production
    if first is None:
        return

    def event(started: datetime, ended: datetime, cause: str) -> tuple[Well, datetime, datetime, str, float]:
        hours = int((ended - started).total_seconds()) // 3600
        rate = well.oil_rate(_months_between(first, started) + 0.5)
        return well, started, ended, cause, round(rate * hours / 24, 2)

    rng = _random("downtime", well.api_number)
    end = _midnight(well.stopped) if well.stopped else PERIOD_END
    now = _midnight(max(first, FIRST_MONTH))
    while (now := now + timedelta(hours=1 + int(rng.expovariate(1 / (24 * MEAN_DAYS_BETWEEN_EVENTS))))) < end:
        cause = rng.choices(list(CAUSES), [row[3 if now.month in {12, 1, 2} else 2] for row in CAUSES.values()])[0]
        shortest, longest = CAUSES[cause][:2]
        hours = int(shortest + (longest - shortest) * rng.random() ** 2)  # most events are near the short end
        started, now = now, min(now + timedelta(hours=hours), end)
        yield event(started, now, cause)
        now += timedelta(hours=24)
    if well.status == "shut_in" and well.stopped:
        yield event(_midnight(well.stopped), PERIOD_END, "long_term_shut_in")


def _production(well: Well, events: list[Event]) -> Iterator[tuple[Any, ...]]:
    first, area = well.first_production, well.area
    if first is None:
        return
    rng = _random("production", well.api_number)
    own = [event for event in events if event.well is well]
    month = FIRST_MONTH
    while month <= LAST_DAY:
        following = _add_months(month, 1)
        noise = [math.exp(rng.gauss(0, VOLUME_NOISE)) for _ in range(3)]
        if month >= first and not (well.status == "plugged" and well.stopped and month >= well.stopped):
            months_on = _months_between(first, month) + 0.5
            down = sum(event.hours(_midnight(month), _midnight(following)) for event in own)
            days = round((following - month).days - down / 24, 2)
            oil = well.oil_rate(months_on) * days * noise[0]
            # Gas and water rise against oil as the reservoir empties.
            gas = oil * area.gas_oil_ratio * (1 + 0.006 * months_on) * noise[1]
            water = oil * area.water_oil_ratio * (1 + 0.004 * months_on) * noise[2]
            yield well.api_number, month, round(oil, 2), round(gas, 2), round(water, 2), days, LABEL
        month = following


def _technicians() -> list[tuple[Any, ...]]:
    """Four at each base; together those of a base have every skill."""
    rng = _random("technicians")
    places = [(base, region) for region, bases in CREW_BASES.items() for base in bases for _ in range(4)]
    last = rng.sample(LAST_NAMES * 2, len(places))
    skills = sorted(set(SKILLS.values()))
    rows = []
    for number, place in enumerate(places):
        own = {skills[number % 4], skills[(number + 1) % len(skills)], rng.choice([*skills, "welding"])}
        certified = rng.random() < 0.6
        hired = date(2009, 1, 1) + timedelta(days=rng.randrange(5_800))
        name = f"{FIRST_NAMES[number]} {last[number]}"
        rows.append((f"T-{100 + number}", name, *place, ",".join(sorted(own)), certified, hired, LABEL))
    return rows


def _work_orders(wells: list[Well], events: list[Event], people: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Repairs after downtime and planned work, by the day on which they were opened."""
    wanted: list[tuple[Well, str, str, date, Event | None]] = []
    for event in events:
        if work := REPAIRS.get(event.cause):
            a_day = event.deferred_oil / max(event.hours(), 1) * 24
            priority = "emergency" if a_day > 400 else "high" if a_day > 80 else "normal"
            wanted.append((event.well, work, priority, event.started.date(), event))
    for well in wells:
        rng = _random("planned", well.api_number)
        day = max(well.first_production or LAST_DAY, FIRST_MONTH)
        while (day := day + timedelta(days=rng.randrange(40, 200))) < (well.stopped or PERIOD_END.date()):
            wanted.append((well, rng.choice(PLANNED_WORK), rng.choices(("low", "normal"), (2, 3))[0], day, None))
    wanted.sort(key=lambda order: (order[3], order[0].api_number, order[1]))
    for number, (well, work, priority, opened, cause) in enumerate(wanted, 1):
        rng = _random("order", str(number))
        allowed = DAYS_BY_PRIORITY[priority]
        # The crew repairs what is down until it runs; planned work slips past its due day now and then.
        done = cause.ended.date() if cause else opened + timedelta(days=int(allowed * rng.uniform(0.3, 1.7)))
        status = _status(rng, opened, done, planned=cause is None)
        idle = status == "cancelled" or (status == "open" and rng.random() < 0.3)
        fit = [row[0] for row in people if row[3] == well.area.basin and SKILLS[work] in row[4].split(",")]
        person = None if idle else rng.choice(fit)
        completed = status == "completed"
        hours = round(rng.uniform(*((3, 40) if cause else (0.5, 6))), 2) if completed else None
        yield (
            f"WO-{number:06d}", well.api_number, cause.id if cause else None, person, work, priority, status, opened,
            opened + timedelta(days=allowed), done if completed else None, hours, LABEL,
        )  # fmt: skip


def _status(rng: Random, opened: date, done: date, *, planned: bool) -> str:
    if planned and rng.random() < 0.03:
        return "cancelled"
    if done <= LAST_DAY:
        return "completed"
    return "open" if planned and (LAST_DAY - opened).days < 10 else "in_progress"


def _random(*purpose: str) -> Random:
    """Random numbers for one purpose: more wells or a new table leave every other value as it was."""
    return Random(":".join((str(SEED), *purpose)))  # noqa: S311 - synthetic data, not a secret


def _add_months(month: date, count: int) -> date:
    index = month.year * 12 + month.month - 1 + count
    return date(index // 12, index % 12 + 1, 1)


def _months_between(earlier: date, later: date) -> int:
    return (later.year - earlier.year) * 12 + later.month - earlier.month


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def write_tables(folder: Path) -> None:
    """One compressed CSV file per table, with a header. The same rows give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = load_schema().tables
    for name, rows in make_tables().items():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(tables[name].columns)
        writer.writerows(rows)
        (folder / f"{name.lower()}.csv.gz").write_bytes(gzip.compress(text.getvalue().encode(), 9, mtime=0))


if __name__ == "__main__":
    write_tables(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA_FOLDER)
