"""What the simulator is told of a warehouse: its tables, as a schema describes them, and who may see which rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class WarehouseSchema(Protocol):
    """The tables of one namespace. A table has `comment` and `columns`; a column `type`, `unit` and `comment`."""

    @property
    def database(self) -> str:
        """Snowflake's database."""

    @property
    def namespace(self) -> str:
        """Snowflake's schema."""

    @property
    def tables(self) -> Mapping[str, Any]:
        """Tables by name."""


@dataclass(frozen=True, slots=True)
class WarehouseRole:
    """A warehouse role: the SQL condition on the rows that it sees, by table; without one it sees all."""

    name: str
    conditions: Mapping[str, str] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """The DuckDB schema that holds its views."""
        return f"SEEN_BY_{self.name}"
