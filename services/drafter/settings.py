"""The drafter's environment; the models' stands in `SWITCHYARD_MODEL_*`."""

from __future__ import annotations

from runtime.settings import WorkSettings


class DrafterSettings(WorkSettings):
    """The work database, the vault and the transport."""
