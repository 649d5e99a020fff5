"""The orchestrator's environment."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import Field, SecretStr

from runtime.settings import ProcessSettings, WorkSettings


class RouterSettings(ProcessSettings):
    """The router: no database, no model, one key."""

    state_keys: SecretStr = Field(
        description='Keys that seal the state, as JSON {"id": "hex of 32 bytes or more"}; the first one signs.'
    )
    objects_bucket: str = "switchyard-objects"

    def keys(self) -> dict[str, bytes]:
        """The keys by id. Raises `ValueError` for what is not JSON or not hex."""
        return {key_id: bytes.fromhex(key) for key_id, key in json.loads(self.state_keys.get_secret_value()).items()}


class DeskSettings(WorkSettings):
    """The desk: its tables, and the key under which it fingerprints what upstream sends."""

    mac_key: SecretStr = Field(description="32 bytes in hex.")
    case_deadline_s: Annotated[int, Field(ge=1)] = Field(default=900, description="For cases that name no deadline.")
