"""The contenders, and what all of them share. Each imports its library at its start: a process has one contender."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

REGION = "us-east-1"
CLIENT_OPTIONS = {"region_name": REGION, "aws_access_key_id": "bench", "aws_secret_access_key": "bench"}
_BATCH = 10  # messages per request: SQS's and EventBridge's limit
SOURCE, DETAIL_TYPE = "switchyard.text_to_sql", "FindingsReady"

DETAIL: dict[str, Any] = {
    "event_id": "5c6f2bd0-6d0a-5f34-9d83-0d4a3b3a2a11",
    "type": DETAIL_TYPE,
    "tenant": "northfork",
    "case_id": "fa3d6d43-b21d-5156-b94e-8cb919368a6c",
    "session_id": "s-ana-0617",
    "seq": 4,
    "node_from": "text_to_sql",
    "node_to": "router",
    "parents": ["f903705c" * 8],
    "digest": "c90984836895abcd" * 4,
    "payload": {
        "columns": ["BASIN", "OIL_BBL"],
        "rows": [["Permian", "7361077.04"], ["Williston", "1747089.29"], ["Eagle Ford", "1617008.91"]],
        "note": "x" * 200,
    },
}
"""The message that every contender handles: with its envelope, an event of about 1 KB."""

EVENT_TEXT = json.dumps(
    {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": DETAIL_TYPE,
        "source": SOURCE,
        "account": "111122223333",
        "time": "2026-06-17T18:43:48Z",
        "region": REGION,
        "resources": [],
        "detail": DETAIL,
    }
)
"""The event as EventBridge delivers it to a queue."""


@dataclass(frozen=True, slots=True)
class ContenderQueues:
    """The emulator's address, the consumed queue, a queue without consumer (`sink`) and a bus without rules."""

    endpoint: str
    queue: str
    queue_url: str
    sink: str
    sink_url: str
    bus: str


class CountingHandler:
    """The handler's body: counts, and waits while the queue is being filled.

    Attributes:
        seen: messages handled since the last `block`.
        began_at: start of the last call, by `time.monotonic_ns`, which all processes of a machine share.
    """

    def __init__(self) -> None:
        self.seen = 0
        self.began_at = 0
        self._open = asyncio.Event()
        self._open_for_threads = threading.Event()
        self._lock = threading.Lock()

    def block(self) -> None:
        """Let handlers wait from now on, and count from zero."""
        self._open.clear()
        self._open_for_threads.clear()
        self.seen = 0

    def open(self) -> None:
        """Let handlers through."""
        self._open.set()
        self._open_for_threads.set()

    async def do(self, detail: Any) -> None:
        """The body of an async handler."""
        self._begin(detail)
        if not self._open.is_set():
            await self._open.wait()
        self.seen += 1

    def do_in_thread(self, detail: Any) -> None:
        """The body of a handler in a worker thread."""
        self._begin(detail)
        self._open_for_threads.wait()
        with self._lock:
            self.seen += 1

    def _begin(self, detail: Any) -> None:
        # That the work was skipped must not look like speed.
        if detail["seq"] != 4:
            raise RuntimeError("the handler did not get the decoded detail")
        self.began_at = time.monotonic_ns()


class RequestCounter:
    """Counts a client's requests by operation: one dictionary update per request, for every contender alike."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def watch(self, target: Any) -> None:
        """Count the requests of `target`, a session or the events of a client."""
        target.register("before-call", lambda model, **_: self.counts.update((model.name,)))


class Contender:
    """One way of consuming and publishing.

    `stored` is the body of one message in the consumed queue, as this contender writes it.
    """

    stored = EVENT_TEXT

    async def start(self, site: ContenderQueues, work: CountingHandler, requests: RequestCounter) -> None:
        """Start to consume."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Stop to consume."""
        raise NotImplementedError

    async def publish(self, details: Sequence[Any], queue: str) -> None:
        """Send messages to a queue and return when all have been accepted."""
        raise NotImplementedError

    async def publish_events(self, details: Sequence[Any]) -> None:
        """Put events on the bus and return when all have been accepted."""
        raise NotImplementedError


