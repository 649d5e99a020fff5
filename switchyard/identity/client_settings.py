"""Where an agent finds the identity service, and the certificate that names the agent there."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field


class IdentityClientSettings(BaseModel):
    """Read by agents that act on behalf of users."""

    identity_url: str = Field(description="The identity service.")
    identity_tls_ca: Path = Field(description="Certificates of the authority that signs the identity service's.")
    identity_tls_certificate: Path = Field(description="This process's own certificate; its common name is the agent.")
    identity_tls_key: Path = Field(description="The key of that certificate.")
