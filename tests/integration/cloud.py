"""The bus, the queues and the bucket, as a test sees them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import Awaitable, Callable
from typing import Any

from switchyard.devstack.stack.provision import OBJECT_BUCKET
from switchyard.protocol.envelope import SOURCE_PREFIX
from switchyard.protocol.fields import Json
from switchyard.protocol.topology import BUS, dead_letter_queue_name, queue_name
from tests.integration.events import bus_body, fresh_id

PATIENCE_S = 20.0


async def until(holds: Callable[[], Awaitable[bool]], what: str, within_s: float = PATIENCE_S) -> None:
    """Ask again and again until it holds. Fails with `what` when it has not after `within_s` seconds."""
    try:
        async with asyncio.timeout(within_s):
            while not await holds():  # noqa: ASYNC110 - another process changes it without an event
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {within_s:g} s: {what}") from None


class Cloud:
    """Puts events on the bus, bodies on queues, and reads what is there."""

    def __init__(self, events: Any, sqs: Any, s3: Any) -> None:
        self.events = events
        self.sqs = sqs
        self.s3 = s3
        self._urls: dict[str, str] = {}

    async def put(self, *events: Json, source: str | None = None, detail_type: str | None = None) -> None:
        """Put events on the bus under their producers' sources."""
        answer = await self.events.put_events(
            Entries=[
                {
                    "EventBusName": BUS,
                    "Source": source or SOURCE_PREFIX + event["node_from"],
                    "DetailType": detail_type or event["type"],
                    "Detail": json.dumps(event),
                }
                for event in events
            ]
        )
        assert answer["FailedEntryCount"] == 0, answer

    async def send(self, queue: str, body: str, **attributes: str) -> None:
        """Send a body to a queue, past the bus and its rules."""
        await self.sqs.send_message(
            QueueUrl=await self.url(queue),
            MessageBody=body,
            MessageAttributes={
                name.replace("_", "-"): {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
        )

    async def deliver(self, node: str, event: Json) -> None:
        """Deliver an event to a consumer once more, as SQS may at any time."""
        await self.send(queue_name(node), bus_body(event))

    async def put_dead_letter(self, node: str, body: str, **attributes: str) -> None:
        """Put a body in a consumer's dead-letter queue."""
        await self.send(dead_letter_queue_name(node), body, **attributes)

    async def url(self, queue: str) -> str:
        """A queue's address."""
        if queue not in self._urls:
            self._urls[queue] = (await self.sqs.get_queue_url(QueueName=queue))["QueueUrl"]
        return self._urls[queue]

    async def purge(self, *queues: str) -> None:
        """Empty some queues."""
        for queue in queues:
            await self.sqs.purge_queue(QueueUrl=await self.url(queue))

    async def counts(self, queue: str) -> tuple[int, int, int]:
        """How many messages are visible, in flight and delayed."""
        names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
        answer = await self.sqs.get_queue_attributes(QueueUrl=await self.url(queue), AttributeNames=names)
        visible, in_flight, delayed = (int(answer["Attributes"][name]) for name in names)
        return visible, in_flight, delayed

    async def settled(self, *queues: str) -> None:
        """Wait until queues are empty: everything in them was handled and deleted."""

        async def empty() -> bool:
            return all([await self.counts(queue) == (0, 0, 0) for queue in queues])

        await until(empty, f"{', '.join(queues)} empty")

    async def quarantined(self, node: str) -> list[Json]:
        """The records in a consumer's quarantine."""
        listed = await self.s3.list_objects_v2(Bucket=OBJECT_BUCKET, Prefix=f"quarantine/{node}/")
        records = []
        for found in listed.get("Contents", ()):
            answer = await self.s3.get_object(Bucket=OBJECT_BUCKET, Key=found["Key"])
            async with answer["Body"] as body:
                records.append(json.loads(await body.read()))
        return records

    async def quarantine_of(self, node: str, body: str) -> Json:
        """The record that a consumer's quarantine keeps of a body, once it is there."""
        sha256 = hashlib.sha256(body.encode()).hexdigest()
        kept: list[Json] = []

        async def there() -> bool:
            kept[:] = [record for record in await self.quarantined(node) if record["sha256"] == sha256]
            return bool(kept)

        await until(there, f"a body in {node}'s quarantine")
        assert len(kept) == 1
        return kept[0]


class Tap:
    """A queue of its own behind a rule for every event of ours: all that is published while a test runs.

    `late` is whether the bus delivers after it has answered, as LocalStack and AWS do.
    """

    def __init__(self, cloud: Cloud, url: str, *, late: bool) -> None:
        self._cloud = cloud
        self._url = url
        self._late = late
        self._markers = 0
        self.bodies: list[str] = []

    @classmethod
    async def open(cls, cloud: Cloud, *, late: bool, detail: Json | None = None) -> Tap:
        """Make queue and rule; `detail` limits which events of ours it takes."""
        name = f"tap-{fresh_id()}"
        url = (await cloud.sqs.create_queue(QueueName=name))["QueueUrl"]
        answer = await cloud.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        pattern = json.dumps({"source": [{"prefix": SOURCE_PREFIX}, name]} | ({"detail": detail} if detail else {}))
        await cloud.events.put_rule(Name=name, EventBusName=BUS, EventPattern=pattern)
        target = {"Id": "tap", "Arn": answer["Attributes"]["QueueArn"]}
        await cloud.events.put_targets(Rule=name, EventBusName=BUS, Targets=[target])
        return cls(cloud, url, late=late)

    async def close(self) -> None:
        """Remove both."""
        await self._cloud.events.remove_targets(Rule=self._name, EventBusName=BUS, Ids=["tap"])
        await self._cloud.events.delete_rule(Name=self._name, EventBusName=BUS)
        await self._cloud.sqs.delete_queue(QueueUrl=self._url)

    async def seen(self, node: str, case_id: str | None = None) -> list[Json]:
        """The events that `node` has published so far, of one case or of all, in the order of their `seq`."""
        if self._late:
            await self._catch_up()
        await self._drain()
        return self._arrived(node, case_id)

    async def taken(self, node: str) -> list[Json]:
        """The events that `node` has published and the bus has delivered by now."""
        await self._drain()
        return self._arrived(node, None)

    async def next(self, node: str, case_id: str, count: int = 1) -> list[Json]:
        """The first `count` events that `node` publishes of a case, once they are there."""
        found: list[Json] = []

        async def enough() -> bool:
            await self._drain()
            found[:] = self._arrived(node, case_id)
            return len(found) >= count

        await until(enough, f"{count} events of {node}")
        return found[:count]

    async def silent(self, node: str, case_id: str, seconds: int) -> None:
        """Watch the bus for some seconds, in which `node` may publish nothing of a case."""
        watched_until = asyncio.get_running_loop().time() + seconds
        while (left := watched_until - asyncio.get_running_loop().time()) > 0:
            await self._receive(wait=math.ceil(left))
        assert await self.seen(node, case_id) == []

    @property
    def _name(self) -> str:
        return self._url.rsplit("/", 1)[1]

    def _arrived(self, node: str, case_id: str | None) -> list[Json]:
        events: list[Json] = [json.loads(body)["detail"] for body in self.bodies]
        ours = [event for event in events if event["node_from"] == node and case_id in {None, event["case_id"]}]
        # No bus keeps the order in which events were put.
        return sorted(ours, key=lambda event: int(event["seq"]))

    async def _catch_up(self) -> None:
        """Wait for an event put just now, and for a second in which nothing more comes."""
        self._markers += 1
        marker = {"Source": self._name, "DetailType": "marker", "Detail": json.dumps({"number": self._markers})}
        await self._cloud.events.put_events(Entries=[{"EventBusName": BUS, **marker}])
        came = 0

        async def arrived() -> bool:
            nonlocal came
            came = max(came, *await self._receive(wait=1), 0)
            return came == self._markers

        await until(arrived, "an event of the test's own on its queue")
        await self._drain(wait=1)

    async def _drain(self, wait: int = 0) -> None:
        before = -1
        while before < len(self.bodies):
            before = len(self.bodies)
            await self._receive(wait=wait)

    async def _receive(self, wait: int = 0) -> list[int]:
        """Take what is on the queue; the numbers of the markers among it."""
        answer = await self._cloud.sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=wait)
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        if messages:
            entries = [
                {"Id": str(number), "ReceiptHandle": each["ReceiptHandle"]} for number, each in enumerate(messages)
            ]
            await self._cloud.sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)
        markers = []
        for message in messages:
            event = json.loads(message["Body"])
            if event["source"] == self._name:
                markers.append(int(event["detail"]["number"]))
            else:
                self.bodies.append(message["Body"])
        return markers
