"""Settings of the specialist. Those of the models are `SWITCHYARD_MODEL_*`."""

from __future__ import annotations

from pydantic import Field
from switchyard.identity.client_settings import IdentityClientSettings

from switchyard.runtime.core.settings import WorkSettings


class WellDataSettings(WorkSettings, IdentityClientSettings):
    """Which basins each role may see."""

    well_basins: dict[str, tuple[str, ...]] = Field(
        description='The basins of each role, as JSON {"FIELD_PERMIAN": ["Permian"], "FIELD_ALL": ["*"]}.'
    )
    wells_audience: str = Field(
        default="https://wells.northfork.example", description="The audience of tokens that allow reading wells."
    )
