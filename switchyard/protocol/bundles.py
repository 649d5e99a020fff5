"""Configuration bundles: everything that an agent was configured with, as one immutable document with a digest.

Each event of an agent names the digest (`bundle`); the agent keeps the document in the bucket of objects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, JsonValue

from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.fields import Contract, Name

BUNDLES_PREFIX = "bundles/"
"""Of the keys under which bundles are stored."""


class AgentBundle(Contract):
    """What an agent is configured with. Rules and tools are code: its revision is a part."""

    agent: Name
    code: str = Field(description="The deployed revision.")
    card: dict[str, JsonValue] = Field(description="The agent's card, its tools among the fields.")
    prompts: dict[str, str] = Field(default={}, description="The text of each prompt, by name.")
    models: dict[str, JsonValue] | None = Field(
        default=None, description="Primary, fallback, failover policy and model policies; absent without a model."
    )
    settings: dict[str, JsonValue] = Field(
        default={}, description="What else decides: rule packs, limits. Texts too long to keep are digests."
    )

    def serialize(self) -> bytes:
        """The canonical form, which the digest covers."""
        return canonical_json(self.model_dump(mode="json", exclude_none=True))

    @property
    def digest(self) -> str:
        """SHA-256, in hex, over the canonical form."""
        return hashlib.sha256(self.serialize()).hexdigest()

    @property
    def key(self) -> str:
        """Its key in the bucket of objects."""
        return bundle_key(self.digest)


def bundle_key(digest: str) -> str:
    """The key of a bundle in the bucket of objects."""
    return f"{BUNDLES_PREFIX}{digest}.json"


def as_content(value: Any) -> Any:
    """Settings as canonical JSON can hold them: models as objects, sets sorted, the rest as text."""
    match value:
        case BaseModel():
            return as_content(value.model_dump())
        case Mapping():
            return {str(name): as_content(each) for name, each in value.items()}
        case list() | tuple() | set() | frozenset():
            content = [as_content(each) for each in value]
            return content if isinstance(value, list | tuple) else sorted(content, key=_canonical_text)
        case None | bool() | int() | str():
            return value
        case _:
            return str(value)


def _canonical_text(content: Any) -> bytes:
    return canonical_json({"content": content})


def content_digest(value: Any) -> str:
    """SHA-256, in hex, of settings of any form: such as a rule pack."""
    return hashlib.sha256(_canonical_text(as_content(value))).hexdigest()
