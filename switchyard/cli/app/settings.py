"""What commands read from the environment: every variable once, with its type and what it is for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from switchyard.cli.app.errors import CommandFailed
from switchyard.protocol.topology import BUS


def needed(description: str) -> Any:
    """A variable without a default: reading it while it is not set is a `CommandFailed` that names it."""
    return Field(default=None, description=description)


class CliSettings(BaseSettings):
    """The environment of a target. Which variables are needed depends on the command."""

    model_config = SettingsConfigDict(
        env_prefix="SWITCHYARD_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        validate_default=False,
        hide_input_in_errors=True,
    )

    work_db_owner_url: str = needed("the address of the work database, for its owner")
    audit_db_owner_url: str = needed("the address of the audit database, for its owner")
    audit_db_url: str = needed("the address of the audit database, for the role audit_reader")
    audit_retention_db_url: str = needed("the address of the audit database, for the role audit_retention")
    operator_db_url: str = needed("the address of the work database, for the role operator")
    reviewer_db_url: str = needed("the address of the work database, for the role reviewer")
    reconciler_db_url: str = needed("the address of the work database, for the role reconciler")
    vault_eraser_db_url: str = needed("the address of the work database, for the role vault_eraser")
    db_auth: Literal["password", "iam"] = "password"
    db_ca_file: Path | None = None

    vault_key: str = needed("the local key that wraps the vault's keys, 32 bytes in hex")
    kms_key_id: str | None = Field(default=None, description="The KMS key that wraps the vault's keys.")
    operator_key: str = needed("an operator's private key, 32 bytes in hex, or the path of a file with one")
    receipt_key: str = needed("the local key that signs receipts, 32 bytes in hex")
    receipt_kms_key_id: str | None = Field(default=None, description="The KMS key that signs receipts.")
    receipt_public_keys: str = Field(default="", description="Public keys of receipts, separated by commas.")
    state_keys: str = needed('the router\'s keys, as JSON {"name": "32 bytes in hex"}')
    operators: str = Field(default="{}", description='Operators\' public keys, as JSON {"name": "32 bytes in hex"}.')
    principal_keys: str = needed('the ingress\' public keys, as JSON {"source": {"kid": "32 bytes in hex"}}')

    checkpoint_bucket: str = needed("the S3 bucket of the checkpoints")
    checkpoint_public_keys: str = needed("the public keys of the checkpoints, separated by commas")
    checkpoint_log: str = "main"
    checkpoint_lock_mode: Literal["COMPLIANCE", "GOVERNANCE"] = "COMPLIANCE"
    checkpoint_require_lock: bool = True
    objects_bucket: str = "switchyard-objects"

    bus: str = BUS
    clock_file: Path | None = Field(
        default=None, description="A file with seconds to shift the clock by; emulators only."
    )
    demo_optout_url: str = needed("the address of the demo's opt-out page")
    demo_outbox_url: str = needed("the address of the demo's SES simulator")

    aws_region: str = Field(default="us-east-1", validation_alias="AWS_REGION")
    aws_endpoint_url: str | None = Field(default=None, validation_alias="AWS_ENDPOINT_URL")
    aws_access_key_id: str | None = Field(default=None, validation_alias="AWS_ACCESS_KEY_ID")
    aws_secret_access_key: str | None = Field(default=None, validation_alias="AWS_SECRET_ACCESS_KEY")
    aws_session_token: str | None = Field(default=None, validation_alias="AWS_SESSION_TOKEN")

    @classmethod
    def settings_customise_sources(cls, *_: Any, **sources: Any) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `read` was given: a target's addresses are not this shell's."""
        return (sources["init_settings"],)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """The settings of an environment. Raises `CommandFailed` naming a variable whose value is invalid."""
        source = EnvSettingsSource(cls)
        source.env_vars = {name.lower(): value for name, value in environment.items() if value}
        try:
            return cls(**source())
        except ValidationError as error:
            first = error.errors()[0]
            variable = cls.variable(str(first["loc"][0]))
            raise CommandFailed(
                f"{variable} is invalid: {first['msg']}", remedy=f"correct or unset {variable}"
            ) from error

    @classmethod
    def variable(cls, field: str) -> str:
        """The environment variable of a field."""
        declared = cls.model_fields.get(field)
        alias = None if declared is None else declared.validation_alias
        return str(alias or (field if declared is None else f"SWITCHYARD_{field.upper()}"))

    def __getattribute__(self, name: str) -> Any:
        """A field's value. Raises `CommandFailed` for one that is needed and not set."""
        value = super().__getattribute__(name)
        if value is None and name in (fields := type(self).model_fields) and fields[name].annotation is str:
            variable = type(self).variable(name)
            raise CommandFailed(
                f"{variable} is not set: expected {fields[name].description}",
                remedy=f"export {variable}, or use --env local with a running stack",
            )
        return value
