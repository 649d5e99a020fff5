"""Settings of the specialist. Those of the models are `SWITCHYARD_MODEL_*`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from services.specialists.text_to_sql.schema import DEFAULT_SCHEMA
from switchyard.identity.client_settings import IdentityClientSettings
from switchyard.runtime.core.settings import WorkSettings


class TextToSqlSettings(IdentityClientSettings, WorkSettings):
    """The Snowflake account and the limits per query. Host, port and protocol are for the simulator."""

    snowflake_account: str = Field(description="The Snowflake account.")
    snowflake_warehouse: str | None = Field(default=None, description="The virtual warehouse; the user's if unset.")
    snowflake_host: str | None = Field(default=None, description="The simulator's host.")
    snowflake_port: int | None = Field(default=None, description="The simulator's port.")
    snowflake_protocol: Literal["https", "http"] = Field(default="https", description="`http` for the simulator.")
    snowflake_audience: str = Field(description="The account, as the tokens of its users name it (`aud`).")
    warehouse_schema: Path = Field(
        default=DEFAULT_SCHEMA,
        description="The file that describes the warehouse; `schema.toml` beside the agent if unset.",
    )
    max_rows: Annotated[int, Field(ge=1, le=10_000)] = Field(default=200, description="The most rows of a result.")
    query_timeout_s: Annotated[int, Field(ge=1, le=600)] = Field(
        default=30, description="Time limit of a query, in seconds."
    )
    user_seconds_per_day: Annotated[int, Field(ge=1)] = Field(
        default=900, description="Seconds of the warehouse that one user may use per day (UTC)."
    )
    user_bytes_per_day: Annotated[int, Field(ge=1)] = Field(
        default=200_000_000, description="Bytes of results that one user may take from the warehouse per day (UTC)."
    )
