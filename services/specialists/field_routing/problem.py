"""One day's routing problem: jobs, technicians, rates, lunch and travel. Times are minutes of the day."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

DAY_MINUTES = 24 * 60
MAX_JOBS = 150
MAX_TECHNICIANS = 20

Minute = Annotated[int, Field(ge=0, le=DAY_MINUTES)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Risk(_Part):
    """What one day of delay costs on average, and the four figures that it is made of."""

    rate_bbl_per_day: Annotated[float, Field(ge=0, le=100_000)]
    """Oil that is lost, or that would be lost if the well failed."""
    price_usd_per_bbl: Annotated[float, Field(ge=0, le=1_000)]
    net_interest: Annotated[float, Field(ge=0, le=1)]
    """The operator's share of the revenue."""
    probability: Annotated[float, Field(ge=0, le=1)]
    """Of losing the rate without a visit today; 1 for a well that is down."""

    @property
    def cents(self) -> int:
        """Money at risk, in cents per day of delay."""
        return round(100 * self.rate_bbl_per_day * self.price_usd_per_bbl * self.net_interest * self.probability)


class _Place(_Part):
    id: str
    latitude: Latitude
    longitude: Longitude
    skills: tuple[str, ...] = ()


class Job(_Place):
    """A work order to be visited. Work starts between `opens` and `closes`, by one technician who has all `skills`."""

    label: str
    """The well's name."""
    minutes: Annotated[int, Field(ge=0, le=DAY_MINUTES)]
    """Of work."""
    opens: Minute = 0
    closes: Minute = DAY_MINUTES
    must_visit: bool = False
    must_reason: str = ""
    risk: Risk


class Technician(_Place):
    """A person on duty: leaves the home base in the shift and is back in it, but for overtime."""

    name: str
    base: str
    shift_starts: Minute
    shift_ends: Minute

    def can_do(self, job: Job) -> bool:
        """Whether no skill is missing."""
        return set(job.skills) <= set(self.skills)


class Rates(_Part):
    """What a route costs, in cents, and how much overtime there may be."""

    cents_per_tenth_mile: Annotated[int, Field(ge=0, le=1_000)] = 7
    cents_per_minute: Annotated[int, Field(ge=0, le=10_000)] = 75
    """For each minute of a route: driving, waiting and working."""
    overtime_cents_per_minute: Annotated[int, Field(ge=0, le=10_000)] = 38
    """Beside the above."""
    max_overtime: Annotated[int, Field(ge=0, le=600)] = 60
    """Minutes."""


class Lunch(_Part):
    """The crew's lunch: at one time for all, wherever they are. It interrupts a drive or a job in hand."""

    starts: Minute = 12 * 60
    minutes: Annotated[int, Field(ge=0, le=240)] = 30

    # The work clock leaves lunch out: with it, a route with lunch is a route without one, and needs no further stop.

    def work_minute(self, minute: int) -> int:
        """The work clock at a minute of the day."""
        return minute if minute <= self.starts else max(self.starts, minute - self.minutes)

    def begin(self, work_minute: int) -> int:
        """The minute at which something begins: what is due at the start of lunch begins after it."""
        return work_minute if work_minute < self.starts else work_minute + self.minutes

    def end(self, work_minute: int) -> int:
        """The minute at which something ends: before lunch, if it is just done by then."""
        return work_minute if work_minute <= self.starts else work_minute + self.minutes

    def last_begin(self, minute: int) -> int:
        """The last moment of the work clock that begins by this minute."""
        if self.minutes and self.starts <= minute < self.starts + self.minutes:
            return self.starts - 1
        return self.work_minute(minute)


class Legs(_Part):
    """Travel between points: the technicians' bases in order, then the jobs in order."""

    source: str
    """What the figures come from, in words."""
    minutes: tuple[tuple[int, ...], ...]
    tenths: tuple[tuple[int, ...], ...]
    """Of a mile."""


class Problem(_Part):
    """A day to plan. Raises `ValueError` for parts that do not fit together."""

    day: str
    jobs: Annotated[tuple[Job, ...], Field(max_length=MAX_JOBS)]
    technicians: Annotated[tuple[Technician, ...], Field(max_length=MAX_TECHNICIANS)]
    rates: Rates = Rates()
    lunch: Lunch = Lunch()
    legs: Legs

    @model_validator(mode="after")
    def _check(self) -> Self:
        points = len(self.technicians) + len(self.jobs)
        for matrix in (self.legs.minutes, self.legs.tenths):
            if len(matrix) != points or any(len(row) != points for row in matrix):
                raise ValueError(f"the travel matrix does not have {points} rows and columns")
            if any(value < 0 or value > 100_000 for row in matrix for value in row):
                raise ValueError("the travel matrix has a negative or an absurd value")
        for kind, places in (("jobs", self.jobs), ("technicians", self.technicians)):
            if len({each.id for each in places}) != len(places):
                raise ValueError(f"two {kind} have the same id")
        for job in self.jobs:
            if job.opens > job.closes:
                raise ValueError(f"job {job.id} closes before it opens")
        for technician in self.technicians:
            if technician.shift_starts >= technician.shift_ends:
                raise ValueError(f"the shift of technician {technician.id} ends before it starts")
        return self

    def point(self, job: int) -> int:
        """The row of a job in the travel matrix; a technician's is its own index."""
        return len(self.technicians) + job

    def window(self, job: int) -> tuple[int, int]:
        """When work on a job may begin, on the work clock."""
        return self.lunch.work_minute(self.jobs[job].opens), self.lunch.last_begin(self.jobs[job].closes)

    def shift(self, technician: int) -> tuple[int, int]:
        """A shift on the work clock."""
        found = self.technicians[technician]
        return self.lunch.work_minute(found.shift_starts), self.lunch.work_minute(found.shift_ends)

    def able(self, job: int) -> Iterator[int]:
        """The technicians with the skills for a job."""
        return (index for index, each in enumerate(self.technicians) if each.can_do(self.jobs[job]))
