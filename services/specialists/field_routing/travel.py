"""Where travel times and distances come from: great circles, or a file with a road matrix."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from services.specialists.field_routing.problem import Legs

EARTH_RADIUS_MILES = 3958.7613
"""Mean radius (IUGG)."""

Point = tuple[str, float, float]
"""A name that a road matrix may know, latitude and longitude."""


class TravelMatrix(Protocol):
    """Gives the legs between points."""

    def legs(self, points: Sequence[Point]) -> Legs:
        """Minutes and tenths of a mile from each point to each. Raises `UnknownPoint`."""


class UnknownPoint(Exception):
    """The road matrix has no such point. The message names it."""


class InvalidRoadMatrix(ValueError):
    """The file is no road matrix. The message names the field."""


class GreatCircleTravel:
    """Great-circle miles times a road factor, at one speed. Minutes are rounded up."""

    def __init__(self, *, road_factor: float, miles_per_hour: float) -> None:
        self._road_factor = road_factor
        self._miles_per_hour = miles_per_hour

    def legs(self, points: Sequence[Point]) -> Legs:
        """The legs; none is unknown."""
        miles = [
            [0.0 if one is other else great_circle_miles(one, other) * self._road_factor for other in points]
            for one in points
        ]
        return Legs(
            source=f"great circle x {self._road_factor:g} at {self._miles_per_hour:g} mph",
            minutes=tuple(
                tuple(math.ceil(round(60 * each / self._miles_per_hour, 6)) for each in row) for row in miles
            ),
            tenths=tuple(tuple(round(10 * each) for each in row) for row in miles),
        )


def great_circle_miles(one: Point, other: Point) -> float:
    """The haversine distance of two points, in miles."""
    (_, latitude, longitude), (_, latitude2, longitude2) = one, other
    north, east = math.radians(latitude2 - latitude), math.radians(longitude2 - longitude)
    cosines = math.cos(math.radians(latitude)) * math.cos(math.radians(latitude2))
    chord = math.sin(north / 2) ** 2 + cosines * math.sin(east / 2) ** 2
    return 2 * EARTH_RADIUS_MILES * math.asin(min(1.0, math.sqrt(chord)))


class _RoadFile(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    source: str
    points: list[str]
    """Bases by name, wells by API number."""
    minutes: list[list[float]]
    miles: list[list[float]]


class RoadMatrixTravel:
    """The legs of a file: JSON with `source`, `points`, `minutes` and `miles`, such as a road router's table makes."""

    def __init__(self, file: Path) -> None:
        """Read the file. Raises `InvalidRoadMatrix`."""
        try:
            self._matrix = _RoadFile.model_validate(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, RecursionError) as error:
            where = ".".join(map(str, error.errors()[0]["loc"])) if isinstance(error, ValidationError) else "the file"
            message = f"{file}: {where} is invalid: it needs source, points, minutes and miles"
            raise InvalidRoadMatrix(message) from None
        self._index = {name: index for index, name in enumerate(self._matrix.points)}
        for field in (self._matrix.minutes, self._matrix.miles):
            if len(field) != len(self._index) or any(len(row) != len(self._index) for row in field):
                raise InvalidRoadMatrix(
                    f"{file}: minutes and miles need a row and a column for each of distinct points"
                )
            if any(value < 0 for row in field for value in row):
                raise InvalidRoadMatrix(f"{file}: minutes and miles must not be negative")

    def legs(self, points: Sequence[Point]) -> Legs:
        """The legs between these points. Raises `UnknownPoint`."""
        if missing := next((name for name, _, _ in points if name not in self._index), None):
            raise UnknownPoint(f"the road matrix has no point {missing}")
        rows = [self._index[name] for name, _, _ in points]
        minutes, miles = self._matrix.minutes, self._matrix.miles
        return Legs(
            source=self._matrix.source,
            minutes=tuple(tuple(math.ceil(minutes[one][other]) for other in rows) for one in rows),
            tenths=tuple(tuple(round(10 * miles[one][other]) for other in rows) for one in rows),
        )
