"""What every specialist emits when it has found something."""

from __future__ import annotations

from pydantic import Field

from switchyard.protocol.fields import Artefact, Contract, Name, NonNegativeInt


class FindingsReady(Contract):
    """What the specialist found, as artefacts; the counts may be shown without opening them."""

    findings: tuple[Artefact, ...] = Field(min_length=1)
    charts: tuple[Artefact, ...] = Field(default=(), description="Drawings of the findings, as SVG.")
    files: tuple[Artefact, ...] = Field(default=(), description="Further results, such as a plan as JSON and as CSV.")
    rows: NonNegativeInt = Field(default=0, description="How many rows or figures the findings hold together.")
    verified: Name | None = Field(
        default=None,
        description="The verified query that it follows, by the agent's word; its review is in the findings.",
    )
    truncated: bool = Field(default=False, description="Whether a limit cut them short.")
