"""Settings of the drafter. Those of the models are `SWITCHYARD_MODEL_*`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from switchyard.runtime.core.settings import KeyRing, WorkSettings


class DrafterSettings(WorkSettings):
    """The work database, the vault and the transport, and the parts of opt-out links."""

    optout_keys: KeyRing = Field(
        description='Keys that sign opt-out links, as JSON {"id": "hex of 32 bytes or more"}; the first one signs.'
    )
    wording: Path | None = Field(
        default=None, description="The file of the required wording; the shipped one if unset."
    )
    optout_url: str = Field(description="Public address of the email feedback service, to which opt-out links lead.")
