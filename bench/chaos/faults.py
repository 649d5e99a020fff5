"""Does to a running stack what a plan says, and counts what it did."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
from aiobotocore.session import get_session

from bench.chaos.away import AWAY
from bench.chaos.plan import Fault
from bench.chaos.proxy import Mode
from bench.chaos.stack import ChaosStack
from demo.clock import advance_clock
from switchyard.app.application import load_app
from switchyard.devstack.errors import StackError
from switchyard.devstack.stack.provision import client_options
from switchyard.devstack.supervisor.process import ProcessState
from switchyard.protocol.topology import BUS
from switchyard.runtime.core.aws import create_aws_client

log = logging.getLogger(__name__)
HOUR = timedelta(hours=1)
STIRRED, REPEATED = 10, 5
"""Messages that are held back or doubled at once in a queue, and events of the log that are published again."""


class Injector:
    """Injects faults; `done` counts them by kind and manner."""

    def __init__(self, room: ChaosStack, seed: int) -> None:
        self._room = room
        self._chance = random.Random(f"{seed} messages")
        self.done: Counter[str] = Counter()
        self.failed: list[str] = []
        """Faults that could not be injected, with the reason."""

    async def run(self, plan: Sequence[Fault]) -> None:
        """All faults at their times; returns, or is cancelled, when what it broke is healed."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in plan:
                await asyncio.sleep(max(0.0, began + fault.at_s - time.monotonic()))
                group.create_task(self._inject(fault))

    async def _inject(self, fault: Fault) -> None:
        log.info("chaos.fault %s", fault)
        try:
            match fault.kind:
                case "kill" | "postgres":
                    await self._kill(fault.target)
                case "network":
                    server, _, how = fault.how.partition(" ")
                    await self._fail(fault, server, Mode(how))
                case "aws":
                    await self._fail(fault, "aws", Mode(fault.how))
                case "clock":
                    await self._shift_clock(fault)
                case "deliveries":
                    await self._stir()
                case "disk":
                    await self._fill_disk(fault)
        except (*AWAY, StackError) as error:
            self.failed.append(f"{fault.kind} of {fault.target} at {fault.at_s} s: {type(error).__name__}: {error}")
        else:
            self.done[f"{fault.kind} {fault.how}".strip()] += 1

    async def _kill(self, name: str) -> None:
        """SIGKILL in any state, also while it starts; one that is about to be restarted is waited for."""
        process = self._room.stack[name]
        while process.state is ProcessState.RESTARTING:  # noqa: ASYNC110 - simpler than to signal each change of state
            await asyncio.sleep(0.05)
        await process.kill()

    async def _fail(self, fault: Fault, server: str, mode: Mode) -> None:
        proxy = self._room.ways[fault.target, server]
        proxy.mode = mode
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            proxy.mode = Mode.WELL

    async def _shift_clock(self, fault: Fault) -> None:
        file, by = self._room.clock(fault.target), HOUR if fault.how == "ahead" else -HOUR
        advance_clock(file, by)
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            advance_clock(file, -by)

    async def _fill_disk(self, fault: Fault) -> None:
        if (disk := self._room.disk) is None:
            raise OSError(f"skipped: {self._room.without_disk}")
        disk.fill()
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            disk.free()

    async def _stir(self) -> None:
        """Hold messages of a queue back for some seconds each, double some of them, and publish old events again."""
        consumer = self._chance.choice(load_app().consumers)
        async with self._aws() as (sqs, events):
            url = (await sqs.get_queue_url(QueueName=consumer.queue))["QueueUrl"]
            for _ in range(STIRRED):
                held_s = self._chance.randrange(1, 6)
                found = await sqs.receive_message(QueueUrl=url, VisibilityTimeout=held_s, WaitTimeSeconds=0)
                for message in found.get("Messages", ()):
                    self.done["messages held back"] += 1
                    if self._chance.random() < 0.5:
                        await sqs.send_message(QueueUrl=url, MessageBody=message["Body"])
                        self.done["messages doubled"] += 1
            for body in await self._old_events():
                entry = {"Source": body["source"], "DetailType": body["detail-type"], "EventBusName": BUS}
                await events.put_events(Entries=[{**entry, "Detail": json.dumps(body["detail"])}])
                self.done["events published again"] += 1

    async def _old_events(self) -> list[dict[str, Any]]:
        """Some that the log has; none while PostgreSQL is away."""
        url = self._room.stack.exports["SWITCHYARD_AUDIT_DB_OWNER_URL"]
        with contextlib.suppress(*AWAY):
            log_of = await asyncpg.connect(url, timeout=5)
            try:
                rows = await log_of.fetch("select body from audit.transition order by random() limit $1", REPEATED)
            finally:
                await log_of.close()
            return [json.loads(row["body"]) for row in rows]
        return []

    @asynccontextmanager
    async def _aws(self) -> AsyncIterator[tuple[Any, Any]]:
        options = client_options(self._room.stack.exports)
        async with AsyncExitStack() as stack:
            session = get_session()
            sqs = await stack.enter_async_context(create_aws_client(session, "sqs", **options))
            events = await stack.enter_async_context(create_aws_client(session, "events", **options))
            yield sqs, events
