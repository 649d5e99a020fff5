"""The identity service's environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from switchyard.identity.client_settings import IdentityTlsSettings
from switchyard.identity.permissions import AgentCeiling, ServiceGrant
from switchyard.identity.token_exchange import OAuthClient
from switchyard.runtime.core.settings import HexKey, ProcessSettings, PublicKeys


class IdentitySettings(IdentityTlsSettings, ProcessSettings):
    """The identity provider, the token exchange, the sealing key, and who may call."""

    work_db_url: SecretStr = Field(description="The work database, as the role of the identity service.")
    identity_vault_key: HexKey | None = Field(
        default=None, description="32 bytes in hex that wrap the keys of users' credentials; for the local stack only."
    )
    identity_kms_key_id: str | None = Field(default=None, description="The KMS key that wraps those keys.")
    identity_host: str = Field(default="127.0.0.1", description="Address of the identity service.")
    identity_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=0, description="Port of the identity service; 0 picks a free port."
    )
    identity_callers: tuple[str, ...] = Field(
        default=("ingress",), description="Certificate names that may register and revoke grants, as JSON."
    )
    identity_ceilings: dict[str, AgentCeiling] = Field(
        default_factory=dict,
        description='What tokens of an agent may be for, as JSON {"agent": {"audiences": {"audience": ["scope*"]}}}.',
    )
    service_grants: dict[str, ServiceGrant] = Field(
        default_factory=dict,
        description="What sources that act for themselves may have agents do, as JSON "
        '{"upstream.name": {"tenants": [..], "agents": [..], "audiences": [..], "scopes": [..]}}.',
    )
    principal_keys: dict[str, PublicKeys] = Field(
        default_factory=dict, description="Who signs grants, as JSON {source: {key id: Ed25519 public key in hex}}."
    )
    idp_issuer: str = Field(description="The identity provider, as `iss` names it.")
    idp_jwks_url: str = Field(description="The identity provider's keys.")
    idp_audience: str = Field(description="What users' tokens are for, as `aud` names it.")
    idp_tenant_claim: str = Field(default="tenant", description="The claim that holds a user's tenant.")
    idp_role_claim: str = Field(default="roles", description="The claim that holds a user's roles.")
    idp_token_url: str = Field(description="The identity provider's token endpoint.")
    idp_client_id: str | None = Field(default=None, description="The client that refreshes; without it nothing is.")
    idp_client_secret: SecretStr | None = Field(default=None, description="That client's secret.")
    role_scope: str = Field(description="Text before a role's name in a scope, such as `session:role:`.")
    base_scopes: tuple[str, ...] = Field(default=(), description="Scopes that every user has, as JSON.")
    exchange_issuer: str = Field(description="The token exchange, as `iss` names it.")
    exchange_jwks_url: str = Field(description="The token exchange's keys.")
    exchange_token_url: str = Field(description="The token exchange's endpoint.")
    exchange_clients_file: Path = Field(
        description='The agents\' registrations, as JSON {"agent": {"id": "...", "secret": "..."}}; read when changed.'
    )
    exchange_subject_token_type: str = Field(
        default="urn:ietf:params:oauth:token-type:access_token",
        description="As what the exchange takes users' tokens (RFC 8693, 3).",
    )
    exchange_subject_prefix: str = Field(default="", description="Text that the exchange puts before a user in `sub`.")

    def refreshing_client(self) -> OAuthClient | None:
        """The client that refreshes users' credentials."""
        if self.idp_client_id is None or self.idp_client_secret is None:
            return None
        return OAuthClient(id=self.idp_client_id, secret=self.idp_client_secret)
