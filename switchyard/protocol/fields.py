"""The shapes that events share."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

FIRST_YEAR, LAST_YEAR = 1900, 8999
"""Of every time. Python and PostgreSQL's clients end with 9999: zones and periods are added to a time, and must not
lead past that."""

MAX_MILLISECONDS = 100 * 366 * 86_400_000
"""A hundred years, which may be added to any time."""


def in_known_years(moment: datetime.datetime) -> bool:
    """Whether any time zone and any period may be applied to a time."""
    return FIRST_YEAR <= moment.year <= LAST_YEAR


def _check_date(text: str) -> str:
    # A pattern lets the 30th of February pass, and then the first consumer that computes with it fails.
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        raise PydanticCustomError("calendar", "should be a day of the calendar and a time of the day") from None
    return text


def _check_years(text: str) -> str:
    if not in_known_years(datetime.datetime.fromisoformat(text)):
        raise PydanticCustomError("years", "should be in a year from 1900 to 8999")
    return text


Uuid = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
"""A UUID in lower-case text, as JSON has it and the digest covers it."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Timestamp = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$",
        json_schema_extra={"format": "date-time"},
    ),
    AfterValidator(_check_date),
    AfterValidator(_check_years),
]
"""UTC, RFC 3339, up to microseconds, no leap second, in a year from 1900 to 8999."""

Day = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", json_schema_extra={"format": "date"}),
    AfterValidator(_check_date),
]
CaseDay = Annotated[Day, AfterValidator(_check_years)]
"""The day on which a case was opened."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
"""A node, an agent or a playbook: lower case, digits and underscores."""

TypeName = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]{2,63}$")]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,63}$")]
"""A machine-readable reason."""

Sentence = Annotated[str, Field(max_length=2_000)]
"""Text for people. Never payload text."""

Identifier = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
"""An identifier that somebody else chose: visible ASCII, no blanks."""

Email = Annotated[str, Field(pattern=r"^[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$", max_length=254)]
PERSONAL_DATA: dict[str, Any] = {"x-personal": True}
"""Schema annotation of a field that holds personal data."""

PackVersion = Annotated[str, Field(pattern=r"^[0-9a-z][0-9a-z.-]{0,40}$", description="Version of the rule pack.")]

BasisPoints = Annotated[int, Field(ge=0, le=10_000)]
"""A share of one in hundredths of a percent: contracts contain no floats."""

NonNegativeInt = Annotated[int, Field(ge=0, le=2**53 - 1)]
Milliseconds = Annotated[int, Field(ge=0, le=MAX_MILLISECONDS)]


class Contract(BaseModel):
    """Base of every event payload: frozen, strict about what it knows, indifferent to what it does not.

    A validator is built when it is first used: a process imports every contract and uses a few.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True, defer_build=True)


class StrictContract(Contract):
    """For what upstream sends: an unknown field is an error, because a misspelt optional field must not pass unseen."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)


class Artefact(Contract):
    """A result, named by the SHA-256 of its stored bytes.

    The bytes travel in the event's `storage_refs` up to 16 KB and in S3 above that. They are ciphertext where
    `subject` is set. The digest of an event covers this reference, not the place.
    """

    name: Name = Field(description="What it is to its reader, such as `answer`.")
    sha256: Sha256 = Field(description="Of the stored bytes, which are ciphertext if sealed.")
    size: NonNegativeInt = Field(description="Of the stored bytes.")
    media_type: str = Field(max_length=100)
    subject: Uuid | None = Field(default=None, description="Whose key seals it; absent if it is about no person.")


class StorageRef(Contract):
    """Where an artefact's bytes are: exactly one of the two. Not part of the digest."""

    inline: str | None = Field(
        default=None, max_length=21_848, description="The stored bytes in base64, up to 16 KB before encoding."
    )
    uri: str | None = Field(default=None, description="s3://bucket/key", max_length=1_000)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.inline is None) == (self.uri is None):
            raise PydanticCustomError("one_place", "should have either inline or uri, and not both")
        return self


class TaskBudget(Contract):
    """What a task may spend. Relative time is in `time_limit_ms`."""

    attempts: Annotated[int, Field(ge=1, le=20)] = Field(default=3, description="How often the task may fail.")
    tokens: NonNegativeInt = Field(
        default=0, description="Tokens the models may read and write; 0 means that none is set."
    )


ROLE_SCOPE = "role:"
"""Prefix of the scope that names the role with which the asking user reads."""


class Principal(Contract):
    """On whose behalf a case runs: claims, never a bearer token."""

    sub: Identifier
    tenant: Identifier
    subject: Uuid | None = Field(default=None, description="The person's pseudonym: the name of their sealing key.")
    scopes: tuple[Identifier, ...] = ()
    act: tuple[Identifier, ...] = Field(default=(), description="Who acted for whom, nearest first (RFC 8693).")
    exp: Timestamp | None = None
    grant_ref: Uuid | None = None


class Access(Contract):
    """One credential that a step used, as the audit log keeps it: identifiers only, never the token."""

    subject: Uuid = Field(description="The user in whose name: a pseudonym.")
    agent: Name
    grant: Uuid
    jti: Identifier = Field(description="The token's id at the exchange.")
    audience: Identifier
    scopes: tuple[Identifier, ...]


class ModelCall(Contract):
    """What a model cost and why it was this one: the failover decision of one agent run."""

    vendor: Identifier
    model_id: Identifier
    role: Identifier = Field(description="primary or fallback")
    reason: Identifier = Field(description="Why this model answered, for example primary, ttft, throttled.")
    latency_ms: Milliseconds
    ttft_ms: Milliseconds | None = None
    calls: NonNegativeInt = 1
    input_tokens: NonNegativeInt = 0
    output_tokens: NonNegativeInt = 0
    loser_tokens: NonNegativeInt = 0
    prompt_version: str = Field(default="", max_length=64)
    policy_version: str = Field(default="", max_length=64)
    decision: dict[str, JsonValue] = Field(
        default_factory=dict, description="Everything the decision was made on, so that it can be made again."
    )


Json = dict[str, Any]
"""A parsed JSON object: what the digest covers."""
