"""What the drafter emits."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from switchyard.protocol.fields import Artefact, Contract, Sha256


class AnswerDrafted(Contract):
    """An answer that cites what it rests on."""

    answer: Artefact
    cites: tuple[Annotated[str, Field(pattern=r"^F[0-9]+$")], ...] = Field(description="The findings used: F1, F2, …")


class EmailDrafted(Contract):
    """An email, whole: the RFC 5322 bytes that will be sent, if they pass. Nothing is added to them later."""

    email: Artefact
    content_sha256: Sha256 = Field(description="Of the plain bytes: what is reviewed, approved and sent.")
