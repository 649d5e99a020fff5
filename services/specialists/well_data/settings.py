"""Settings of the specialist. Those of the models are `SWITCHYARD_MODEL_*`."""

from __future__ import annotations

from pydantic import Field

from switchyard.identity.client_settings import IdentityClientSettings
from switchyard.runtime.core.settings import WorkSettings


class WellDataSettings(WorkSettings, IdentityClientSettings):
    """Which basins each role may see."""

    well_basins: dict[str, tuple[str, ...]] = Field(
        default={},
        description="The basins whose wells each role may see, as JSON "
        '{"FIELD_PERMIAN": ["Permian"], "FIELD_ALL": ["*"]}; a role that is missing sees none.',
    )
    wells_audience: str = Field(description="The well data, as the tokens of its users name them (`aud`).")
