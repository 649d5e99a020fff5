"""The settings that every process has. Each service adds its own in its own `settings.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from switchyard.protocol.signing import OperatorKeys
from switchyard.protocol.topology import BUS, VISIBILITY_SECONDS
from switchyard.runtime.core.clock import Clock, ShiftedClock, SystemClock


class ProcessSettings(BaseSettings):
    """Read from `SWITCHYARD_*`. AWS region, endpoint and credentials come from the usual `AWS_*` variables.

    An empty variable counts as none: compose files and task definitions can name one without giving it a value.
    """

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


class ApproverSettings(BaseModel):
    """Who may approve: the case manager and the email sender check each approval."""

    approvers: dict[str, str] = Field(
        default_factory=dict,
        description='Who may approve, as JSON {"name": "Ed25519 public key in hex"}: the same for '
        "case manager and email sender. "
        "Without any, nothing that needs an approval is sent.",
    )

    def approver_keys(self) -> OperatorKeys:
        """The approvers with their keys. Raises `ValueError` for a key that is not 32 bytes in hex."""
        keys = {name: bytes.fromhex(key) for name, key in self.approvers.items()}
        return OperatorKeys(keys, title="approver", variable="SWITCHYARD_APPROVERS")


class WorkSettings(ProcessSettings):
    """For a process that keeps an inbox and handles artefacts."""

    work_db_url: SecretStr = Field(description="The work database, as this consumer's own role.")
    objects_bucket: str = "switchyard-objects"
    vault_key: SecretStr | None = Field(
        default=None, description="32 bytes in hex that wrap people's keys; laptop only."
    )
    kms_key_id: str | None = Field(default=None, description="The KMS key that wraps people's keys.")
