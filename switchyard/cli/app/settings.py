"""What commands read from the environment: every variable once, with its type and what it is for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from switchyard.cli.app.errors import CommandFailed
from switchyard.protocol.topology import BUS


def needed(description: str) -> Any:
    """A variable without a default: reading it while it is not set is a `CommandFailed` that names it."""
    return Field(default=None, description=description)


class CliSettings(BaseModel):
    """The environment of a target. Which variables are needed depends on the command."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

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
    approvers: str = Field(default="{}", description='Approvers\' public keys, as JSON {"name": "32 bytes in hex"}.')
    principal_keys: str = needed('the ingress\' public keys, as JSON {"source": {"kid": "32 bytes in hex"}}')

    checkpoint_bucket: str = needed("the S3 bucket of the checkpoints")
    checkpoint_public_keys: str = needed("the public keys of the checkpoints, separated by commas")
    checkpoint_log: str = "main"
    checkpoint_lock_mode: Literal["COMPLIANCE", "GOVERNANCE"] = "COMPLIANCE"
    checkpoint_require_lock: bool = True
    row_key: str | None = Field(default=None, description="The local key that wraps the keys of the rows' MACs.")
    row_kms_key_id: str | None = Field(default=None, description="The KMS key that wraps the keys of the rows' MACs.")
    objects_bucket: str = "switchyard-objects"

    bus: str = BUS
    clock_file: Path | None = Field(default=None, description="Seconds to shift the clock by; emulators only.")
    demo_optout_url: str = needed("the address of the demo's opt-out page")
    demo_outbox_url: str = needed("the address of the demo's SES simulator")

    aws_region: str = "us-east-1"
    aws_endpoint_url: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = None
    aws_session_token: str | None = None

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """The settings of an environment. Raises `CommandFailed` naming a variable whose value is invalid."""
        values = {field: environment.get(_variable(field)) for field in cls.model_fields}
        try:
            return cls.model_validate({field: value for field, value in values.items() if value})
        except ValidationError as error:
            first = error.errors()[0]
            variable = _variable(str(first["loc"][0]))
            remedy = f"correct or unset {variable}"
            raise CommandFailed(f"{variable} is invalid: {first['msg']}", remedy=remedy) from error

    def __getattribute__(self, name: str) -> Any:
        """A field's value. Raises `CommandFailed` for one that is needed and not set."""
        value = super().__getattribute__(name)
        if value is None and name in (fields := type(self).model_fields) and fields[name].annotation is str:
            variable = _variable(name)
            remedy = f"export {variable}, or use --env local with a running stack"
            raise CommandFailed(f"{variable} is not set: expected {fields[name].description}", remedy=remedy)
        return value


def _variable(field: str) -> str:
    """The environment variable of a field."""
    return field.upper() if field.startswith("aws_") else f"SWITCHYARD_{field.upper()}"
