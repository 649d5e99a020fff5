"""The log against what was published: a lost event is found and filled by who published it; a late one is late."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from switchyard.audit.reconciliation.completeness import GapKind
from switchyard.audit.reconciliation.reconciler import ReconciliationReport
from switchyard.cli.commands.audit.reconcile import open_reconciler
from switchyard.protocol.topology import queue_name
from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e
SWITCHYARD = Path(sys.executable).with_name("switchyard")


GRACE = timedelta(seconds=4)


async def reconciled(deployment: Deployment) -> ReconciliationReport:
    """What `switchyard audit reconcile` finds."""
    async with open_reconciler(deployment.target, GRACE) as reconciler:
        return await reconciler.run(datetime.now(UTC) - timedelta(hours=1))


def ids(found: ReconciliationReport, kind: GapKind, cases: list[str]) -> set[str]:
    """The events of one kind in these cases."""
    return {gap.event_id for gap in found.of(kind) if gap.case_id in cases}


def _run(deployment: Deployment, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**deployment.target.environment, "SWITCHYARD_HOME": str(deployment.stack.home.folder)}
    command = [str(SWITCHYARD), "audit", "reconcile", "--since", "1h", "--grace", "4", "--wait", "30", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


async def case_manager_closed(deployment: Deployment, cases: list[str]) -> None:
    """Wait until the case manager has closed the cases: the log is not being written."""
    sql = "select count(*) as closed from case_manager.case_ending where case_id = any($1::uuid[])"

    async def all_of_them() -> bool | None:
        (row,) = await deployment.rows(sql, cases, database="SWITCHYARD_WORK_DB_OWNER_URL")
        return row["closed"] == len(cases) or None

    await deployment.until(all_of_them, seconds=40, what="cases closed by the case manager")


async def lose(deployment: Deployment, case: str, *types: str) -> set[str]:
    """Take messages out of audit's queue as if they had never arrived; the ids of their events."""
    lost: dict[str, str] = {}

    async with deployment.client("sqs") as sqs:
        url = (await sqs.get_queue_url(QueueName=queue_name("audit")))["QueueUrl"]
        kept: list[Any] = []

        async def lost_all() -> bool | None:
            answer = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=60)
            for message in answer.get("Messages", ()):
                event = json.loads(message["Body"])["detail"]
                if event["case_id"] == case and event["type"] in types:
                    await sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                    lost[event["type"]] = event["event_id"]
                else:
                    kept.append(message["ReceiptHandle"])
            return lost.keys() == set(types) or None

        await deployment.until(lost_all, seconds=30, what=f"{types} in audit's queue")
        for receipt in kept:
            await sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=0)
    return set(lost.values())


def reported(ran: subprocess.CompletedProcess[str], kind: str) -> set[str]:
    """The ids of the events that a run reports as `kind`."""
    lines = [line for line in ran.stdout.splitlines() if f"{kind}: case" in line]
    return {line.split("event ")[1].split()[0] for line in lines}


async def test_unread_event_is_late_and_lost_event_is_republished(
    deployment: Deployment,
) -> None:
    async def all_late() -> ReconciliationReport | None:
        found = await reconciled(deployment)
        return found if found.lag("case_manager", datetime.now(UTC)) > GRACE else None

    async def lost_ones_are_holes() -> bool | None:
        return ids(await reconciled(deployment), GapKind.HOLE, cases) == lost or None

    await deployment.do(deployment.stack["audit"].stop())
    try:
        cases = await deployment.submit([deployment.question("e2e wells by basin") for _ in range(2)])
        await case_manager_closed(deployment, cases)
        late = await deployment.until(all_late, seconds=20, what="events that are late")
        # One of an agent, one of the router, one of the case manager: each is filled on another way.
        lost = await lose(deployment, cases[0], "AgentChosen", "DraftAnswer", "CaseClosed")
    finally:
        await deployment.do(deployment.stack["audit"].start())
    # Other tests put forged events on this bus; what they left in the log is theirs.
    assert {gap.kind for gap in late.gaps if gap.case_id in cases} == {GapKind.LAG}
    await deployment.settled([cases[1]])

    async def only_the_lost_are_missing() -> bool | None:
        (row,) = await deployment.rows("select count(*) as n from audit.transition where case_id = $1::uuid", cases[0])
        return row["n"] == 8 or None

    await deployment.until(only_the_lost_are_missing, seconds=20, what="eight of eleven events in the log")
    await deployment.until(lost_ones_are_holes, seconds=20, what="the lost events, and no others, as holes")
    repaired = await asyncio.to_thread(_run, deployment, "--repair")
    assert reported(repaired, "filled") == lost, repaired.stdout + repaired.stderr
    assert not reported(repaired, "hole") & lost
    assert await deployment.findings(cases) == []
    again = await reconciled(deployment)
    assert [gap for gap in again.gaps if gap.case_id in cases] == []


async def test_logged_event_that_its_producer_never_stored_is_reported(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e wells by basin", agent="text_to_sql")])
    await deployment.closed([case])
    await deployment.settled([case])
    (row,) = await deployment.rows(
        "delete from text_to_sql.outbox where case_id = $1::uuid returning event",
        case,
        database="SWITCHYARD_WORK_DB_OWNER_URL",
    )
    found = await reconciled(deployment)
    assert ids(found, GapKind.UNCLAIMED, [case]) == {json.loads(row["event"])["event_id"]}
    assert not found.ok
    # Put back what was taken: the next test reconciles, too.
    await deployment.rows(
        "insert into text_to_sql.outbox (event, published_at) values ($1, now())",
        row["event"],
        database="SWITCHYARD_WORK_DB_OWNER_URL",
    )
