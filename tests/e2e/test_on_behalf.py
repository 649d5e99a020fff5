"""Agents read the warehouse with tokens of the identity service, for the task in hand, and the warehouse says so."""

from __future__ import annotations

import json
import re
import signal
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.app import IDENTITY, WAREHOUSE_AUDIENCE
from switchyard.devstack.identity.exchange import CLIENTS_FILE
from switchyard.devstack.stack.identity import EXCHANGE
from switchyard.devstack.stack.provision import OBJECT_BUCKET
from tests.e2e.conftest import Deployment
from tests.reference import consumers

pytestmark = pytest.mark.e2e
WORK_DB = "SWITCHYARD_WORK_DB_OWNER_URL"
TOKEN = re.compile(r"eyJ|Bearer")
"""How a JWT begins, and what comes before one in a header."""


def queries_of(deployment: Deployment, case_id: str) -> list[dict[str, Any]]:
    """The warehouse's query history of a case."""
    url = f"http://127.0.0.1:{deployment.stack.ports()['warehouse']}/queries"
    with urllib.request.urlopen(url, timeout=5) as answer:
        queries = json.load(answer)["queries"]
    return [each for each in queries if json.loads(each["query_tag"])["case"] == case_id]


async def accesses_of(deployment: Deployment, case_id: str) -> list[dict[str, Any]]:
    """What the log says about credentials that the case's steps used."""
    return [access for event in await deployment.events(case_id) for access in event.get("access") or ()]


async def test_warehouse_and_audit_log_name_the_same_user_agent_and_token(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e wells by basin", role="FIELD_PERMIAN")])
    assert (await deployment.closed([case]))[case]["outcome"] == "answered"
    await deployment.settled([case])
    [access] = await accesses_of(deployment, case)
    [query] = queries_of(deployment, case)
    assert (query["jti"], query["role"]) == (access["jti"], "FIELD_PERMIAN")
    assert (access["audience"], access["scopes"]) == (WAREHOUSE_AUDIENCE, ["session:role:FIELD_PERMIAN"])
    assert json.loads(query["query_tag"]) == {"case": case, "agent": "text_to_sql", "user": access["subject"]}
    # The exchange names both by the ids that it gave to its clients.
    clients = json.loads((Path(deployment.stack.endpoints.home) / "identity" / "exchange" / CLIENTS_FILE).read_text())
    assert query["user"] == f"client:{clients['upstream.cli']['id']}"
    assert query["actor"].endswith(clients["text_to_sql"]["id"])


async def test_same_statement_returns_other_rows_in_another_role(deployment: Deployment) -> None:
    roles = ("FIELD_PERMIAN", "FIELD_WILLISTON")
    cases = await deployment.submit([deployment.question("e2e wells by basin", role=role) for role in roles])
    await deployment.closed(cases)
    statements = {query["sql"] for case in cases for query in queries_of(deployment, case)}
    assert len(statements) == 1
    texts = [(await deployment.answer(case))["text"] for case in cases]
    assert "Permian" in texts[0]
    assert "Permian" not in texts[1]


async def test_source_without_a_grant_reads_nothing(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e wells by basin")], source="upstream.stranger")
    ended = (await deployment.closed([case]))[case]
    assert (ended["outcome"], ended["code"], ended["node"]) == ("failed", "grant_unknown", "text_to_sql")
    assert queries_of(deployment, case) == []


def asks_the_exchange(deployment: Deployment) -> bool:
    """Whether the identity service waits for an answer of the token exchange now."""
    port = deployment.stack.ports()[EXCHANGE]
    pid = pid_of(deployment, IDENTITY)
    return any(each.raddr and each.raddr.port == port for each in psutil.Process(pid).net_connections("tcp"))


def pid_of(deployment: Deployment, name: str) -> int:
    [pid] = [row.pid for row in deployment.stack.status() if row.name == name]
    assert pid is not None
    return pid


async def test_identity_service_killed_mid_exchange_costs_no_attempt_and_no_case(deployment: Deployment) -> None:
    # A new process has no token in its memory, so it has to ask the exchange, which does not answer for now.
    await deployment.kill(IDENTITY)
    await deployment.do(deployment.stack[IDENTITY].ready(restarts=1))
    exchange = psutil.Process(pid_of(deployment, EXCHANGE))
    exchange.send_signal(signal.SIGSTOP)
    try:
        cases = await deployment.submit(
            [deployment.question(f"e2e wells by basin {n}", agent="text_to_sql") for n in range(6)]
        )

        async def asking() -> bool | None:
            return asks_the_exchange(deployment) or None

        await deployment.until(asking, seconds=30, what="an exchange in progress")
        await deployment.kill(IDENTITY)
    finally:
        exchange.send_signal(signal.SIGCONT)
    closed = await deployment.closed(cases, seconds=90)
    assert {payload["outcome"] for payload in closed.values()} == {"answered"}
    rows = await deployment.rows(
        "select case_id::text, failures from text_to_sql.inbox where case_id = any($1::uuid[])", cases, database=WORK_DB
    )
    assert {row["failures"] for row in rows} == {0}, "an unreachable identity service was counted as an attempt"
    await deployment.settled(cases, seconds=40)
    found = await deployment.rows(
        "select case_id::text from audit.transition where transition = 'FindingsReady' and case_id = any($1::uuid[])",
        cases,
    )
    assert Counter(row["case_id"] for row in found) == Counter(cases)
    assert await deployment.findings(cases) == []


async def test_no_token_is_in_events_logs_queues_objects_or_tables(deployment: Deployment) -> None:
    cases = await deployment.submit([deployment.question("e2e wells by basin"), deployment.question("e2e outage")])
    await deployment.closed(cases)
    await deployment.settled(cases)
    home = Path(deployment.stack.endpoints.home)
    logs = [file for file in (home / "logs").iterdir() if TOKEN.search(file.read_text(errors="replace"))]
    assert logs == []
    assert [table async for table in tables_with(deployment, TOKEN)] == []
    async with deployment.client("s3") as s3:
        pages = [page async for page in s3.get_paginator("list_objects_v2").paginate(Bucket=OBJECT_BUCKET)]
        keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
        for key in keys:
            body = await (await s3.get_object(Bucket=OBJECT_BUCKET, Key=key))["Body"].read()
            assert not TOKEN.search(body.decode(errors="replace")), key
    async with deployment.client("sqs") as sqs:
        for consumer in consumers():
            url = (await sqs.get_queue_url(QueueName=consumer.dead_letter_queue))["QueueUrl"]
            received = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
            assert not [each for each in received.get("Messages", ()) if TOKEN.search(each["Body"])]


async def tables_with(deployment: Deployment, pattern: re.Pattern[str]) -> AsyncIterator[tuple[str, str]]:
    """The tables of both databases in which a row's text matches, with what matched."""
    for database in (WORK_DB, "SWITCHYARD_AUDIT_DB_OWNER_URL"):
        tables = await deployment.rows(
            "select format('%I.%I', schemaname, tablename) as name from pg_tables"
            " where schemaname not in ('pg_catalog', 'information_schema')",
            database=database,
        )
        assert len(tables) > 3
        for table in tables:
            rows = await deployment.rows(
                f"select t::text as line from {table['name']} t where t::text ~ $1 limit 1",
                pattern.pattern,
                database=database,
            )
            for row in rows:
                yield table["name"], row["line"][:200]
