"""The settings that every process has. Each service adds its own in its own `settings.py`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import structlog
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from switchyard.protocol.four_eyes import FourEyes
from switchyard.protocol.signing import OperatorKeys
from switchyard.protocol.topology import BUS, VISIBILITY_SECONDS
from switchyard.runtime.core.clock import Clock, ShiftedClock, SystemClock
from switchyard.runtime.core.variables import SETTINGS_PAGE, misspelt_variables, unread_variables

HEX_KEY_BYTES = 32
log = structlog.get_logger(__name__)


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


def _read_public_keys(value: object, info: ValidationInfo) -> object:
    """As `read_key_ring`; `@FILE` is the JSON object in that file."""
    if isinstance(value, str) and value.startswith("@"):
        try:
            value = Path(value[1:]).read_text(encoding="utf-8")
        except (OSError, ValueError):
            raise _invalid(info, "a JSON object of keys in hex, or @ and a readable file that has it") from None
    return read_key_ring(value, info)


def _invalid(info: ValidationInfo, expected: str) -> ValueError:
    return ValueError(f"SWITCHYARD_{str(info.field_name).upper()} is invalid: expected {expected}. Remedy: replace it")


def _read_public_key(value: object, info: ValidationInfo) -> bytes:
    return bytes(_read_key(value, info))


HexKey = Annotated[HiddenBytes, PlainValidator(_read_key), PlainSerializer(repr)]
"""32 bytes, in hex. An error names the variable and the remedy, never the key."""

LongHexKey = Annotated[HiddenBytes, PlainValidator(_read_long_key), PlainSerializer(repr)]
"""32 bytes or more, in hex."""

PublicKey = Annotated[bytes, PlainValidator(_read_public_key), PlainSerializer(bytes.hex)]
"""An Ed25519 public key: 32 bytes, in hex."""

PublicKeys = Annotated[dict[str, PublicKey], NoDecode, BeforeValidator(_read_public_keys)]
"""Ed25519 public keys by name, as JSON, or `@` and the file that has it."""

KeyRing = Annotated[dict[str, LongHexKey], NoDecode, BeforeValidator(read_key_ring)]
"""Secret keys by id, as JSON; the first one signs, every one verifies."""


class TokenPrice(BaseModel):
    """Dollars for a million tokens of a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class InvalidSettings(ValueError):
    """The environment does not fit a program's settings. The text names each variable and what is expected."""


def variable_of(settings: type[BaseSettings], name: str) -> str:
    """The environment variable of a field."""
    alias = settings.model_fields[name].validation_alias
    return str(alias or f"{settings.model_config.get('env_prefix', '')}{name}").upper()


class EnvironmentSettings(BaseSettings):
    """Read from `SWITCHYARD_*`. Raises `InvalidSettings`, also for a variable that is a misspelt name of an unset one.

    An empty variable counts as unset: compose files and task definitions can name one without giving it a value.
    """

    model_config = SettingsConfigDict(
        env_prefix="SWITCHYARD_", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    read_elsewhere: ClassVar[tuple[str, ...]] = ()
    """Beginnings of variables that other parts of the program read."""

    def __init__(self, **values: Any) -> None:
        if misspelt := misspelt_variables(self._variables(), self._environment(), self._prefix()):
            problems = (f"{name} is unknown: rename it {known}, or unset it" for name, known in misspelt.items())
            raise InvalidSettings("; ".join(problems))
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InvalidSettings(_describe(type(self), error)) from error
        except SettingsError as error:
            raise InvalidSettings(f"{error}: expected JSON (see {SETTINGS_PAGE})") from error

    def log_unknown_variables(self) -> None:
        """Log a warning for each variable of the environment that begins like a setting and is unknown."""
        for name in unread_variables(self._variables(), self._environment(), self._prefix()):
            log.warning("settings.unknown_variable", variable=name, remedy=f"unset it, or see {SETTINGS_PAGE}")

    @classmethod
    def _prefix(cls) -> str:
        return str(cls.model_config.get("env_prefix"))

    @classmethod
    def _variables(cls) -> set[str]:
        return {variable_of(cls, name) for name in cls.model_fields}

    @classmethod
    def _environment(cls) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith(cls.read_elsewhere)}


def _describe(settings: type[BaseSettings], error: ValidationError) -> str:
    """The first error of each field, with the variable's name: pydantic's text names the field only."""
    problems: dict[str, str] = {}
    for each in error.errors():
        name, message = str(each["loc"][0]) if each["loc"] else "", each["msg"].removeprefix("Value error, ")
        variable = variable_of(settings, name) if name in settings.model_fields else name
        if each["type"] == "missing":
            field: FieldInfo | None = settings.model_fields.get(name)
            expected = (field.description or "").rstrip(".") if field else "a value"
            message = f"{variable} is missing: expected {expected}"
        elif variable and variable not in message:
            message = f"{variable} is invalid: {message}"
        problems.setdefault(name, message)
    return "; ".join(problems.values()) + f" (see {SETTINGS_PAGE})"


