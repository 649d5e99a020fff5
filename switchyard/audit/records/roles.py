"""Who owns the audit schema, and who may do what in it. Used when the database is migrated, never at run time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg

from switchyard.runtime.database.migrate import SchemaOwner

SCHEMA = "audit"
WRITER = "audit"
"""The service's role: it inserts and selects."""

READER = "audit_reader"
"""The reviewer's and the command line's role: it selects."""

RETENTION = "audit_retention"
"""The operators' role for retention and erasure: it holds cases and takes bodies out against receipts."""


def audit_owner() -> SchemaOwner:
    """The schema, its migrations and the service's role. The schema's name is fixed: grants and functions name it."""
    return SchemaOwner(SCHEMA, (Path(__file__).with_name("migrations"),), WRITER)


async def grant_audit_rights(connection: asyncpg.Connection[Any]) -> None:
    """Give `audit`, `audit_reader` and `audit_retention`, which exist, their rights and no others. Safe to repeat.

    `connection` belongs to the owner, after the migrations.
    """
    async with connection.transaction():
        await connection.execute(Path(__file__).with_name("grants.sql").read_text(encoding="utf-8"))
