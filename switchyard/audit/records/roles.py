"""The audit schema: its owner, its roles and what an application adds. Used by `switchyard migrate` only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from switchyard.protocol.catalogue import OutcomeClass
from switchyard.runtime.database.migrate import SchemaOwner
from switchyard.runtime.database.queries import load_queries

SCHEMA = "audit"
AUDIT_DATABASE = "the audit database"
"""What errors call it."""

WRITER = "audit"
"""The service's role: insert and select."""

READER = "audit_reader"
"""The role of reviewers and the command line: select."""

CALLERS = "audit_api"
"""The role of the API: it selects from the view of cases that users asked."""

RETENTION = "audit_retention"
"""The operators' role for retention and erasure: it places holds and removes bodies against receipts."""

_SQL = load_queries(__file__, "seeds.sql")


@dataclass(frozen=True, slots=True)
class PlaybookRetention:
    """How long an application keeps the cases of a playbook; see the comments on `audit.retention_policy`.

    Durations are PostgreSQL intervals, because laws count calendar years: "3 years".
    """

    playbook: str
    keep_for: str
    citation: str
    duty_for: str | None = None
    duty_counts_from: tuple[str, ...] = ()


def audit_owner() -> SchemaOwner:
    """The schema, its migrations and the service's role. The schema's name is fixed: grants and functions name it."""
    return SchemaOwner(SCHEMA, (Path(__file__).with_name("migrations"),), WRITER)


async def grant_audit_rights(connection: asyncpg.Connection[Any], views: Sequence[Path] = ()) -> None:
    """Create an application's views, and give the three roles exactly their rights. Safe to repeat.

    `connection` is the owner's, after the migrations. Each file of `views` drops, creates and grants its own views.
    """
    async with connection.transaction():
        for path in (Path(__file__).with_name("grants.sql"), *views):
            await connection.execute(path.read_text(encoding="utf-8"))
        await connection.execute("select audit.comment_pass_through_columns()")


async def seed_audit(
    connection: asyncpg.Connection[Any],
    *,
    outcome_classes: Mapping[str, OutcomeClass],
    retention_policies: Sequence[PlaybookRetention],
) -> None:
    """Store an application's outcome classes, and the policies of playbooks that have none yet. Safe to repeat.

    A policy that the database has is not replaced: operators change it with `switchyard audit retention policy`.
    """
    async with connection.transaction():
        await connection.executemany(_SQL["keep_outcome_class"], list(outcome_classes.items()))
        await connection.executemany(
            _SQL["keep_first_policy"],
            [
                (each.playbook, each.keep_for, each.duty_for, list(each.duty_counts_from), each.citation)
                for each in retention_policies
            ],
        )
