"""The settings that every process has. Each service adds its own in its own `settings.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    ValidationInfo,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from switchyard.protocol.signing import OperatorKeys
from switchyard.protocol.topology import BUS, VISIBILITY_SECONDS
from switchyard.runtime.core.clock import Clock, ShiftedClock, SystemClock

HEX_KEY_BYTES = 32


class HiddenBytes(bytes):
    """A key. Its text form does not show it."""

    def __repr__(self) -> str:
        return "HiddenBytes(hidden)"

    __str__ = __repr__


def _read_key(value: object, info: ValidationInfo) -> HiddenBytes:
    if len(key := _read_long_key(value, info)) != HEX_KEY_BYTES:
        raise _invalid(info, "32 bytes in hex")
    return key


def _read_long_key(value: object, info: ValidationInfo) -> HiddenBytes:
    try:
        key = HiddenBytes(value) if isinstance(value, bytes) else HiddenBytes.fromhex(str(value))
    except ValueError:
        key = HiddenBytes()
    if len(key) < HEX_KEY_BYTES:
        raise _invalid(info, "at least 32 bytes in hex")
    return key


def read_key_ring(value: object, info: ValidationInfo) -> object:
    """The JSON object of a variable. Raises `ValueError`, which names the variable."""
    try:
        ring = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        ring = None
    if not isinstance(ring, dict):
        raise _invalid(info, "a JSON object of keys in hex")
    return ring


def _invalid(info: ValidationInfo, expected: str) -> ValueError:
    return ValueError(f"SWITCHYARD_{str(info.field_name).upper()} is invalid: expected {expected}. Remedy: replace it")


HexKey = Annotated[HiddenBytes, PlainValidator(_read_key), PlainSerializer(repr)]
"""32 bytes, in hex. An error names the variable and the remedy, never the key."""

LongHexKey = Annotated[HiddenBytes, PlainValidator(_read_long_key), PlainSerializer(repr)]
"""32 bytes or more, in hex."""

PublicKeys = Annotated[dict[str, HexKey], NoDecode, BeforeValidator(read_key_ring)]
"""Ed25519 public keys by name, as JSON."""

KeyRing = Annotated[dict[str, LongHexKey], NoDecode, BeforeValidator(read_key_ring)]
"""Secret keys by id, as JSON; the first one signs, every one verifies."""


class ProcessSettings(BaseSettings):
    """Read from `SWITCHYARD_*`. AWS region, endpoint and credentials come from the usual `AWS_*` variables. An empty
    variable counts as none: compose files and task definitions can name one without giving it a value."""

    model_config = SettingsConfigDict(
        env_prefix="SWITCHYARD_", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    bus: str = BUS
    region: str = Field(default="us-east-1", validation_alias="AWS_REGION")
    endpoint_url: str | None = Field(default=None, validation_alias="AWS_ENDPOINT_URL")
    concurrency: Annotated[int, Field(ge=1, le=256)] = Field(default=8, description="Messages in hand at once.")
    visibility_s: Annotated[float, Field(ge=1)] = Field(default=VISIBILITY_SECONDS, description="Visibility and lease.")
    poll_wait_s: Annotated[int, Field(ge=0, le=20)] = Field(default=10, description="Long poll, in seconds.")
    retry_base_s: Annotated[float, Field(gt=0)] = Field(default=1.0, description="First back-off after a failure.")
    drain_s: Annotated[float, Field(ge=1)] = Field(default=20.0, description="How long a stop may take.")
    deploy_grace_s: Annotated[float, Field(ge=0, le=1_800)] = Field(
        default=600.0, description="How long an event of a newer release waits for it; longer than a deploy takes."
    )
    health_host: str = "127.0.0.1"
    health_port: Annotated[int, Field(ge=0, le=65_535)] = Field(default=0, description="0 picks a free port.")
    db_auth: Literal["password", "iam"] = Field(
        default="password",
        description="`iam`: addresses hold no password, each connection logs in with the process's AWS role.",
    )
    db_ca_file: Path | None = Field(
        default=None, description="What the database's certificate is verified against: in AWS, RDS's bundle."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    otlp_endpoint: str | None = Field(default=None, description="OTLP over HTTP; tracing is off without it.")
    code_version: str = Field(default="dev", description="The deployed revision; recorded by audit.")
    clock_file: Path | None = Field(
        default=None, description="A file with seconds by which the wall clock is moved; against an emulator only."
    )

    @model_validator(mode="after")
    def _true_time_in_aws(self) -> Self:
        if self.clock_file is not None and self.endpoint_url is None:
            raise ValueError("SWITCHYARD_CLOCK_FILE is for emulators: unset it, or set AWS_ENDPOINT_URL")
        return self

    def clock(self) -> Clock:
        """The clock that this process lives by."""
        return SystemClock() if self.clock_file is None else ShiftedClock(self.clock_file)


class OperatorSettings(BaseModel):
    """Whose signed commands count: the router, the case manager and the email sender check them."""

    operators: PublicKeys = Field(
        default={},
        description='Ed25519 public keys of operators, as JSON {"name": "hex of 32 bytes"}: the same for router, case '
        "manager and email sender. Without any, each halt, resumption, cancellation, resolution and retry is refused.",
    )

    def operator_keys(self) -> OperatorKeys:
        """The operators with their keys. Raises `ValueError` for a key that is no point of the curve."""
        return OperatorKeys(self.operators)


class ApproverSettings(BaseModel):
    """Who may approve: the case manager and the email sender check each approval."""

    approvers: PublicKeys = Field(
        default={},
        description='Who may approve, as JSON {"name": "Ed25519 public key in hex"}: the same for case manager and '
        "email sender. Without any, nothing that needs an approval is sent.",
    )

    def approver_keys(self) -> OperatorKeys:
        """The approvers with their keys. Raises `ValueError` for a key that is no point of the curve."""
        return OperatorKeys(self.approvers, title="approver", variable="SWITCHYARD_APPROVERS")


class WorkSettings(ProcessSettings):
    """For a process that keeps an inbox and handles artefacts."""

    work_db_url: SecretStr = Field(description="The work database, as this consumer's own role.")
    objects_bucket: str = "switchyard-objects"
    vault_key: HexKey | None = Field(
        default=None, description="32 bytes in hex that wrap people's keys; for the local stack only."
    )
    kms_key_id: str | None = Field(default=None, description="The KMS key that wraps people's keys.")
