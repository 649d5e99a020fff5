"""The router's environment."""

from __future__ import annotations

from pydantic import Field

from switchyard.runtime.core.settings import KeyRing, ObjectsBucket, OperatorSettings, ProcessSettings


class RouterSettings(OperatorSettings, ProcessSettings):
    """The router: no database, no model, one key that seals, and the keys of those who may ask for a retry."""

    state_keys: KeyRing = Field(
        description='Keys that seal the state, as JSON {"id": "hex of 32 bytes or more"}; the first one signs.'
    )
    objects_bucket: ObjectsBucket = "switchyard-objects"
