"""The numbers that dashboards read, brought up to date with the log. They are no evidence."""

from __future__ import annotations

from switchyard.audit.records.roles import AUDIT_DATABASE
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
FIGURES_INTERVAL_S = 5.0
BATCH_ENTRIES = 2_000


async def refresh_figures(pool: Pool, *, most: int = BATCH_ENTRIES) -> int:
    """Count every entry of the log that is new since the last time; how many there were. `pool` is the writer's.

    Raises `Unavailable`.
    """
    database, entries = Database(pool, AUDIT_DATABASE, _SQL), 0
    while found := int(await database.value("refresh", most)):
        entries += found
    return entries
