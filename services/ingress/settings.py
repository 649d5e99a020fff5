"""The ingress function's environment, which terraform sets. Its variables have no prefix."""

from __future__ import annotations

import os
from typing import Annotated, Self

from pydantic import BaseModel, Field

JwksUrl = Annotated[str, Field(pattern=r"^https://")]
"""https only: these keys authenticate every user."""


class IngressSettings(BaseModel):
    """The identity provider, and what the function publishes as."""

    issuer: str = Field(description="The identity provider, as its tokens name it (`iss`).")
    audience: str = Field(description="The API, as the tokens name it (`aud`).")
    jwks_url: JwksUrl = Field(description="The identity provider's public keys, over https.")
    tenant_claim: str = Field(description="The claim that holds the tenant.")
    role_claim: str = Field(description="The claim that holds the role to read with.")
    principal_key_secret_arn: str = Field(description="The secret with the key that signs principals.")
    bus: str = Field(description="The EventBridge bus.")
    source: str = Field(description="The source of the function's events.")

    @classmethod
    def read(cls) -> Self:
        """The settings of this process. Raises `ValidationError` for a variable that is missing or invalid."""
        return cls.model_validate({name: os.environ.get(name.upper()) for name in cls.model_fields})
