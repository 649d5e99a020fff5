"""A hostile row that is already in the table stops no view, no verification and no case but its own."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeAlias

import asyncpg
import pytest

from switchyard.audit.export.bundle import Exporter
from switchyard.audit.reconciliation.reconciler import LogPresence
from switchyard.audit.records.store import AuditStore
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.audit.verification.findings import FindingKind
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.database.connections import Pool
from tests.integration.audit.proof import Proof
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
Owner: TypeAlias = "asyncpg.Connection[Any]"
OTHER = cases.answered(1)
TIMES = (
    "'0001-01-01'",
    "'9999-12-31 23:59:59.999999+00'",
    "'20000-01-01'",
    "'4000-01-01 BC'",
    "'infinity'",
    "'-infinity'",
)
COLUMNS = ("event_ts", "case_deadline", "bus_ts", "recorded_at")
BODIES = {
    "no JSON": "{",
    "NUL": '{"detail": {"payload": {"code": "\\u0000"}, "model_call": {"calls": "\\u0000"}}}',
    "a scalar": "5",
    "lists for objects": '{"detail": [], "source": []}',
    "texts for numbers": '{"detail": {"model_call": {"calls": "many", "input_tokens": [], "output_tokens": 1.5,'
    ' "loser_tokens": 99999999999999999999999, "role": "fallback",'
    ' "decision": {"attempts": 7}}, "payload": {"rules": 5}}}',
    "nested without end": '{"detail": ' + "[" * 200_000,
    "nested and closed": '{"detail": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "a number without end": '{"detail": {"payload": {"n": 1e131000}, "model_call": {"calls": 1e131000}}}',
    "a name twice": '{"detail": {"payload": {"code": "a"}}, "detail": {"payload": {"code": 1}}}',
    "no attempts": '{"detail": {"model_call": {"role": "fallback", "decision": {"attempts": [{"role": "primary",'
    ' "ended_ms": "x", "started_ms": {}}]}}}}',
}


async def copy_of(owner: Owner, **columns: str) -> None:
    """An ordinary INSERT of a row like a genuine one, with some columns of the owner's."""
    names = await owner.fetch(
        "select column_name from information_schema.columns"
        " where table_schema = 'audit' and table_name = 'transition' order by ordinal_position"
    )
    chosen = {row[0]: row[0] for row in names} | {"event_id": "gen_random_uuid()"} | columns
    await owner.execute(
        f"insert into transition ({', '.join(chosen)}) select {', '.join(chosen.values())} from transition"
        f" where event_id = '{cases.answered()[6]['event_id']}'"
    )


@pytest.fixture
async def log(store: AuditStore, proof: Proof) -> None:
    await store.record(cases.bodies([*cases.answered(), *OTHER]))
    await proof.checkpoint()


async def everything(reader: AuditReader, proof: Proof, url_pool: Pool, owner: Owner) -> set[FindingKind]:
    """Everything that reads the log; what verification finds."""
    await proof.index_rows()
    report, covered = await reader.verify(now=cases.NOW), await proof.verify()
    assert {found.case_id for found in report.findings} <= {cases.first()["case_id"], None}
    assert len(await reader.timeline(OTHER[0]["case_id"])) == len(OTHER)
    assert len(await reader.timeline(cases.first()["case_id"])) >= len(OTHER)
    assert len(await reader.list_cases()) == 2
    await LogPresence(url_pool).delivered_until(cases.NOW)
    exporter = Exporter(url_pool, proof.objects, [], log=proof.log)
    bundle, _ = await exporter.export(OTHER[0]["case_id"])
    assert len(bundle["events"]) == len(OTHER)
    with suppress(PermanentTaskError):
        await exporter.export(cases.first()["case_id"])
    views = await owner.fetch("select table_name from information_schema.views where table_schema = 'audit'")
    assert len(views) >= 10
    for (view,) in views:
        # Callers' events are the API's to read, and no reviewer's.
        reads = owner if view == "caller_event" else url_pool
        await reads.fetch(f"select v::text from audit.{view} v")
    # As a client reads them: each value must be one that Python can hold.
    for view in ("case_timeline", "case_summary", "transition_detail", "transition_states", "failovers"):
        await url_pool.fetch(f"select * from {view}")
    return {found.kind for found in (*report.findings, *covered.findings)}


@pytest.fixture
def pool(proof: Proof) -> Pool:
    """What a reviewer reads with."""
    return proof._reading


@pytest.mark.parametrize("column", COLUMNS)
async def test_row_with_an_unreadable_time_is_a_finding_and_the_rest_is_read(
    log: None, reader: AuditReader, proof: Proof, pool: Pool, owner: Owner, column: str
) -> None:
    for time in TIMES:
        await copy_of(owner, **{column: f"timestamptz {time}"})

    assert FindingKind.ROW_UNINDEXED in await everything(reader, proof, pool, owner)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_row_with_a_hostile_body_is_a_finding_and_the_rest_is_read(
    log: None, reader: AuditReader, proof: Proof, pool: Pool, owner: Owner, body: str
) -> None:
    text = "'" + body.replace("'", "''") + "'"
    await copy_of(owner, body=text)
    await copy_of(owner, body=text, model_id="'m'", terminal="true", transition="'ApprovalGranted'")

    found = await everything(reader, proof, pool, owner)

    assert {FindingKind.ROW_UNINDEXED, FindingKind.UNREADABLE} <= found


