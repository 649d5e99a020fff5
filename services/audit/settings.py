"""Audit's environment."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from runtime.settings import ProcessSettings


class AuditSettings(ProcessSettings):
    """Audit: its own database, and how much it writes at once."""

    audit_database_url: SecretStr = Field(description="The audit database, as the role `audit`.")
    batch_size: Annotated[int, Field(ge=1, le=1_000)] = Field(default=100, description="Most rows in one insert.")
    batch_wait_s: Annotated[float, Field(ge=0, le=5)] = Field(
        default=0.2, description="How long a batch that is not full waits for more."
    )
    batches: Annotated[int, Field(ge=1, le=4)] = Field(default=2, description="Batches in hand at once.")