class ProcessSettings(EnvironmentSettings):
    """What every process reads. AWS credentials come from the usual `AWS_*` variables."""

    read_elsewhere = ("SWITCHYARD_APP", "SWITCHYARD_HEALTH_PATH", "SWITCHYARD_MODEL_")

    bus: str = Field(default=BUS, description="The EventBridge bus.")
    region: str = Field(default="us-east-1", validation_alias="AWS_REGION", description="The AWS region.")
    endpoint_url: str | None = Field(
        default=None, validation_alias="AWS_ENDPOINT_URL", description="An emulator in place of AWS."
    )
    concurrency: Annotated[int, Field(ge=1, le=256)] = Field(default=8, description="Messages in hand at once.")
    visibility_s: Annotated[float, Field(ge=1)] = Field(
        default=VISIBILITY_SECONDS, description="Visibility of queues, and lease, in seconds."
    )
    poll_wait_s: Annotated[int, Field(ge=0, le=20)] = Field(default=10, description="Long poll, in seconds.")
    retry_base_s: Annotated[float, Field(gt=0)] = Field(
        default=1.0, description="First back-off after a failure, in seconds."
    )
    drain_s: Annotated[float, Field(ge=1)] = Field(default=20.0, description="How long a stop may take, in seconds.")
    deploy_grace_s: Annotated[float, Field(ge=0, le=1_800)] = Field(
        default=600.0, description="Seconds that an event of a newer release waits for it; longer than a deploy takes."
    )
    health_host: str = Field(default="127.0.0.1", description="Address of the health page.")
    health_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=0, description="Port of the health page; 0 picks a free port."
    )
    db_auth: Literal["password", "iam"] = Field(
        default="password",
        description="How to log in to the databases: with a password, or with the AWS role.",
    )
    db_ca_file: Path | None = Field(
        default=None, description="The certificates that the database's is verified against: in AWS, RDS's bundle."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="The least level that is logged."
    )
    otlp_endpoint: str | None = Field(default=None, description="OTLP over HTTP; tracing is off without it.")
    code_version: str = Field(default="dev", description="The deployed revision; recorded by audit.")
    clock_file: Path | None = Field(
        default=None, description="A file with seconds by which the clock is shifted; for emulators only."
    )

    @model_validator(mode="after")
    def _true_time_in_aws(self) -> Self:
        if self.clock_file is not None and self.endpoint_url is None:
            raise ValueError("SWITCHYARD_CLOCK_FILE is for emulators: unset it, or set AWS_ENDPOINT_URL")
        return self

    def clock(self) -> Clock:
        """The clock that this process lives by."""
        return SystemClock() if self.clock_file is None else ShiftedClock(self.clock_file)


ObjectsBucket = Annotated[str, Field(description="The S3 bucket of artefacts and quarantine.")]


class OperatorSettings(BaseModel):
    """Whose signed commands count: the router, the case manager and the performers of effects check them."""

    operators: PublicKeys = Field(
        default={},
        description='Ed25519 public keys of operators, as JSON {"name": "hex of 32 bytes"} or @FILE: the same for '
        "every process. Without any, each halt, resumption, cancellation, resolution and retry is refused.",
    )

    def operator_keys(self) -> OperatorKeys:
        """The operators with their keys. Raises `ValueError` for a key that is no point of the curve."""
        return OperatorKeys(self.operators)


class ApproverSettings(BaseModel):
    """Who may approve: the case manager, and the process that performs the effect, check each approval."""

    approvers: PublicKeys = Field(
        default={},
        description='Who may approve, as JSON {"name": "Ed25519 public key in hex"} or @FILE, the same for every '
        "process. Without any, nothing that needs an approval takes effect.",
    )

    submitter_identities: dict[str, tuple[str, ...]] = Field(
        default={},
        description='Under which identities a person submits, as JSON {"name": ["identity", ..]}; an approver has the '
        "name that SWITCHYARD_APPROVERS gives, and their second name there, after a new key, is one of these. The same "
        "for every process. What a submitter asks for whom it does not name, two approvers must approve.",
    )

    @model_validator(mode="after")
    def _one_person_each(self) -> Self:
        if len(set(self.approvers.values())) < len(self.approvers):
            raise ValueError("SWITCHYARD_APPROVERS is invalid: two approvers have the same key. Remedy: one key each")
        self.four_eyes()
        return self

    def approver_keys(self) -> OperatorKeys:
        """The approvers with their keys. Raises `ValueError` for a key that is no point of the curve."""
        return OperatorKeys(self.approvers, title="approver", variable="SWITCHYARD_APPROVERS")

    def four_eyes(self) -> FourEyes:
        """Who may approve what whom asked for. Raises `ValueError` if an identity belongs to two persons."""
        return FourEyes(self.approvers, self.submitter_identities)


class WorkSettings(ProcessSettings):
    """For a process that keeps an inbox and handles artefacts."""

    work_db_url: SecretStr = Field(description="The work database, as this consumer's own role.")
    objects_bucket: ObjectsBucket = "switchyard-objects"
    vault_key: HexKey | None = Field(
        default=None, description="The key that wraps people's keys, 32 bytes in hex; for the local stack only."
    )
    kms_key_id: str | None = Field(default=None, description="The KMS key that wraps people's keys.")
