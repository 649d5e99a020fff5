"""The case manager's environment."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from switchyard.case_manager.intake import UpstreamPolicy
from switchyard.case_manager.sessions import MAX_QUEUED
from switchyard.processes.upstream_keys import UpstreamKeys
from switchyard.runtime.core.settings import (
    ApproverSettings,
    HexKey,
    OperatorSettings,
    WorkSettings,
)


class CaseManagerSettings(OperatorSettings, ApproverSettings, WorkSettings):
    """The case manager: its tables, and the key under which it fingerprints what upstream sends."""

    mac_key: HexKey = Field(description="The key that fingerprints submissions and addresses, 32 bytes in hex.")
    person_key: HexKey = Field(description="The key that fingerprints people, 32 bytes in hex; the API has it, too.")
    upstreams: dict[str, UpstreamPolicy] | None = Field(
        default=None,
        description='What each upstream may ask for, as JSON {"upstream.name": {"tenants": [..], "roles": [..]}}, '
        "shell patterns, and `share`, its part of intake (1 by default). Without it every source that IAM lets on the "
        "bus may submit for any tenant, and only a user's grant names a role: set it in production.",
    )
    principal_keys: UpstreamKeys = Field(
        default={},
        description='Ed25519 public keys of the sources that must sign who asks, as JSON {"upstream.name": {"kid": '
        '"hex of 32 bytes"}}. A source that is named and has no key may submit nothing; one that is not named is '
        "believed.",
    )
    intake_tenant_backlog: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=20_000, description="Submissions of one tenant of an upstream that may wait to be opened."
    )
    intake_source_backlog: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=50_000, description="Submissions of one upstream that may wait to be opened; more are rejected."
    )
    session_queue: Annotated[int, Field(ge=1, le=1_000)] = Field(
        default=MAX_QUEUED, description="Turns of one session that may wait behind its open one; more are rejected."
    )
    rejection_keep_days: Annotated[int, Field(ge=1)] = Field(
        default=30, description="How long counts of rejected submissions are kept, in days; the log has their reports."
    )
    memory_tenants: tuple[str, ...] = Field(
        default=(),
        description="Tenants that consented to memory across sessions, as JSON: a list of shell patterns. The case "
        "manager and memory have the same; by default no tenant's users are remembered beyond a session.",
    )
    case_deadline_s: Annotated[int, Field(ge=1)] = Field(
        default=900, description="Deadline, in seconds, of a case whose submission has none."
    )
    consent_url: str = Field(default="", description="Where users give consent again; events of waiting cases name it.")
    approval_valid_s: Annotated[int, Field(ge=1)] = Field(
        default=86_400, description="How long a granted approval is valid, in seconds, until its effect."
    )
