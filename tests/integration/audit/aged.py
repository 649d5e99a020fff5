"""Time in the log: `recorded_at` is the database's own clock, so a test that needs an old case moves it as owner."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg

Owner: TypeAlias = "asyncpg.Connection[Any]"


async def age(owner: Owner) -> None:
    """Let every row have been recorded a second after it happened, as it would have been then."""
    await owner.execute("alter table transition disable trigger all")
    await owner.execute("update transition set recorded_at = event_ts + $1::interval", timedelta(seconds=1))
    await owner.execute(
        "update unindexed u set recorded_at = t.recorded_at from transition t"
        " where t.opened_on = u.opened_on and t.event_id = u.event_id"
    )
    await owner.execute("alter table transition enable trigger all")
    for trigger in ("append_only", "append_only_update", "append_only_truncate", "queued"):
        await owner.execute(f"alter table transition enable always trigger {trigger}")


async def make_month(owner: Owner, first_day: str) -> None:
    """A partition for a month in the past, as it was made ahead then."""
    name = f"transition_{first_day[:7].replace('-', '_')}"
    await owner.execute(f"create table {name} (like transition including all)")
    await owner.execute(
        f"create trigger append_only_truncate before truncate on {name}"
        " for each statement execute function refuse_change()"
    )
    await owner.execute(
        f"alter table transition attach partition {name} for values from ('{first_day}') to ('{_next(first_day)}')"
    )


def _next(first_day: str) -> str:
    year, month = int(first_day[:4]), int(first_day[5:7])
    return f"{year + month // 12:04d}-{month % 12 + 1:02d}-01"
