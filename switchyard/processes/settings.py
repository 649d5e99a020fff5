"""The orchestrator's environment."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, SecretStr, TypeAdapter

from switchyard.case_manager.intake import MAX_SOURCE, UpstreamPolicy
from switchyard.case_manager.principals import PrincipalKeys
from switchyard.protocol.fields import Identifier
from switchyard.protocol.signing import OperatorKeys
from switchyard.runtime.core.settings import ApproverSettings, ProcessSettings, WorkSettings

PublicKeyHex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
UpstreamName = Annotated[str, Field(pattern=r"^upstream\.[\x21-\x7e]+$", max_length=MAX_SOURCE)]
"""A misspelt one would be no upstream's, and then the one that was meant is believed unsigned."""

_KEYS: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str], config={"hide_input_in_errors": True})


class OperatorSettings(BaseModel):
    """Who may have a failed task done again; read by both processes."""

    operators: dict[str, PublicKeyHex] = Field(
        default={},
        description='Ed25519 public keys of those who may have a failed task done again, as JSON {"name": "hex of 32 '
        'bytes"}. Without any, nobody may.',
    )

    def operator_keys(self) -> OperatorKeys:
        """The operators."""
        return OperatorKeys({name: bytes.fromhex(key) for name, key in self.operators.items()})


class RouterSettings(OperatorSettings, ProcessSettings):
    """The router: no database, no model, one key that seals, and the keys of those who may ask for a retry."""

    state_keys: SecretStr = Field(
        description='Keys that seal the state, as JSON {"id": "hex of 32 bytes or more"}; the first one signs.'
    )
    objects_bucket: str = "switchyard-objects"

    def keys(self) -> dict[str, bytes]:
        """The keys by id. Raises `ValueError` for what is not a JSON object of hex strings."""
        return {
            key_id: bytes.fromhex(key)
            for key_id, key in _KEYS.validate_json(self.state_keys.get_secret_value()).items()
        }


class CaseManagerSettings(OperatorSettings, ApproverSettings, WorkSettings):
    """The case manager: its tables, and the key under which it fingerprints what upstream sends."""

    mac_key: SecretStr = Field(description="32 bytes in hex.")
    upstreams: dict[str, UpstreamPolicy] | None = Field(
        default=None,
        description='What each upstream may ask for, as JSON {"upstream.name": {"tenants": [..], "roles": [..]}}, '
        "shell patterns. Without it every source that IAM lets on the bus is trusted: set it in production.",
    )
    principal_keys: dict[UpstreamName, dict[Identifier, PublicKeyHex]] = Field(
        default={},
        description='Ed25519 public keys of the sources that must sign who asks, as JSON {"upstream.name": {"kid": '
        '"hex of 32 bytes"}}. A source that is named and has no key may submit nothing; one that is not named is '
        "believed.",
    )
    case_deadline_s: Annotated[int, Field(ge=1)] = Field(default=900, description="For cases that name no deadline.")
    approval_valid_s: Annotated[int, Field(ge=1)] = Field(
        default=86_400, description="How long a granted approval lasts if the email is not sent at once."
    )

    def principals(self) -> PrincipalKeys:
        """Whose word is taken only signed. Raises `ValueError` for what is no key."""
        return PrincipalKeys(
            {
                source: {kid: bytes.fromhex(key) for kid, key in keys.items()}
                for source, keys in self.principal_keys.items()
            }
        )
