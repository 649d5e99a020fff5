"""Which cases are judged: a share per tenant and playbook, by a stable hash of the case id. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.fields import Contract
from switchyard.protocol.received import ReceivedEvent

_HASHES = 2**64


class JudgeRate(BaseModel):
    """How large a share of the answered cases of some tenants and one playbook is judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: str = Field(default="*", min_length=1, max_length=150, description="A shell pattern.")
    playbook: str = "assist"
    rate: Annotated[float, Field(ge=0, le=1)]


def rate_of(rates: Sequence[JudgeRate], tenant: str, playbook: str) -> float:
    """The first that fits counts; 0 without one."""
    fitting = (each for each in rates if each.playbook == playbook and fnmatchcase(tenant, each.tenant))
    return next((each.rate for each in fitting), 0.0)


def is_sampled(case_id: str, rate: float) -> bool:
    """The same answer for a case every time; a larger rate keeps the cases of a smaller one."""
    place = int.from_bytes(hashlib.sha256(f"judge/{case_id}".encode()).digest()[:8])
    return place < rate * _HASHES


def choose_case(received: ReceivedEvent[Contract], *, rates: Sequence[JudgeRate]) -> bool:
    """Whether this ending is judged: it has an answer, and its case is in the sample."""
    envelope, payload = received.envelope, received.payload
    if not isinstance(payload, CaseClosed) or payload.answer is None:
        return False
    return is_sampled(envelope.case_id, rate_of(rates, envelope.tenant, playbook_name(envelope.playbook_version)))


def playbook_name(version: str) -> str:
    """The playbook of a version such as `assist/4`."""
    return version.partition("/")[0]
