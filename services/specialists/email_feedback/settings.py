"""The email feedback process's environment."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from switchyard.runtime.core.settings import KeyRing, ObjectsBucket, ProcessSettings


class EmailFeedbackSettings(ProcessSettings):
    """No database and no model: a web server, a queue and the bus."""

    objects_bucket: ObjectsBucket = "switchyard-objects"
    optout_keys: KeyRing = Field(
        description='Keys that sign opt-out links, as JSON {"id": "hex of 32 bytes or more"}; the first one signs.'
    )
    optout_host: str = Field(default="127.0.0.1", description="Address of the opt-out pages.")
    optout_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=0, description="Port of the opt-out pages; 0 picks a free port."
    )
    feedback_tenants: dict[str, str] = Field(
        default_factory=dict,
        description='Tenant by sending domain, as JSON {"agency.example": "tenant"}; reports do not name the tenant.',
    )