class BareLoop(Contender):
    """The yardstick: aiobotocore alone, in tens. No lease, retry or concurrency; it checks that all was accepted."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    async def start(self, site: ContenderQueues, work: CountingHandler, requests: RequestCounter) -> None:
        from aiobotocore.session import get_session

        session = get_session()
        requests.watch(session)
        options = {**CLIENT_OPTIONS, "endpoint_url": site.endpoint}
        self._site = site
        self._sqs = await self._stack.enter_async_context(session.create_client("sqs", **options))
        self._events = await self._stack.enter_async_context(session.create_client("events", **options))
        self._loop = asyncio.create_task(self._consume(work))

    async def stop(self) -> None:
        self._loop.cancel()
        await asyncio.wait([self._loop])
        await self._stack.aclose()

    async def _consume(self, work: CountingHandler) -> None:
        url = self._site.queue_url
        while True:
            answer = await self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=_BATCH, WaitTimeSeconds=10)
            entries = []
            for i, message in enumerate(answer.get("Messages", ())):
                await work.do(_detail(message))
                entries.append({"Id": str(i), "ReceiptHandle": message["ReceiptHandle"]})
            if entries:
                settled = await self._sqs.delete_message_batch(QueueUrl=url, Entries=entries)
                if settled.get("Failed"):
                    raise RuntimeError(f"not deleted: {settled['Failed']}")

    async def publish(self, details: Sequence[Any], queue: str) -> None:
        url = self._site.queue_url if queue == self._site.queue else self._site.sink_url
        for some in _parts(details):
            entries = [{"Id": str(i), "MessageBody": json.dumps(detail)} for i, detail in enumerate(some)]
            sent = await self._sqs.send_message_batch(QueueUrl=url, Entries=entries)
            if sent.get("Failed"):
                raise RuntimeError(f"not sent: {sent['Failed']}")

    async def publish_events(self, details: Sequence[Any]) -> None:
        event = {"EventBusName": self._site.bus, "Source": SOURCE, "DetailType": DETAIL_TYPE}
        for some in _parts(details):
            put = await self._events.put_events(Entries=[{**event, "Detail": json.dumps(detail)} for detail in some])
            if put["FailedEntryCount"]:
                raise RuntimeError(f"not put: {put}")


class FastStreamSQS(Contender):
    """faststream_sqs with its defaults; the handler declares the type of its body, which pydantic checks."""

    async def start(self, site: ContenderQueues, work: CountingHandler, requests: RequestCounter) -> None:
        from aiobotocore.session import get_session

        from faststream_sqs import Credentials, SQSBroker

        session = get_session()
        requests.watch(session)
        credentials = Credentials("bench", "bench")
        self._broker = SQSBroker(REGION, endpoint_url=site.endpoint, credentials=credentials, session=session)
        self._events = self._broker.event_publisher(site.bus, source=SOURCE, detail_type=DETAIL_TYPE)

        @self._broker.subscriber(site.queue)
        async def handle(body: dict[str, Any]) -> None:
            await work.do(body)

        await self._broker.start()

    async def stop(self) -> None:
        await self._broker.stop()

    async def publish(self, details: Sequence[Any], queue: str) -> None:
        await self._broker.publish_batch(*details, queue=queue)

    async def publish_events(self, details: Sequence[Any]) -> None:
        await asyncio.gather(*(self._events.publish(detail) for detail in details))


class Taskiq(Contender):
    """taskiq-aio-sqs: receives in tens (its default is one) and runs ten tasks; deletes and sends one by one.

    It can send in batches, too, but returns before the messages were accepted: that is not the same work.
    """

    async def start(self, site: ContenderQueues, work: CountingHandler, requests: RequestCounter) -> None:
        from taskiq.message import TaskiqMessage
        from taskiq.receiver import Receiver
        from taskiq_aio_sqs import SQSBroker

        logging.getLogger("taskiq").setLevel(logging.WARNING)

        async def task(detail: dict[str, Any]) -> None:
            await work.do(detail)

        options = {**CLIENT_OPTIONS, "endpoint_url": site.endpoint, "max_number_of_messages": 10}
        self._brokers = {name: SQSBroker(name, **options) for name in (site.queue, site.sink)}
        self._tasks = {name: broker.register_task(task, task_name="task") for name, broker in self._brokers.items()}
        for broker in self._brokers.values():
            await broker.startup()
            requests.watch(broker._sqs_client.meta.events)
        broker = self._brokers[site.queue]
        message = TaskiqMessage(task_id="1", task_name="task", labels={}, labels_types={}, args=[DETAIL], kwargs={})
        self.stored = broker.formatter.dumps(message).message.decode()
        self._finish = asyncio.Event()
        receiver = Receiver(broker, max_async_tasks=10, run_startup=False)
        self._listening = asyncio.create_task(receiver.listen(self._finish))

    async def stop(self) -> None:
        self._finish.set()
        self._listening.cancel()
        await asyncio.wait([self._listening])
        for broker in self._brokers.values():
            await broker.shutdown()

    async def publish(self, details: Sequence[Any], queue: str) -> None:
        await asyncio.gather(*(self._tasks[queue].kiq(detail) for detail in details))


class Dramatiq(Contender):
    """dramatiq-sqs: boto3 and its default number of worker threads; receives in tens, deletes and sends one by one."""

    async def start(self, site: ContenderQueues, work: CountingHandler, requests: RequestCounter) -> None:
        import dramatiq
        from dramatiq_sqs import SQSBroker

        broker = SQSBroker(middleware=[], endpoint_url=site.endpoint, **CLIENT_OPTIONS)
        requests.watch(broker.sqs.meta.client.meta.events)

        def call(detail: dict[str, Any]) -> None:
            work.do_in_thread(detail)

        self._actors = {
            name: dramatiq.actor(call, broker=broker, actor_name=name, queue_name=name)
            for name in (site.queue, site.sink)
        }
        self.stored = b64encode(self._actors[site.queue].message(DETAIL).encode()).decode()
        self._worker = dramatiq.Worker(broker, queues={site.queue})
        self._worker.start()

    async def stop(self) -> None:
        self._worker.stop(timeout=1_000)

    async def publish(self, details: Sequence[Any], queue: str) -> None:
        for detail in details:
            self._actors[queue].send(detail)


BASELINE = "bare"
OUR_BROKER = "faststream_sqs"
CONTENDERS: dict[str, Callable[[], Contender]] = {
    BASELINE: BareLoop,
    OUR_BROKER: FastStreamSQS,
    "taskiq-aio-sqs": Taskiq,
    "dramatiq-sqs": Dramatiq,
}


def _detail(message: dict[str, Any]) -> Any:
    event = json.loads(message["Body"])
    return event.get("detail", event)  # a message of `publish` has no envelope


def _parts(details: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(details), _BATCH):
        yield details[start : start + _BATCH]
