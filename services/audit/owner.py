"""Who owns the audit schema, and who may do what in it. Used when the database is migrated, never at run time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg

from runtime.migrate import Owner
from runtime.queries import beside

SCHEMA = "audit"
WRITER = "audit"
"""The service's role: it inserts and selects."""

READER = "audit_reader"
"""The reviewer's and the command line's role: it selects."""

RETENTION = "audit_retention"
"""The operators' role for retention and erasure: it holds cases and takes bodies out against receipts."""


def audit_owner() -> Owner:
    """The schema, its migrations and the service's role. The schema's name is fixed: grants and functions name it."""
    return Owner(SCHEMA, (Path(__file__).with_name("migrations"),), WRITER)


async def grant(connection: asyncpg.Connection[Any]) -> None:
    """Give `audit`, `audit_reader` and `audit_retention`, which exist, their rights and no others. Safe to repeat.

    `connection` belongs to the owner, after the migrations.
    """
    async with connection.transaction():
        await connection.execute(beside(__file__)["grant"])
        for more in ("retention.sql", "erasure.sql", "questions.sql"):
            await connection.execute(beside(__file__, more)["grant"])
