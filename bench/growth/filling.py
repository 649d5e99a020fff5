"""A log of any size, loaded by COPY and valid throughout: digests, ids, MACs, log indexes and checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import asyncpg

from contracts.catalogue import CATALOGUE
from switchyard.audit.records.projection import Transition, examine_message
from switchyard.audit.records.roles import SCHEMA
from switchyard.audit.records.row_mac import MacKeys
from switchyard.audit.records.store import authentic_row
from switchyard.audit.transparency.checkpoint import Leaf
from switchyard.audit.transparency.checkpointer import Checkpointer
from switchyard.audit.transparency.transparency_log import TransparencyLog
from switchyard.runtime.core.clock import SystemClock
from tests.integration.audit.many import many_bodies

ROWS_AT_ONCE = 9_000
"""Rows of one COPY and of one checkpoint; whole cases of nine."""

STEP = timedelta(minutes=6)
"""Longer than two clocks may be apart, so that each batch is recorded after the checkpoint of the one before."""

_ENTRY = tuple(Leaf.__dataclass_fields__)
_PARENTS = Transition._fields.index("parents")


@dataclass
class LoadingClock(SystemClock):
    """The time at which the next batch is recorded: one is `STEP` after the other, all in the past."""

    at: datetime

    def now(self) -> datetime:
        """That time."""
        return self.at


def clock_before(now: datetime, rows: int) -> LoadingClock:
    """The clock of a log of so many rows that has grown until shortly before `now`."""
    return LoadingClock(now - STEP * (rows // ROWS_AT_ONCE + 2))


async def load_log(
    owner: asyncpg.Connection[Any], log: TransparencyLog, keys: MacKeys, checkpointer: Checkpointer, *, rows: int
) -> None:
    """Fill an empty log with rows, as the service would have written them, each batch under a checkpoint.

    `owner` owns the database; the clock of `keys` and of `checkpointer` is one `LoadingClock`. The row comes from the
    product's own reading of the text, and the checkpoint from its checkpointer, which checks each MAC again.
    """
    clock = keys.clock
    if not isinstance(clock, LoadingClock):
        raise TypeError("keys: expected the clock of a log that grows in the past")
    texts = many_bodies(rows // 9, opened=clock.now())
    await owner.execute("alter table transition disable trigger queued")
    for start in range(0, rows, ROWS_AT_ONCE):
        batch = list(islice(texts, ROWS_AT_ONCE))
        clock.at += STEP
        key, recorded_at = await keys.serving(), clock.now()
        written, entries = [], []
        for log_index, text in enumerate(batch, start + 1):
            row = examine_message(CATALOGUE, text).row
            if row is None:
                raise ValueError("the text is no event")
            content = authentic_row(row)
            mac = key.mac(content)
            written.append((*row[:_PARENTS], list(row.parents), *row[_PARENTS + 1 :], recorded_at, mac, key.key_id))
            identity = (log_index, row.opened_on, row.event_id, row.transcript_hash)
            entries.append((*identity, recorded_at, content.body_sha256, mac, key.key_id))
        columns = (*Transition._fields, "recorded_at", "mac", "mac_key")
        await owner.copy_records_to_table("transition", schema_name=SCHEMA, columns=columns, records=written)
        await owner.copy_records_to_table("log_entry", schema_name=SCHEMA, columns=_ENTRY, records=entries)
        while await checkpointer.write_if_due(log, now=True):
            pass
    await owner.execute("alter table transition enable always trigger queued")
    await owner.execute("analyze transition, log_entry")
