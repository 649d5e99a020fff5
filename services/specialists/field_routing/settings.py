"""Settings of the specialist. Those of the models are `SWITCHYARD_MODEL_*`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from switchyard.identity.client_settings import IdentityClientSettings
from switchyard.runtime.core.settings import WorkSettings


class FieldRoutingSettings(WorkSettings, IdentityClientSettings):
    """The work-order service, travel and what a route costs."""

    work_orders_url: str = Field(description="The work-order service.")
    work_orders_audience: str = Field(description="Its name in tokens.")
    road_matrix: Path | None = Field(
        default=None,
        description="JSON with source, points, minutes and miles between bases and wells; great circles if unset.",
    )
    road_factor: Annotated[float, Field(ge=1, le=5)] = Field(
        default=1.3, description="Road miles per mile of great circle."
    )
    road_miles_per_hour: Annotated[float, Field(ge=1, le=100)] = Field(default=45.0, description="With great circles.")
    route_cents_per_mile: Annotated[int, Field(ge=0, le=10_000, multiple_of=10)] = Field(
        default=70, description="Cost of a mile, in cents."
    )
    route_cents_per_hour: Annotated[int, Field(ge=0, le=600_000, multiple_of=60)] = Field(
        default=4_500, description="Cost of an hour on a route, in cents."
    )
    route_overtime_cents_per_hour: Annotated[int, Field(ge=0, le=600_000, multiple_of=60)] = Field(
        default=2_280, description="What an hour of overtime costs beside that, in cents."
    )
    route_max_overtime_minutes: Annotated[int, Field(ge=0, le=600)] = Field(
        default=60, description="Overtime that a plan may have per technician."
    )
    lunch_starts_minute: Annotated[int, Field(ge=0, le=1_440)] = Field(
        default=720, description="The crew's lunch, in minutes after midnight."
    )
    lunch_minutes: Annotated[int, Field(ge=0, le=240)] = Field(default=30, description="0 for none.")
