"""Public keys of the upstreams that sign who asks."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from switchyard.protocol.catalogue import MAX_SOURCE
from switchyard.protocol.fields import Identifier
from switchyard.runtime.core.settings import PublicKey, read_key_ring

UpstreamName = Annotated[str, Field(pattern=r"^upstream\.[\x21-\x7e]+$", max_length=MAX_SOURCE)]
"""A misspelt name would match no upstream, and the intended one would be believed unsigned."""

UpstreamKeys = Annotated[dict[UpstreamName, dict[Identifier, PublicKey]], NoDecode, BeforeValidator(read_key_ring)]
