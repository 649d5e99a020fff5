"""The console's environment."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from switchyard.audit.transparency.checkpoint import LogName
from switchyard.processes.upstream_keys import UpstreamKeys
from switchyard.runtime.core.settings import (
    ApproverSettings,
    HexKey,
    KeyRing,
    ObjectsBucket,
    OperatorSettings,
    ProcessSettings,
    TokenPrice,
)
from switchyard.runtime.storage.locked_objects import LockMode

_THIS_MACHINE = frozenset({"127.0.0.1", "localhost", "::1"})


class ConsoleSettings(ApproverSettings, OperatorSettings, ProcessSettings):
    """Where browsers find the console, who logs them in, and what it reads."""

    work_db_url: SecretStr = Field(description="The work database, as the role of the console.")
    audit_db_url: SecretStr = Field(description="The audit database, as the role audit_reader.")
    objects_bucket: ObjectsBucket = "switchyard-objects"
    vault_key: HexKey | None = Field(
        default=None, description="The key that wraps people's keys, 32 bytes in hex; for the local stack only."
    )
    kms_key_id: str | None = Field(default=None, description="The KMS key that wraps people's keys.")
    receipt_public_keys: str = Field(default="", description="Public keys of receipts, separated by commas.")
    checkpoint_bucket: str | None = Field(
        default=None, description="The bucket of the checkpoints; without it no bundle is exported."
    )
    checkpoint_log: LogName = Field(default="main", description="The log's name in its checkpoints; one per database.")
    checkpoint_public_keys: str = Field(
        default="", description="Public keys of the checkpoints, base64 of the DER, separated by commas."
    )
    checkpoint_lock_mode: LockMode = Field(
        default="COMPLIANCE", description="The weakest Object Lock that a checkpoint may have."
    )
    checkpoint_require_lock: bool = Field(default=True, description="Whether a checkpoint without a lock is an error.")
    principal_keys: UpstreamKeys = Field(
        default={},
        description='Ed25519 public keys of the sources that sign for users, as JSON {"upstream.name": {"kid": "hex of '
        '32 bytes"}}: what users asked for in the log is checked with them.',
    )
    console_host: str = Field(default="127.0.0.1", description="Address of the console.")
    console_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=0, description="Port of the console; 0 picks a free port."
    )
    console_url: str = Field(
        pattern=r"^https?://[^/?#\s]+$",
        description="Where browsers find the console, without a slash at the end. Plain http is for this machine only.",
    )
    console_name: str = Field(default="local", description="The deployment's name, on every page.")
    console_keys: KeyRing = Field(
        min_length=1,
        description='Keys that sign sessions, as JSON {"name": "hex of 32 bytes or more"}.',
    )
    console_session_s: Annotated[int, Field(ge=60, le=86_400)] = Field(
        default=3_600, description="How long a session lasts, in seconds; then the identity provider is asked again."
    )
    console_client_id: str = Field(default="console", description="The console's client at the identity provider.")
    console_client_secret: SecretStr = Field(description="That client's secret.")
    console_role_claim: str = Field(
        default="roles", description="The claim that holds a person's roles: viewer, operator, approver, auditor."
    )
    console_tenant_claim: str | None = Field(
        default=None,
        min_length=1,
        description="The claim that holds the tenants whose cases a person may see, `*` for all; without this setting, "
        "everybody sees every tenant's.",
    )
    model_prices: dict[str, TokenPrice] = Field(
        default_factory=dict,
        description="What a million tokens cost in dollars, where the list price is unknown or not yours, as JSON "
        '{"model id": {"input": 3, "output": 15}}.',
    )
    idp_issuer: str = Field(description="The identity provider, as `iss` names it.")
    idp_jwks_url: str = Field(description="The identity provider's keys.")
    idp_authorize_url: str = Field(description="The identity provider's page for logging in.")
    idp_token_url: str = Field(description="The identity provider's token endpoint.")

    @field_validator("console_url")
    @classmethod
    def _is_protected(cls, url: str) -> str:
        if not url.startswith("https://") and urlsplit(url).hostname not in _THIS_MACHINE:
            raise ValueError("plain http is for 127.0.0.1, localhost and [::1] only: write an address with https://")
        return url
