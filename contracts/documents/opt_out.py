"""What an opt-out link says, for the one who writes it and the one who takes it back."""

from __future__ import annotations

from switchyard.protocol.fields import Contract, Identifier, Sha256, Uuid

OPT_OUT_PURPOSE = "opt-out"
"""Bound into the link's signature: a token for anything else is no opt-out."""

OPT_OUT_PATH = "/o"


class OptOutClaims(Contract):
    """Whose emails shall stop. No name and no address: the key is a keyed hash that only the case manager can make."""

    tenant: Identifier
    address_key: Sha256
    case_id: Uuid


def opt_out_url(base: str, token: str) -> str:
    """The link under which a signed token is taken back; `base` is the public address of the email feedback service."""
    return f"{base.rstrip('/')}{OPT_OUT_PATH}/{token}"
