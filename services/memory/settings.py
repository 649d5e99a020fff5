"""Settings of memory."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from switchyard.runtime.core.settings import OperatorSettings, WorkSettings


class MemorySettings(OperatorSettings, WorkSettings):
    """The work database, the vault and the transport, and how much is remembered for how long."""

    concurrency: Annotated[int, Field(ge=1, le=256)] = Field(
        default=32, description="Messages in hand at once; one that waits for an earlier turn is in hand, too."
    )
    memory_turn_hours: Annotated[int, Field(ge=1, le=2_160)] = Field(
        default=168, description="Hours after which a turn of a session is forgotten."
    )
    memory_session_turns: Annotated[int, Field(ge=1, le=200)] = Field(
        default=20, description="Turns that are kept per session; the oldest make room."
    )
    memory_tokens: Annotated[int, Field(ge=100, le=20_000)] = Field(
        default=1_200,
        description="Tokens that memory may add to a prompt, about: older turns are shortened, then left out.",
    )
    memory_wait_ms: Annotated[int, Field(ge=0, le=2_500)] = Field(
        default=1_500, description="Milliseconds that a recall waits for the record of the turn before."
    )
    memory_tenants: tuple[str, ...] = Field(
        default=(),
        description="Tenants that consented to memory across sessions, as JSON: a list of shell patterns. The case "
        "manager and memory have the same; by default no tenant's users are remembered beyond a session.",
    )
    memory_slot_hours: Annotated[int, Field(ge=1, le=2_160)] = Field(
        default=2_160, description="Hours after which a preference is forgotten unless the user says it again."
    )
    memory_note_hours: Annotated[int, Field(ge=1, le=2_160)] = Field(
        default=720, description="The same of a free note."
    )
    memory_quarantine_hours: Annotated[int, Field(ge=1, le=2_160)] = Field(
        default=336, description="Hours after which what was set aside as untrusted is deleted."
    )
    memory_user_facts: Annotated[int, Field(ge=1, le=200)] = Field(
        default=200, description="Preferences and notes that are kept per user; the least used make room."
    )
    memory_embedding_id: str = Field(
        default="amazon.titan-embed-text-v2:0", description="Bedrock's model for embeddings, with 256 dimensions."
    )
