"""Agents read the warehouse with tokens of the identity service, for the task in hand, and the warehouse says so."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.app import IDENTITY, WAREHOUSE_AUDIENCE
from switchyard.devstack.identity.exchange import CLIENTS_FILE
from switchyard.devstack.stack.identity import EXCHANGE
from switchyard.devstack.stack.provision import OBJECT_BUCKET
from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e
WORK_DB = "SWITCHYARD_WORK_DB_OWNER_URL"


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


async def test_source_that_configuration_gives_nothing_opens_no_case(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e wells by basin")], source="upstream.stranger")

    async def rejection() -> dict[str, Any] | None:
        rows = await deployment.rows("select body from audit.transition where transition = 'SubmissionRejected'")
        found = [json.loads(row["body"])["detail"]["payload"] for row in rows]
        return next((each for each in found if each["submitted_by"] == "upstream.stranger"), None)

    rejected = await deployment.until(rejection, seconds=20, what="the rejection")
    assert rejected["code"] == "not_authorised"
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


async def test_no_token_is_in_events_logs_spans_queues_objects_artefacts_or_tables(deployment: Deployment) -> None:
    asked = (deployment.question("e2e wells by basin"), deployment.question("e2e delete everything"))
    cases = await deployment.submit(asked)
    await deployment.closed(cases)
    await deployment.settled(cases)

    async def spans() -> bool | None:
        received = Path(deployment.stack.endpoints.home) / "spans" / "received"
        return (received.exists() and cases[0].encode() in received.read_bytes()) or None

    await deployment.until(spans, seconds=20, what="spans of the cases")
    assert await deployment.leaks() == []


async def test_token_that_is_left_anywhere_is_found(deployment: Deployment) -> None:
    token = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJlLW9mLWFuYQ"
    log = Path(deployment.stack.endpoints.home) / "logs" / "planted.log.1"
    row = "insert into text_to_sql.latency_snapshot values (gen_random_uuid(), now(), $1)"
    removal = "delete from text_to_sql.latency_snapshot where snapshot = $1"
    async with deployment.client("s3") as s3:
        try:
            log.write_text(f"Traceback: {token}")
            await deployment.rows(row, token, database=WORK_DB)
            await s3.put_object(Bucket=OBJECT_BUCKET, Key="planted", Body=token.encode())
            places = {place for place, _ in await deployment.leaks()}
        finally:
            log.unlink()
            await deployment.rows(removal, token, database=WORK_DB)
            await s3.delete_object(Bucket=OBJECT_BUCKET, Key="planted")
    assert {str(log), "text_to_sql.latency_snapshot", f"s3://{OBJECT_BUCKET}/planted"} <= places
