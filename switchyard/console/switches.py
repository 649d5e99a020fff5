"""What is stopped, and what needs a person: read from the work database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__, "work.sql")


@dataclass(frozen=True)
class SwitchReader:
    """Reads views of the work database."""

    work: Database

    async def halted(self) -> list[Any]:
        """The halted playbooks: by whom, since when and why. Raises `Unavailable`."""
        return await self.work.with_queries(_SQL).rows("halted")
