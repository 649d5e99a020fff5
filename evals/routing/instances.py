"""The generator of routing instances. Published with its seeds: `generate_instance(seed, jobs)` is always the same.

Wells are in clusters (pads) around two or three bases, as in a basin; skills, windows, shifts and money at risk are
drawn from the seed. Python's own generator makes the same numbers on every platform and version.
"""

from __future__ import annotations

import random

from services.specialists.field_routing.problem import Job, Lunch, Problem, Rates, Risk, Technician
from services.specialists.field_routing.travel import GreatCircleTravel

SMALL = tuple((1_000 + number, 6 + number % 7) for number in range(14))
"""Seed and number of jobs of each small instance, whose optimum is proven: 6 to 12 jobs."""
LARGE = (
    *((2_000 + number, 30 + 70 * number // 21) for number in range(12)),
    *((2_100 + number, jobs) for number, jobs in enumerate((32, 38, 42, 48, 52, 58, 72, 84, 100))),
)
"""Those of each large instance: 30 to 100 jobs."""
HELD_OUT_SMALL = tuple((5_000 + number, 6 + number % 7) for number in range(40))
HELD_OUT_LARGE = tuple((6_000 + number, jobs) for number, jobs in enumerate((30, 36, 44, 50, 57, 65, 75, 88, 100)))
"""Instances on which nothing of the search was chosen."""

SKILLS = ("chemical", "compressor", "electrical", "instrumentation", "pump", "welding")
WORK = (
    *((("", 15), ("", 20), ("", 30)) * 2),
    ("chemical", 20),
    ("chemical", 30),
    ("instrumentation", 40),
    ("electrical", 60),
    ("compressor", 75),
    ("pump", 90),
)
"""A skill and minutes. Sixteen sites a day are what a pumper's round is said to have; repairs take longer."""

TRAVEL = GreatCircleTravel(road_factor=1.3, miles_per_hour=45.0)


def generate_instance(seed: int, jobs: int) -> Problem:
    """An instance of so many jobs."""
    draw = random.Random(seed)
    middle = (31.9, -103.2)

    def near(point: tuple[float, float], spread: float) -> tuple[float, float]:
        return (
            round(point[0] + draw.uniform(-spread, spread), 5),
            round(point[1] + draw.uniform(-spread, spread) * 1.2, 5),
        )

    bases = [near(middle, 0.5) for _ in range(2 if jobs < 60 else 3)]
    pads = [near(middle, 0.75) for _ in range(max(3, jobs // 5))]
    people = []
    for number in range(2 if jobs <= 12 else 2 + jobs // 20):
        base = number % len(bases)
        starts = draw.choice((360, 420, 420, 480))
        people.append(
            Technician(
                id=f"T-{number:03d}",
                name=f"Technician {number}",
                base=f"Base {base}",
                latitude=bases[base][0],
                longitude=bases[base][1],
                skills=tuple(sorted(draw.sample(SKILLS, draw.choice((2, 3, 3, 4))))),
                shift_starts=starts,
                shift_ends=starts + draw.choice((480, 540, 600)),
            )
        )
    made = []
    for number in range(jobs):
        latitude, longitude = near(draw.choice(pads), 0.05)
        skill, minutes = draw.choice(WORK)
        opens, closes = 0, 1_440
        if draw.random() < 0.35:
            opens = draw.choice((420, 480, 600, 720, 780))
            closes = opens + draw.choice((90, 120, 180, 240))
        made.append(
            Job(
                id=f"WO-{number:03d}",
                label=f"Well {number}",
                latitude=latitude,
                longitude=longitude,
                minutes=minutes + draw.randrange(0, 20, 5),
                skills=(skill,) if skill else (),
                opens=opens,
                closes=closes,
                risk=Risk(
                    rate_bbl_per_day=round(draw.lognormvariate(3.3, 0.9), 2),
                    price_usd_per_bbl=68.5,
                    net_interest=round(draw.uniform(0.68, 0.82), 4),
                    probability=draw.choice((0.02, 0.05, 0.1, 0.25, 0.5, 1.0)),
                ),
            )
        )
    # Must-visits that one technician can do, so that every instance has a plan.
    able = [index for index, job in enumerate(made) if any(each.can_do(job) for each in people)]
    for index in draw.sample(able, min(len(able), max(1, jobs // 15))):
        made[index] = made[index].model_copy(
            update={"must_visit": True, "must_reason": "inspection", "opens": 0, "closes": 1_440}
        )
    points = [(each.id, each.latitude, each.longitude) for each in (*people, *made)]
    lunch = Lunch(starts=draw.choice((690, 720)), minutes=30)
    return Problem(
        day="2026-07-01",
        jobs=tuple(made),
        technicians=tuple(people),
        rates=Rates(),
        lunch=lunch,
        legs=TRAVEL.legs(points),
    )
