"""What commands read from the environment: every variable once, with its type and what it is for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from switchyard.cli.app.errors import CommandFailed
from switchyard.processes.upstream_keys import UpstreamKeys
from switchyard.protocol.topology import BUS
from switchyard.runtime.core.settings import HexKey, KeyRing, PublicKeys
from switchyard.runtime.core.variables import misspelt_variables


def needed(description: str, *, secret: bool = False) -> Any:
    """A variable without a default: reading it while it is not set is a `CommandFailed` that names it."""
    return Field(default=None, description=description, json_schema_extra={"needed": True, "secret": secret})


def _is_needed(field: FieldInfo) -> bool:
    return isinstance(field.json_schema_extra, dict) and "needed" in field.json_schema_extra


class TargetSettings(BaseModel):
    """Settings that are read from the environment of a target, not of this process."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    @staticmethod
    def variable_of(field: str) -> str:
        """The environment variable of a field."""
        return field.upper() if field.startswith("aws_") else f"SWITCHYARD_{field.upper()}"

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """The settings of an environment. Raises `CommandFailed` naming a variable whose value is invalid."""
        values = {field: environment.get(cls.variable_of(field)) for field in cls.model_fields}
        for name, known in misspelt_variables([*map(cls.variable_of, values)], environment).items():
            raise CommandFailed(f"{name} is unknown", remedy=f"rename it {known}, or unset it")
        try:
            return cls.model_validate({field: value for field, value in values.items() if value})
        except ValidationError as error:
            first = error.errors()[0]
            variable = cls.variable_of(str(first["loc"][0]))
            remedy = f"correct or unset {variable}"
            message = (
                first["msg"].removeprefix(f"Value error, {variable} is invalid: ").removesuffix(" Remedy: replace it")
            )
            raise CommandFailed(f"{variable} is invalid: {message}", remedy=remedy) from error

    def __getattribute__(self, name: str) -> Any:
        """A field's value. Raises `CommandFailed` for one that is needed and not set."""
        value = super().__getattribute__(name)
        if value is None and name in (fields := type(self).model_fields) and _is_needed(fields[name]):
            variable = type(self).variable_of(name)
            remedy = f"export {variable}, or use --env local with a running stack"
            raise CommandFailed(f"{variable} is not set: expected {fields[name].description}", remedy=remedy)
        return value


class CliSettings(TargetSettings):
    """The environment of a target. Which variables are needed depends on the command."""

    work_db_owner_url: str = needed("the address of the work database, for its owner", secret=True)
    audit_db_owner_url: str = needed("the address of the audit database, for its owner", secret=True)
    work_db_owner_secret_arn: str | None = Field(
        default=None, description="The secret with the first password of the work database's owner: RDS's own."
    )
    audit_db_owner_secret_arn: str | None = Field(default=None, description="The same, of the audit database's owner.")
    audit_db_url: str = needed("the address of the audit database, for the role audit_reader", secret=True)
    audit_retention_db_url: str = needed("the address of the audit database, for the role audit_retention", secret=True)
    operator_db_url: str = needed("the address of the work database, for the role operator", secret=True)
    reviewer_db_url: str = needed("the address of the work database, for the role reviewer", secret=True)
    reconciler_db_url: str = needed("the address of the work database, for the role reconciler", secret=True)
    vault_eraser_db_url: str = needed("the address of the work database, for the role vault_eraser", secret=True)
    db_auth: Literal["password", "iam"] = Field(
        default="password", description="How to log in to the databases: with a password, or with the AWS role."
    )
    db_ca_file: Path | None = Field(
        default=None, description="The certificates that the database's is verified against: in AWS, RDS's bundle."
    )

    vault_key: HexKey = needed(
        "the key that wraps people's keys, 32 bytes in hex; for the local stack only", secret=True
    )
    kms_key_id: str | None = Field(default=None, description="The KMS key that wraps people's keys.")
    operator_key: str = needed(
        "an operator's private key, 32 bytes in hex, or the path of a file with one", secret=True
    )
    receipt_key: HexKey = needed("the local key that signs receipts, 32 bytes in hex", secret=True)
    receipt_kms_key_id: str | None = Field(default=None, description="The KMS key that signs receipts.")
    receipt_public_keys: str = Field(default="", description="Public keys of receipts, separated by commas.")
    state_keys: KeyRing = needed('the router\'s keys, as JSON {"name": "32 bytes in hex"}', secret=True)
    operators: PublicKeys = Field(
        default={}, description='Operators\' public keys, as JSON {"name": "32 bytes in hex"}.'
    )
    approvers: PublicKeys = Field(
        default={}, description='Approvers\' public keys, as JSON {"name": "32 bytes in hex"}.'
    )
    principal_keys: UpstreamKeys = Field(
        default={}, description='The ingress\' public keys, as JSON {"source": {"kid": "32 bytes in hex"}}.'
    )

    checkpoint_bucket: str = needed("the S3 bucket of the checkpoints")
    checkpoint_public_keys: str = needed("the public keys of the checkpoints, separated by commas")
    checkpoint_log: str = Field(default="main", description="The log's name in its checkpoints; one per database.")
    checkpoint_lock_mode: Literal["COMPLIANCE", "GOVERNANCE"] = Field(
        default="COMPLIANCE", description="The weakest Object Lock that a checkpoint may have."
    )
    checkpoint_require_lock: bool = Field(default=True, description="Whether a checkpoint without a lock is an error.")
    verify_full_every_h: Annotated[float, Field(gt=0, le=840)] = Field(
        default=24.0, description="Hours after which an incremental verification of the log reads every row again."
    )
    row_key: HexKey | None = Field(
        default=None,
        description="The local key that wraps the keys of the rows' MACs.",
        json_schema_extra={"secret": True},
    )
    row_kms_key_id: str | None = Field(default=None, description="The KMS key that wraps the keys of the rows' MACs.")
    objects_bucket: str = Field(default="switchyard-objects", description="The S3 bucket of artefacts and quarantine.")

    operations: str = needed("where tasks of people start, as `terraform output -json operations` prints it")
    bus: str = Field(default=BUS, description="The EventBridge bus.")
    clock_file: Path | None = Field(
        default=None, description="A file with seconds by which the clock is shifted; for emulators only."
    )

    aws_region: str = Field(default="us-east-1", description="The AWS region.")
    aws_endpoint_url: str | None = Field(default=None, description="An emulator in place of AWS.")
    aws_access_key_id: str | None = Field(default=None, description="AWS credentials; else the SDK finds them.")
    aws_secret_access_key: str | None = Field(default=None, description="The same.", json_schema_extra={"secret": True})
    aws_session_token: str | None = Field(default=None, description="The same.", json_schema_extra={"secret": True})
