"""Writing to the log: once, in batches, and whatever cannot be written is kept as an alarm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import structlog

from switchyard.audit.records.projection import AlarmKind, IntegrityAlarm, Transition, build_alarm, examine_message
from switchyard.protocol.catalogue import Catalogue
from switchyard.runtime.database.connections import Pool, translate_errors
from switchyard.runtime.database.queries import load_queries

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)
_DATABASE = "the audit database"
_PARENTS = Transition._fields.index("parents")

_THE_ROWS_FAULT = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)
"""What PostgreSQL says about a row. Anything else (no space, no right, no table) is not the row's doing."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of a batch. `refused` are the indices of messages that the database would not take."""

    inserted: int = 0
    duplicates: int = 0
    alarms: int = 0
    refused: tuple[int, ...] = ()


class AuditStore:
    """The log, as its writer. Every method raises `Unavailable` when the database cannot be reached."""

    def __init__(self, pool: Pool, catalogue: Catalogue) -> None:
        self._pool = pool
        self._catalogue = catalogue

    async def record(self, bodies: Sequence[str]) -> BatchResult:
        """Write the messages to the log, committed on return. Repeating it changes nothing.

        One statement for all; if the database refuses a row, one for each, so that it stops no other. What cannot be
        a row is kept as an alarm, with its bytes and the reason.
        """
        examined = [examine_message(self._catalogue, body) for body in bodies]
        alarms = [found.alarm for found in examined if found.alarm is not None]
        rows = {index: found.row for index, found in enumerate(examined) if found.row is not None}
        refused: list[int] = []
        try:
            inserted, differing = await self._insert(list(rows.values()))
        except _THE_ROWS_FAULT:
            inserted, differing = 0, []
            for index, row in rows.items():
                try:
                    one, differs = await self._insert([row])
                except _THE_ROWS_FAULT as error:
                    log.error("row.refused", alarm="audit", error=type(error).__name__, event_id=row.event_id)  # noqa: TRY400 - the text may quote the row
                    refused.append(index)
                    # Set aside at once, before the queue forgets it; the message comes back all the same, because the
                    # database may be at fault and not the row.
                    reason = f"the database refused the row ({type(error).__name__}, SQLSTATE {error.sqlstate})"
                    alarms.append(build_alarm(AlarmKind.UNSTORABLE, row.body, reason))
                    continue
                inserted += one
                differing += differs
        raised = await self._keep([*alarms, *differing])
        return BatchResult(inserted, len(rows) - inserted - len(refused), raised, tuple(refused))

    async def ensure_partitions(self, months_ahead: int = 3) -> list[tuple[str, str]]:
        """Make the partitions that are missing; return the name and `created`, `busy` or `blocked` of each."""
        with translate_errors(_DATABASE):
            rows = await self._pool.fetch(_SQL["ensure_partitions"], months_ahead)
        return [(row["partition_name"], row["state"]) for row in rows]

    async def _insert(self, rows: list[Transition]) -> tuple[int, list[IntegrityAlarm]]:
        """Insert what is new; return how many, and an alarm for each that differs from what the log has."""
        if not rows:
            return 0, []
        # In one order everywhere: two workers with the same duplicates would else wait for each other.
        rows = sorted(rows, key=lambda row: (row.opened_on, row.event_id))
        columns = [list(column) for column in zip(*rows, strict=True)]
        columns[_PARENTS] = [",".join(row.parents) for row in rows]
        with translate_errors(_DATABASE):
            inserted = await self._pool.fetch(_SQL["record"], *columns)
        if unplanned := sum(row["unplanned"] for row in inserted):
            log.error("partition.missing", alarm="partition", rows=unplanned, first_day=str(rows[0].opened_on))
        if len(inserted) == len(rows):
            return len(inserted), []
        return len(inserted), await self._differing(rows, {(row["opened_on"], row["event_id"]) for row in inserted})

    async def _differing(self, rows: list[Transition], inserted: set[tuple[object, str]]) -> list[IntegrityAlarm]:
        # The statement took one of each key. Which of two in the same batch it was, the digest tells.
        often = Counter((row.opened_on, row.event_id) for row in rows)
        doubtful = [
            row
            for row in rows
            if often[row.opened_on, row.event_id] > 1 or (row.opened_on, row.event_id) not in inserted
        ]
        with translate_errors(_DATABASE):
            stored = await self._pool.fetch(
                _SQL["digests_of"], [row.opened_on for row in doubtful], [row.event_id for row in doubtful]
            )
        known = {(row["opened_on"], row["event_id"]): row["transcript_hash"] for row in stored}
        reason = "the log has another event under this id: one of the two is forged"
        return [
            build_alarm(AlarmKind.DUPLICATE_DIFFERS, row.body, reason, "event_id")
            for row in doubtful
            if known[row.opened_on, row.event_id] != row.transcript_hash
        ]

    async def _keep(self, alarms: list[IntegrityAlarm]) -> int:
        """Keep alarms and say so, once each; return how many are new."""
        if not alarms:
            return 0
        columns = (
            [raised.kind for raised in alarms],
            [raised.event_id for raised in alarms],
            [raised.case_id for raised in alarms],
            [raised.reason for raised in alarms],
            [raised.field for raised in alarms],
            [raised.body for raised in alarms],
            [raised.body_sha256 for raised in alarms],
        )
        with translate_errors(_DATABASE):
            rows = await self._pool.fetch(_SQL["keep_alarms"], *columns)
        new = {(row["kind"], row["body_sha256"]) for row in rows}
        for raised in {(found.kind, found.body_sha256): found for found in alarms}.values():
            if (raised.kind, raised.body_sha256) in new:
                log.error(
                    "integrity.alarm",
                    alarm="integrity",
                    kind=str(raised.kind),
                    event_id=raised.event_id,
                    case_id=raised.case_id,
                    reason=raised.reason,
                    field=raised.field,
                )
        return len(rows)
