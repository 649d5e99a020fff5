"""A running deployment, and how tests use it: submissions go in, the audit log comes out."""

from __future__ import annotations

import asyncio
import json
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import asyncpg
import pytest
from aiobotocore.session import get_session

from demo.figures import count_published
from switchyard.audit.verification.findings import Finding
from switchyard.cli.app.audit_log import open_artefact_reader, open_audit_reader, read_artefact
from switchyard.cli.app.submissions import DEFAULT_SOURCE, open_publisher, publish_details, publish_submissions
from switchyard.cli.app.target import Target
from switchyard.devstack.stack.provision import OBJECT_BUCKET
from tests.reference import consumers

T = TypeVar("T")


class Deployed:
    """`exports` are the variables by which it is reached: addresses, credentials and the owner's DSNs."""

    def __init__(self, exports: Mapping[str, str]) -> None:
        self.exports = exports
        self.prefix = uuid.uuid4().hex[:8]

    @property
    def target(self) -> Target:
        """As the CLI sees it."""
        return Target({**os.environ, **self.exports})

    def question(self, text: str, **fields: Any) -> dict[str, Any]:
        """A submission with ids of its own."""
        return {
            "tenant": "acme",
            "idempotency_key": f"{self.prefix}-{uuid.uuid4().hex[:12]}",
            "session_id": f"session-{uuid.uuid4().hex[:12]}",
            "user_id": "alex@example.com",
            "question": text,
            "role": "FIELD_ALL",
        } | fields

    async def submit(self, details: Sequence[dict[str, Any]], source: str = DEFAULT_SOURCE) -> list[str]:
        """Publish submissions; the ids of their cases."""
        return await publish_submissions(self.target, details, source=source)

    async def send(self, details: Sequence[dict[str, Any]], source: str = DEFAULT_SOURCE) -> None:
        """Publish what an upstream sends, valid or not."""
        await publish_details(self.target, details, source=source)

    async def rows(
        self, sql: str, *arguments: Any, database: str = "SWITCHYARD_AUDIT_DB_OWNER_URL"
    ) -> list[dict[str, Any]]:
        """Query the audit log, or the work database, as its owner."""
        connection = await asyncpg.connect(self.exports[database])
        try:
            return [dict(row) for row in await connection.fetch(sql, *arguments)]
        finally:
            await connection.close()

    async def until(self, found: Callable[[], Awaitable[T | None]], *, seconds: float, what: str) -> T:
        """Poll until there is something. Fails the test, saying what was missing."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                result = await found()
            except (OSError, asyncpg.PostgresError):
                result = None  # the database is being restarted under us
            if result is not None:
                return result
            await asyncio.sleep(0.2)
        pytest.fail(f"not within {seconds} s: {what}")

    async def closed(self, case_ids: Sequence[str], *, seconds: float = 60) -> dict[str, dict[str, Any]]:
        """Wait until every case has its terminal event; the payloads by case."""

        async def ended() -> dict[str, dict[str, Any]] | None:
            rows = await self.rows(
                "select case_id::text, body from audit.transition where terminal and case_id = any($1::uuid[])",
                case_ids,
            )
            if len({row["case_id"] for row in rows}) < len(set(case_ids)):
                return None
            return {row["case_id"]: json.loads(row["body"])["detail"]["payload"] for row in rows}

        return await self.until(ended, seconds=seconds, what=f"{len(case_ids)} closed cases")

    async def moved_on(self, case_ids: Sequence[str], since: int = 0, *, endings: int = 1) -> int:
        """Wait until the log holds more than `since` events of these cases, or every ending; how many it holds."""
        sql = (
            "select count(*) as events, count(*) filter (where terminal) as ended from audit.transition"
            " where case_id = any($1::uuid[])"
        )

        async def more() -> int | None:
            (row,) = await self.rows(sql, case_ids)
            return int(row["events"]) if row["events"] > since or row["ended"] >= endings * len(case_ids) else None

        return await self.until(more, seconds=30, what="progress of the cases")

    async def quiet(self) -> None:
        """Wait until no queue holds anything."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        async with self.client("sqs") as sqs:

            async def empty() -> bool | None:
                held = 0
                for consumer in consumers():
                    url = (await sqs.get_queue_url(QueueName=consumer.queue))["QueueUrl"]
                    answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
                    held += sum(int(value) for value in answer["Attributes"].values())
                return True if held == 0 else None

            await self.until(empty, seconds=30, what="empty queues")

    async def answer(self, case_id: str) -> dict[str, Any]:
        """The case's answer, opened."""
        closing = next(event for event in await self.events(case_id) if event["type"] == "CaseClosed")
        async with open_artefact_reader(self.target) as artefacts:
            answer: dict[str, Any] = json.loads(await read_artefact(artefacts, closing, closing["payload"]["answer"]))
        return answer

    async def findings(self, case_ids: Sequence[str]) -> list[Finding]:
        """What does not hold in the chains of these cases."""
        async with open_audit_reader(self.target) as log:
            return [finding for case in case_ids for finding in (await log.verify(case_id=case)).findings]

    async def put(self, *events: tuple[str, str, str]) -> None:
        """Put raw (source, detail-type, detail) on the bus, as somebody with the right to PutEvents could."""
        async with open_publisher(self.target) as bus:
            for source, detail_type, detail in events:
                await bus.publish(detail, source=source, detail_type=detail_type)

    def client(self, service: str) -> Any:
        """An aiobotocore client of its emulator, to be entered."""
        environment = self.exports
        return get_session().create_client(
            service,
            region_name=environment["AWS_REGION"],
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )

    async def quarantined(self, node: str) -> list[dict[str, Any]]:
        """What a consumer has put into quarantine."""
        async with self.client("s3") as s3:
            listed = await s3.list_objects_v2(Bucket=OBJECT_BUCKET, Prefix=f"quarantine/{node}/")
            kept = []
            for found in listed.get("Contents", []):
                body = (await s3.get_object(Bucket=OBJECT_BUCKET, Key=found["Key"]))["Body"]
                kept.append(json.loads(await body.read()))
        return kept

    async def settled(self, case_ids: list[str], *, seconds: float = 20) -> int:
        """Wait until the log holds what the producers' own tables say was published; how many events that is."""

        async def same() -> int | None:
            sql = "select count(*) as rows from audit.transition where case_id = any($1::uuid[])"
            (row,) = await self.rows(sql, case_ids)
            connection = await asyncpg.connect(self.exports["SWITCHYARD_WORK_DB_OWNER_URL"])
            try:
                wanted = await count_published(connection, case_ids)
            finally:
                await connection.close()
            return wanted if row["rows"] == wanted else None

        return await self.until(same, seconds=seconds, what="a log that holds what was published")

    async def events(self, case_id: str) -> list[dict[str, Any]]:
        """The case's events, in order."""
        rows = await self.rows(
            "select body from audit.transition where case_id = $1::uuid order by seq, ordinal", case_id
        )
        return [json.loads(row["body"])["detail"] for row in rows]