@pytest.mark.parametrize(
    "columns",
    [
        {"parents": "array[array['a', 'b'], array['c', 'd']]"},
        {"parents": "array[null, repeat('a', 64)]::text[]"},
        {"parents": "'[-5:-4]={a,b}'::text[]"},
        {"siblings": "2147483647"},
        {"siblings": "-2147483648"},
        {"seq": "-9223372036854775808", "ordinal": "9223372036854775807"},
        {"terminal": "true", "outcome": "repeat('x', 2000)", "tenant": "chr(1) || chr(55296 - 1)"},
        {"type_version": "-1", "model_id": "''", "latency_ms": "-9223372036854775808", "rubric_score": "2147483647"},
        {"latency_ms": "9223372036854775807", "model_id": "'m'"},
        {"time_limit_ms": "9223372036854775807"},
        {"time_limit_ms": "-9223372036854775808"},
        {"playbook_version": "'/'", "principal_sub": "''", "node_from": "''", "node_to": "''", "transition": "''"},
        {"transcript_hash": "''", "mac": "''"},
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("body", ["body", "''"], ids=["genuine body", "empty body"])
async def test_row_with_hostile_columns_is_a_finding_and_the_rest_is_read(
    log: None, reader: AuditReader, proof: Proof, pool: Pool, owner: Owner, columns: dict[str, str], body: str
) -> None:
    await copy_of(owner, body=body, **columns)

    assert FindingKind.ROW_UNINDEXED in await everything(reader, proof, pool, owner)


async def test_hostile_receipt_and_entry_stop_no_verification(
    log: None, reader: AuditReader, proof: Proof, pool: Pool, owner: Owner
) -> None:
    await owner.execute("alter table retention_receipt disable trigger admit")
    for number, statement in enumerate(
        ('{"events": 5}', '{"events": [{"event_id": "x", "parents": 7}]}', '{"a": "\\u0000"}')
    ):
        await owner.execute(
            "insert into retention_receipt (opened_on, case_id, part, statement, key, signature)"
            " values ('infinity', $1, $2, $3, '', '')",
            cases.first()["case_id"], number + 1, statement,
        )  # fmt: skip
    await owner.execute(
        "insert into log_entry (log_index, opened_on, event_id, digest, recorded_at, body_sha256, mac, mac_key)"
        " values (19, '-infinity', gen_random_uuid(), '', 'infinity', '', '', gen_random_uuid())"
    )

    found = await everything(reader, proof, pool, owner)

    assert {FindingKind.FORGED_RECEIPT, FindingKind.ROW_MISSING} <= found


DEEP = '{"events": ' + "[" * 3_000 + "]" * 3_000 + "}"


@pytest.mark.parametrize(
    ("statement", "arguments"),
    [
        ("insert into retention_receipt (opened_on, case_id, part, statement, key, signature)"
         " values ('2026-07-01', $1, 1, $2, '', '')", (cases.first()["case_id"], DEEP)),
        ("insert into retention_receipt (opened_on, case_id, part, statement, key, signature)"
         " values ('4000-01-01 BC', $1, 1, $2, '', '')", (cases.first()["case_id"], '{"events": [[]]}')),
        ("insert into erasure_receipt (receipt_id, subject, statement, key, signature)"
         " values (gen_random_uuid(), $1, $2, '', '')", (cases.first()["case_id"], DEEP)),
        ("insert into mac_key (key_id, not_before, not_after, wrapped)"
         " values ($1, '4000-01-01 BC', 'infinity', $2)", (cases.first()["case_id"], b"")),
        ("insert into checkpoint (log, number, first_index, last_index, body, signature)"
         " values ('main', 9223372036854775807, 9223372036854775806, 9223372036854775807, $2, $1)", (b"", DEEP)),
        ("insert into integrity_alarm (kind, reason, body, body_sha256, recorded_at)"
         " values ('malformed', $2, $2, $1, '4000-01-01 BC')", (b"", DEEP)),
        ("insert into retention_policy (playbook, effective_from, keep_for, citation, set_by)"
         " values ($1, '4000-01-01 BC', '178000000 years', $2, 'x')", ("assist", "x")),
        ("insert into partition_drop (partition_name, cases, events, dropped_at)"
         " values ($1, -1, -1, 'infinity')", ("transition_x",)),
    ],
    ids=["deep receipt", "old receipt", "deep erasure", "key of no time", "checkpoint", "alarm", "policy", "drop"],
)  # fmt: skip
async def test_hostile_row_of_another_table_stops_no_verification(
    log: None, reader: AuditReader, proof: Proof, pool: Pool, owner: Owner, statement: str, arguments: Any
) -> None:
    await owner.execute("alter table retention_receipt disable trigger admit")
    await owner.execute(statement, *arguments)
    if "mac_key" in statement:
        await copy_of(owner, mac_key=f"'{arguments[0]}'")

    await everything(reader, proof, pool, owner)
    await reader.alarms()
