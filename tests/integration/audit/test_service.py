"""The service as a process of its own, behind the bus: nothing is lost, whichever process dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from switchyard.audit.records.roles import WRITER
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.protocol.catalogue import AUDIT
from switchyard.protocol.fields import Json
from switchyard.protocol.topology import dead_letter_queue_name, queue_name
from tests.integration.audit.conftest import Owner, UrlFor
from tests.integration.audit.proof import ROW_KEY
from tests.integration.cloud import Cloud, until
from tests.integration.infrastructure import Infrastructure
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
START_S = 60.0
QUEUES = (queue_name(AUDIT), dead_letter_queue_name(AUDIT))


class Service:
    """`python -m switchyard.audit`, with its log in a file."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment = environment
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services.audit", env=self._environment, stdout=output, stderr=output
            )
        await until(self.ready, f"audit ready, see {self._log}", within_s=START_S)

    async def end(self, how: signal.Signals) -> int:
        """Send a signal and wait for the end; return the exit code."""
        if self._process is None or self._process.returncode is not None:
            return 0
        self._process.send_signal(how)
        return await self._process.wait()

    async def ready(self) -> bool:
        """Whether it says that it consumes."""
        return (await self.health()).get("status") == "ready"

    async def health(self) -> dict[str, Any]:
        """The answer of its readiness endpoint; empty while it does not run."""
        ports = [line["health_port"] for line in self.lines() if line["event"] == "process.ready"]
        if not ports:
            return {}
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{ports[-1]}/health/ready") as it,
            ):
                answer: dict[str, Any] = await it.json()
                return answer
        except aiohttp.ClientConnectionError:
            return {}

    def lines(self) -> list[dict[str, Any]]:
        """Its log so far."""
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]


@pytest.fixture
async def service(
    infrastructure: Infrastructure, cloud: Cloud, url_for: UrlFor, tmp_path: Path
) -> AsyncIterator[Service]:
    await cloud.purge(*QUEUES)
    environment = {
        **os.environ,
        **infrastructure.environment,
        "SWITCHYARD_AUDIT_DB_URL": url_for(WRITER),
        "SWITCHYARD_ROW_KEY": ROW_KEY.hex(),
        "SWITCHYARD_VISIBILITY_S": "3",
        "SWITCHYARD_POLL_WAIT_S": "1",
        "SWITCHYARD_RETRY_BASE_S": "0.2",
    }
    started = Service(environment, tmp_path / "audit.log")
    await started.start()
    yield started
    await started.end(signal.SIGKILL)


def all_of(reader: AuditReader, *numbers: int) -> Callable[[], Awaitable[bool]]:
    """Whether the log has nine transitions of each of these cases."""

    async def complete() -> bool:
        steps = [len(await reader.timeline(cases.first(number)["case_id"])) for number in numbers]
        return steps == [9] * len(numbers)

    return complete


async def put(cloud: Cloud, events: list[Json]) -> None:
    for event in events:
        await cloud.put(event)


async def test_service_and_sequencer_killed_record_all_events_once(
    service: Service, cloud: Cloud, reader: AuditReader, infrastructure: Infrastructure
) -> None:
    await put(cloud, cases.answered(0))
    await until(all_of(reader, 0), "the first case recorded")

    await infrastructure.stop("postgres")
    try:
        await put(cloud, cases.answered(1))

        async def away() -> bool:
            return "database" in (await service.health()).get("failing", [])

        await until(away, "audit unready while its database is away")
    finally:
        await infrastructure.start("postgres")
    await until(all_of(reader, 1), "what came while the database was away")
    await until(service.ready, "audit ready again")

    putting = asyncio.create_task(put(cloud, [*cases.answered(2), *cases.answered(3)]))
    assert await service.end(signal.SIGKILL) == -signal.SIGKILL
    await putting
    await service.start()
    await until(all_of(reader, 2, 3), "what came while audit was dead")

    await cloud.settled(*QUEUES)
    report = await reader.verify(case_id=cases.first(2)["case_id"])
    assert report.ok
    ours = [await reader.timeline(cases.first(number)["case_id"]) for number in range(4)]
    assert len({step.event_id for steps in ours for step in steps}) == 36


async def test_dead_letter_is_recorded_poison_raises_alarms_and_sigterm_exits_with_0(
    service: Service, cloud: Cloud, reader: AuditReader
) -> None:
    dead, *_ = cases.bodies(cases.answered(0))
    await cloud.put_dead_letter(AUDIT, dead)
    await cloud.send(queue_name(AUDIT), "not an event")
    await cloud.send(queue_name(AUDIT), cases.body(cases.first(1) | {"seq": 5}))
    await put(cloud, cases.answered(2))

    await until(all_of(reader, 2), "the case beside the poison")
    await cloud.settled(*QUEUES)

    assert [step.transition for step in await reader.timeline(cases.first(0)["case_id"])] == ["CaseOpened"]
    alarms = {alarm.kind: alarm.body for alarm in await reader.alarms()}
    assert alarms == {"malformed": "not an event", "digest_mismatch": cases.body(cases.first(1) | {"seq": 5})}
    raised = [line["kind"] for line in service.lines() if line.get("alarm") == "integrity"]
    assert sorted(raised) == ["digest_mismatch", "malformed"]
    assert await service.end(signal.SIGTERM) == 0


async def test_row_refused_by_the_database_is_redelivered_and_a_dead_one_kept(
    service: Service, cloud: Cloud, reader: AuditReader, owner: Owner
) -> None:
    await owner.execute("alter table transition add constraint no_poison check (tenant <> 'poison')")
    refused, dead = (cases.first(number, tenant="poison") for number in (1, 2))
    await cloud.put_dead_letter(AUDIT, cases.body(dead))
    await put(cloud, [*cases.answered(0), refused])

    async def kept() -> bool:
        alarms = {(alarm.kind, alarm.event_id, alarm.body) for alarm in await reader.alarms()}
        return {("unstorable", dead["event_id"], cases.body(dead))} < alarms and len(alarms) == 2

    await until(kept, "both kept as alarms, the dead letter and the one that comes back")
    await until(all_of(reader, 0), "the case beside the refused row")
    await owner.execute("alter table transition drop constraint no_poison")
    await cloud.settled(*QUEUES)

    assert [step.event_id for step in await reader.timeline(refused["case_id"])] == [refused["event_id"]]
    assert await reader.timeline(dead["case_id"]) == []
