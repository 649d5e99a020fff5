"""The API's environment."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from switchyard.api.webhooks import WebhookEndpoint
from switchyard.runtime.core.settings import HexKey, ObjectsBucket, ProcessSettings


class ApiSettings(ProcessSettings):
    """Who issues callers' tokens, what the API reads, and its limits."""

    work_db_url: SecretStr = Field(description="The work database, as the role of the API.")
    audit_db_url: SecretStr = Field(description="The audit database, as the role audit_api.")
    objects_bucket: ObjectsBucket = "switchyard-objects"
    vault_key: HexKey | None = Field(
        default=None, description="The key that wraps people's keys, 32 bytes in hex; for the local stack only."
    )
    kms_key_id: str | None = Field(default=None, description="The KMS key that wraps people's keys.")
    person_key: HexKey = Field(description="The key that fingerprints people, 32 bytes in hex; the API has it, too.")
    api_host: str = Field(default="127.0.0.1", description="Address of the API.")
    api_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=0, description="Port of the API; 0 picks a free port."
    )
    api_function: dict[str, str] | None = Field(
        default=None,
        description="The settings of the function behind the API, as JSON, if this process serves it, too; in AWS the "
        "function runs by itself.",
    )
    api_requests_per_minute: Annotated[int, Field(ge=1)] = Field(
        default=300, description="Requests of one caller in a minute to one process."
    )
    api_streams_per_caller: Annotated[int, Field(ge=1)] = Field(
        default=10, description="Streams of events that one caller may have open."
    )
    api_streams: Annotated[int, Field(ge=1)] = Field(
        default=2_000, description="Streams of events that one process may have open."
    )
    api_webhooks: dict[str, WebhookEndpoint] = Field(
        default_factory=dict,
        description="Where the endings of cases go, as JSON "
        '{"tenant": {"url": "https://..", "secrets": ["whsec_.."]}}; for the local stack. Two secrets while one is '
        "replaced.",
    )
    api_webhooks_secret_arn: str | None = Field(
        default=None, description="The secret with the same JSON, which is read again every five minutes."
    )
    api_webhook_loopback: bool = Field(
        default=False, description="Whether webhooks may go to this machine: for the local stack and tests."
    )
    idp_issuer: str = Field(description="The identity provider, as `iss` names it.")
    idp_jwks_url: str = Field(description="The identity provider's keys.")
    idp_audience: str = Field(description="What users' tokens are for, as `aud` names it.")
    idp_tenant_claim: str = Field(default="tenant", description="The claim that holds a user's tenant.")
    idp_role_claim: str = Field(default="roles", description="The claim that holds a user's roles.")
