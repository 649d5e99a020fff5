"""What the drafter emits."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contracts.fields import Artefact, Contract


class AnswerDrafted(Contract):
    """An answer that cites what it rests on."""

    answer: Artefact
    cites: tuple[Annotated[str, Field(pattern=r"^F[0-9]+$")], ...] = Field(description="The findings used: F1, F2, …")
