"""How this application's cases open: the first event of each kind of chain."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.documents.accounts import Purpose
from switchyard.protocol.events.case_manager import Attestation, SessionTurn
from switchyard.protocol.fields import Artefact, Contract, Identifier, Name, Sha256


class CaseOpened(SessionTurn):
    """A submission became a case. The first event of every chain."""

    playbook: Name
    question: Artefact
    agent: Name | None = None
    remember: Literal[True] | None = Field(
        default=None, description="The tenant has consented to memory across sessions; absent without."
    )
    submitted_by: Identifier = Field(description="The bus source that submitted it.")
    attested: Attestation | None = Field(default=None, description="Absent if the source does not sign who asks.")


class EmailCaseOpened(Contract):
    """A submission for an email became a case. The first event of its chain."""

    playbook: Name
    account: Artefact
    purpose: Purpose
    address_key: Sha256 = Field(description="Keyed hash of tenant and address: names it in the control table.")
    submitted_by: Identifier = Field(description="The bus source that submitted it.")
