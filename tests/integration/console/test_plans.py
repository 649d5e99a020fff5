"""Lists of a large log are read through indexes: no plan of the console's statements scans a month of the log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from bench.console.large_log import DAYS, fill_log, long_case, record_cases
from switchyard.audit.records.roles import READER, SCHEMA, WRITER
from switchyard.console import approvals, case_detail, case_list, failures, switches, tail
from switchyard.console.case_list import MAX_COUNTED, PAGE_SIZE, CaseFilter
from switchyard.console.failures import FAILURE_DAYS, MAX_FAILURES
from switchyard.processes.console import READ_ONLY
from switchyard.processes.databases import migrate_audit
from switchyard.runtime.database.connections import connect_pool
from switchyard.runtime.database.queries import load_queries
from tests.integration.infrastructure import Infrastructure, password
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
DATABASE = "audit_plans"
ROWS = 30_000
SMALL = 500
"""Rows of a partition that may be scanned: an index is no help there."""


@pytest.fixture(scope="module")
def log_url(infrastructure: Infrastructure) -> str:
    """A log with many rows, whose address is the reader's."""

    async def make() -> str:
        admin = await asyncpg.connect(infrastructure.owner_url("postgres"))
        await admin.execute(f"drop database if exists {DATABASE} with (force)")
        await admin.execute(f"create database {DATABASE}")
        await admin.close()
        await migrate_audit(infrastructure.owner_url(DATABASE), password_for=password)
        _, _, place = infrastructure.owner_url(DATABASE).partition("@")
        template = cases.answered(0)
        writer = await connect_pool(f"postgresql://{WRITER}:{password(WRITER)}@{place}", schema=SCHEMA)
        await record_cases(writer, template, long_case(40))
        await writer.close()
        owner = await asyncpg.connect(infrastructure.owner_url(DATABASE))
        await fill_log(owner, template, ROWS, datetime.now(UTC))
        await owner.close()
        return f"postgresql://{READER}:{password(READER)}@{place}"

    return asyncio.run(make())


@pytest.fixture
async def reader(log_url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(log_url, server_settings={"search_path": SCHEMA, **READ_ONLY})
    yield connection
    await connection.close()


async def scanned(connection: Any, statement: str, *arguments: Any) -> list[tuple[str, int]]:
    """What the statement really scanned from end to end, with the number of rows that it read there."""
    (row,) = await connection.fetch(f"explain (analyze, format json) {statement}", *arguments)
    pending, found = [json.loads(row[0])[0]["Plan"]], []
    while pending:
        node = pending.pop()
        pending += node.get("Plans", [])
        rows = node.get("Actual Rows", 0) + node.get("Rows Removed by Filter", 0)
        if node["Node Type"] == "Seq Scan" and rows > SMALL:
            found.append((node["Relation Name"], rows))
    return found


def wanted(query: Mapping[str, str]) -> CaseFilter:
    today = datetime.now(UTC).date()
    since = (today - timedelta(days=DAYS)).isoformat()
    return CaseFilter.parse({"since": since, **query}, today)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"tenant": "tenant-3"},
        {"session": "s-90"},
        {"user": "user:17"},
        {"user": "00000000-0000-4000-8000-000000000000"},
        {"case": "ab12"},
        {"agent": "drafter"},
        {"model": "claude-test"},
        {"model": "no-such-model"},
        {"reason": "no_such_reason"},
        {"outcome": "failed"},
        {"outcome": "open"},
        {"tenant": "tenant-3", "outcome": "failed", "agent": "triage"},
    ],
    ids=str,
)
async def test_list_of_cases_is_read_through_indexes(reader: Any, query: dict[str, str]) -> None:
    sql, asked = load_queries(case_list.__file__), wanted(query)
    of_one = asked.arguments(("tenant-3",))
    assert await scanned(reader, sql["page"], *of_one, asked.outcome, None, None, None, PAGE_SIZE + 1) == []
    assert await scanned(reader, sql["counts"], *of_one, MAX_COUNTED) == []
    first = await reader.fetch(sql["page"], *asked.arguments(None), asked.outcome, None, None, None, PAGE_SIZE + 1)
    assert await scanned(reader, sql["counts"], *asked.arguments(None), MAX_COUNTED) == []
    keys: list[tuple[Any, ...]] = [(None, None, None)]
    if first:
        keys.append((first[-1]["opened_on"], first[-1]["opened_at"], first[-1]["case_id"]))
        shown = ([row["opened_on"] for row in first], [row["case_id"] for row in first])
        assert await scanned(reader, sql["summaries"], *shown) == []
    for key in keys:
        assert await scanned(reader, sql["page"], *asked.arguments(None), asked.outcome, *key, PAGE_SIZE + 1) == []


async def test_case_and_its_history_are_read_through_indexes(reader: Any) -> None:
    case_id = UUID(long_case(40)[0]["case_id"])
    sql = load_queries(case_detail.__file__)
    assert len(await reader.fetch(sql["steps"], case_id)) == 40
    assert await scanned(reader, sql["steps"], case_id) == []
    about = load_queries(approvals.__file__)
    assert await scanned(reader, about["verdicts"], case_id, "0" * 64) == []
    assert await scanned(reader, about["history"], case_id, "acme", case_id) == []


async def test_failures_switches_and_tail_are_read_through_indexes(reader: Any) -> None:
    now = datetime.now(UTC)
    since = now.date() - timedelta(days=FAILURE_DAYS - 1)
    failed = load_queries(failures.__file__)["failed_cases"]
    assert await scanned(reader, failed, since, now.date(), None, None, None, None, MAX_FAILURES + 1) == []
    calls = load_queries(switches.__file__)["model_calls"]
    assert await scanned(reader, calls, now.date(), now - timedelta(hours=1), None) == []
    follow = load_queries(tail.__file__)
    newest = await reader.fetchval(follow["newest"])
    assert newest >= ROWS - 9
    assert await scanned(reader, follow["newest"]) == []
    assert await scanned(reader, follow["after"], newest - 500, 500) == []
