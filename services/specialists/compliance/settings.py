"""Settings of compliance. Those of the models are `SWITCHYARD_MODEL_*`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from services.specialists.compliance.pack import PACKS_FOLDER
from switchyard.runtime.core.settings import WorkSettings


class ComplianceSettings(WorkSettings):
    """The work database, the vault and the transport, the rule packs and the address of the opt-out pages."""

    rule_packs: Path = Field(
        default=PACKS_FOLDER, description="The folder of the released rule packs; `packs` beside the agent if unset."
    )

    wording: Path | None = Field(
        default=None, description="The file of the required wording; the shipped one if unset."
    )

    optout_url: Annotated[str, Field(pattern=r"^https?://[\x21\x23-\x3b\x3d\x3f-\x7e]{1,180}$")] | None = Field(
        default=None,
        description="Public address of the opt-out pages, as the drafter has it: another opt-out link blocks. "
        "By default any https address passes.",
    )
