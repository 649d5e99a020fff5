"""Writing to the log: each event once, in batches. A message that cannot be a row is kept as an alarm."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import asyncpg
import structlog

from switchyard.audit.records.projection import AlarmKind, IntegrityAlarm, Transition, build_alarm, examine_message
from switchyard.audit.records.roles import AUDIT_DATABASE
from switchyard.audit.records.row_mac import AuthenticRow, MacKey, MacKeys
from switchyard.protocol.catalogue import Catalogue
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)
PARTITION_INTERVAL_S = 3_600.0
_PARENTS = Transition._fields.index("parents")

_ROW_ERRORS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)
"""Errors of PostgreSQL about a row. Others (no space, no right, no table) are not caused by the row."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of a batch. `refused` are the indices of the messages that the database rejected."""

    inserted: int = 0
    duplicates: int = 0
    alarms: int = 0
    refused: tuple[int, ...] = ()


class AuditStore:
    """Writes to the log. Every method raises `Unavailable` when the database cannot be reached.

    `keys` authenticate each row.
    """

    def __init__(self, pool: Pool, catalogue: Catalogue, keys: MacKeys) -> None:
        self._database = Database(pool, AUDIT_DATABASE, _SQL)
        self._catalogue = catalogue
        self._keys = keys

    async def record(self, bodies: Sequence[str]) -> BatchResult:
        """Write the messages to the log, committed on return. Repeating it changes nothing.

        One statement for all rows; if the database rejects it, one per row, so that a rejected row stops no other. A
        message that cannot be a row is kept as an alarm, with its bytes and the reason; also while no key can be had,
        for which the rows wait with `Unavailable`.
        """
        examined = [examine_message(self._catalogue, body) for body in bodies]
        alarms = [found.alarm for found in examined if found.alarm is not None]
        rows = {index: found.row for index, found in enumerate(examined) if found.row is not None}
        refused: list[int] = []
        if not rows:
            return BatchResult(alarms=await self._keep(alarms))
        try:
            key = await self._keys.serving()
        except Unavailable:
            await self._keep(alarms)
            raise
        try:
            inserted, differing = await self._insert(list(rows.values()), key)
        except _ROW_ERRORS:
            inserted, differing = 0, []
            for index, row in rows.items():
                try:
                    one, differs = await self._insert([row], key)
                except _ROW_ERRORS as error:
                    log.error("row.refused", alarm="audit", error=type(error).__name__, event_id=row.event_id)  # noqa: TRY400 - the text may quote the row
                    refused.append(index)
                    # Kept at once, before the queue drops it; the message still returns to the queue, because the error
                    # may lie with the database.
                    reason = f"the database rejected the row ({type(error).__name__}, SQLSTATE {error.sqlstate})"
                    alarms.append(build_alarm(AlarmKind.UNSTORABLE, row.body, reason))
                    continue
                inserted += one
                differing += differs
        raised = await self._keep([*alarms, *differing])
        return BatchResult(inserted, len(rows) - inserted - len(refused), raised, tuple(refused))

    async def ensure_partitions(self, months_ahead: int = 3) -> list[tuple[str, str]]:
        """Create the missing partitions; return the name and `created`, `busy` or `blocked` of each."""
        rows = await self._database.rows("ensure_partitions", months_ahead)
        return [(row["partition_name"], row["state"]) for row in rows]

    async def _insert(self, rows: list[Transition], key: MacKey) -> tuple[int, list[IntegrityAlarm]]:
        """Insert the new rows; return how many, and an alarm for each duplicate that differs from the log."""
        # One order for all workers: otherwise two of them with the same duplicates would deadlock.
        rows = sorted(rows, key=lambda row: (row.opened_on, row.event_id))
        columns = [list(column) for column in zip(*rows, strict=True)]
        columns[_PARENTS] = [",".join(row.parents) for row in rows]
        macs = [key.mac(authentic_row(row)) for row in rows]
        inserted = await self._database.rows("record", *columns, macs, [key.key_id] * len(rows))
        if unplanned := sum(row["unplanned"] for row in inserted):
            log.error("partition.missing", alarm="partition", rows=unplanned, first_day=str(rows[0].opened_on))
        if len(inserted) == len(rows):
            return len(inserted), []
        return len(inserted), await self._differing(rows, {(row["opened_on"], row["event_id"]) for row in inserted})

    async def _differing(self, rows: list[Transition], inserted: set[tuple[object, str]]) -> list[IntegrityAlarm]:
        # Of two rows of a batch with one key the statement inserted one; the digest shows which.
        keys = [(row.opened_on, row.event_id) for row in rows]
        often = Counter(keys)
        doubtful = [row for row, key in zip(rows, keys, strict=True) if often[key] > 1 or key not in inserted]
        days, ids = [row.opened_on for row in doubtful], [row.event_id for row in doubtful]
        stored = await self._database.rows("digests_of", days, ids)
        known = {(row["opened_on"], row["event_id"]): row["transcript_hash"] for row in stored}
        alarms = []
        for row in doubtful:
            digest = known.get((row.opened_on, row.event_id))
            if digest is None:
                reason = "the database dropped the row; `audit reconcile --repair` has the event published again"
                alarms.append(build_alarm(AlarmKind.UNSTORABLE, row.body, reason))
            elif digest != row.transcript_hash:
                reason = "the log has another event with this id: one of the two is forged"
                alarms.append(build_alarm(AlarmKind.DUPLICATE_DIFFERS, row.body, reason, "event_id"))
        return alarms

    async def _keep(self, alarms: list[IntegrityAlarm]) -> int:
        """Store and log each alarm once; return how many are new."""
        if not alarms:
            return 0
        rows = await self._database.rows("keep_alarms", *map(list, zip(*map(astuple, alarms), strict=True)))
        new = {(row["kind"], row["body_sha256"]) for row in rows}
        for raised in {(found.kind, found.body_sha256): found for found in alarms}.values():
            if (raised.kind, raised.body_sha256) in new:
                fields = {name: getattr(raised, name) for name in ("event_id", "case_id", "reason", "field")}
                log.error("integrity.alarm", alarm="integrity", kind=str(raised.kind), **fields)
        return len(rows)


def authentic_row(row: Transition) -> AuthenticRow:
    """What a row's MAC covers. The row must have its body."""
    body_sha256 = hashlib.sha256(row.body.encode()).digest()
    return AuthenticRow(row.opened_on, row.event_id, row.transcript_hash, body_sha256)


async def make_partitions(store: AuditStore, months_ahead: int = 3) -> None:
    """Create the missing partitions; one that is not created raises an alarm.

    Raises `Unavailable` when the database cannot be reached or a lock delays a partition: repeat it soon.
    """
    made = await store.ensure_partitions(months_ahead)
    for name, state in made:
        if state == "created":
            log.info("partition.created", partition=name)
        else:
            log.error("partition.not_created", alarm="partition", partition=name, state=state)
    if any(state == "busy" for _, state in made):
        raise Unavailable("partition_busy", "a long read delays a new partition")
