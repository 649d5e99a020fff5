"""A log of any size: one real case, recorded as audit records it, and copies of it under other ids, by COPY."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg

from contracts.catalogue import CATALOGUE
from contracts.events.router import ChooseAgent
from contracts.events.triage import AgentChosen
from switchyard.audit.records.roles import SCHEMA
from switchyard.audit.records.store import AuditStore
from switchyard.audit.transparency.transparency_log import TransparencyLog
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.events.router import CloseCase
from switchyard.protocol.fields import Json
from switchyard.runtime.database.connections import Pool
from tests.integration.audit.proof import mac_keys
from tests.unit.audit import cases

DAYS = 60
"""Over how many days the cases are spread, the last one today."""

TENANTS = 7
_FAILED_EVERY = 50


def long_case(events: int, number: int = 1_000_003) -> list[Json]:
    """A case of this many events, that of its ending included."""
    made = [cases.first(number)]
    while len(made) < events - 2:
        asks = len(made) % 2 == 1
        payload = ChooseAgent(question=cases.QUESTION) if asks else AgentChosen(agent="text_to_sql")
        more: dict[str, Any] = {"time_limit_ms": 30_000} if asks else {"model_call": cases.CALL}
        made.append(
            cases.follow(made[-1], payload, "router" if asks else "triage", state={"step": str(len(made))}, **more)
        )
    made.append(cases.follow(made[-1], CloseCase(outcome="answered", code="answered"), "router"))
    return [*made, cases.follow(made[-1], CaseClosed(outcome="answered", code="answered"), "case_manager")]


async def record_cases(pool: Pool, *events: list[Json]) -> None:
    """Record cases as the audit service does, with their log indexes. `pool` is the writer's."""
    keys = mac_keys(pool)
    await AuditStore(pool, CATALOGUE, keys).record([text for case in events for text in cases.bodies(case)])
    async with TransparencyLog.open(pool, keys) as log:
        await log.index_rows(10_000)


async def fill_log(owner: asyncpg.Connection[Any], template: list[Json], rows: int, now: datetime) -> int:
    """Add copies of a recorded case until the log has about this many rows; how many were added. `owner` owns it."""
    source = await owner.fetch(
        f"select * from {SCHEMA}.transition where case_id = $1 order by seq",  # noqa: S608 - a constant
        uuid.UUID(template[0]["case_id"]),
    )
    columns = list(source[0].keys())
    copies = rows // len(source)
    for first in sorted({(now - timedelta(days=back)).date().replace(day=1) for back in range(DAYS + 1)}):
        await _add_partition(owner, first)
    await owner.execute("alter table audit.transition disable trigger queued")
    records = _copies([dict(row) for row in source], copies, now)
    ordered = ([record[name] for name in columns] for record in records)
    await owner.copy_records_to_table("transition", schema_name=SCHEMA, columns=columns, records=ordered)
    await owner.execute("alter table audit.transition enable always trigger queued")
    await owner.execute(
        """
        insert into audit.log_entry (log_index, opened_on, event_id, digest, recorded_at, body_sha256, mac, mac_key)
        select (select coalesce(max(log_index), 0) from audit.log_entry)
            + row_number() over (order by t.recorded_at, t.event_id),
          t.opened_on, t.event_id, t.transcript_hash, t.recorded_at, sha256(convert_to(t.body, 'UTF8')),
          t.mac, t.mac_key
        from audit.transition t
        where not exists (
          select from audit.log_entry e where e.opened_on = t.opened_on and e.event_id = t.event_id)
        """
    )
    while await owner.fetchval("select audit.refresh_figures(50000)"):
        pass
    await owner.execute("vacuum analyze audit.case_figures")
    await owner.execute("vacuum analyze audit.step_figures")
    await owner.execute("vacuum analyze audit.transition")
    await owner.execute("vacuum analyze audit.log_entry")
    return copies * len(source)


async def _add_partition(owner: asyncpg.Connection[Any], first: date) -> None:
    name = f"audit.transition_{first:%Y_%m}"
    if await owner.fetchval("select to_regclass($1)", name) is None:
        after = (first + timedelta(days=32)).replace(day=1)
        await owner.execute(
            f"create table {name} partition of audit.transition for values from ('{first}') to ('{after}')"
        )


def _copies(source: list[dict[str, Any]], count: int, now: datetime) -> Iterator[dict[str, Any]]:
    opened, step = source[0]["event_ts"], timedelta(days=DAYS) / max(count, 1)
    known = str(source[0]["case_id"])
    for number in range(count):
        case = uuid.uuid4()
        back = opened - (now - step * (count - number))
        failed = number % _FAILED_EVERY == 0
        for row in source:
            at = row["event_ts"] - back
            copy = row | {
                "case_id": case,
                "event_id": uuid.uuid4(),
                "opened_on": (opened - back).date(),
                "event_ts": at,
                "recorded_at": at,
                "tenant": f"tenant-{number % TENANTS}",
                "session_id": f"s-{number // 3}",
                "principal_sub": f"user:{number % 1_000}",
                "body": row["body"].replace(known, str(case)),
            }
            if failed and row["terminal"]:
                copy["outcome"] = "failed"
            if failed and row["transition"] == "FindingsReady":
                copy |= {"transition": "TaskFailed"}
            yield copy
