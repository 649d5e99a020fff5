"""Whose cases a person may see: of some tenants only, where the identity provider says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
EVERY_TENANT = "*"
MAX_TENANTS = 40
MAX_TENANT_CHARS = 128
MAX_UNSORTED = 5_000
Tenants = Sequence[str] | None
"""The tenants whose cases may be seen; None for every one."""


def read_tenants(claim: Any) -> Tenants:
    """The tenants in a claim: a name, a list of names, or `*`. Raises `ValueError` for anything else, and for none
    at all: an omission never opens every tenant."""
    names = [claim] if isinstance(claim, str) else claim
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("expected names of tenants")
    found = sorted({name for name in names if name})
    if EVERY_TENANT in found:
        return None
    if not 0 < len(found) <= MAX_TENANTS or any(len(name) > MAX_TENANT_CHARS for name in found):
        raise ValueError(f"expected from 1 to {MAX_TENANTS} names of tenants")
    return tuple(found)


def rows_to_read(most: int, tenants: Tenants) -> int:
    """How many rows without a tenant are read, so that those of others leave room: one more than are shown tells that
    there are more."""
    return most + 1 if tenants is None else MAX_UNSORTED


@dataclass(frozen=True)
class TenantGuard:
    """Knows from the log whose a case is."""

    audit: Database

    async def visible(self, case_ids: Iterable[UUID | str], tenants: Tenants) -> set[str]:
        """Those of these cases that belong to one of the tenants, and to no other. A case that the log lacks is
        never visible. Raises `Unavailable`."""
        wanted = {str(each) for each in case_ids}
        if tenants is None or not wanted:
            return wanted
        rows = await self.audit.with_queries(_SQL).rows("visible", [UUID(each) for each in wanted], list(tenants))
        return {row["case_id"] for row in rows}

    async def only_visible(self, rows: Iterable[Any], tenants: Tenants) -> list[Any]:
        """The rows whose `case_id` may be seen."""
        listed = list(rows)
        if tenants is None:
            return listed
        seen = await self.visible((row["case_id"] for row in listed if row["case_id"] is not None), tenants)
        return [row for row in listed if str(row["case_id"]) in seen]
