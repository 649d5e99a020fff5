"""A test broker, for applications without AWS."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Any, cast, overload
from unittest import mock

from faststream._internal.testing.broker import EnterType, TestBroker, change_producer
from faststream.exceptions import SetupError

from .broker import SQSBroker
from .claim_check import MemoryClaimStore
from .delivery import SQSDelivery
from .envelope import wrap_event
from .limits import is_fifo
from .memory import MemoryQueues, SettledDelivery, as_received, same_queue
from .parser import SQSParser
from .producer import EventBridgeProducer, SQSProducer
from .publisher import EventBridgePublisher, SQSPublisher
from .replies import received_reply
from .response import EventPublishCommand, SQSPublishCommand
from .retry import RetryPolicy
from .settlement import Settlement
from .subscriber import QueueSubscriber

__all__ = ("SettledDelivery", "TestSQSBroker")

_REGION = "us-east-1"


class TestSQSBroker(TestBroker[SQSBroker, EnterType], broker=SQSBroker):
    """Runs brokers in memory: `publish` returns when the handlers have returned, and raises a handler's error.

    Each handler and each publisher has a `mock`. A message goes to the subscriber of its queue; an event goes to every
    queue whose subscriber names `detail_type` or `source` and takes it, and to the queues in `rules`.

    Differences from AWS: messages are not retried automatically (see `redeliver`), delays are recorded and not waited
    for, there are no heartbeats, a pause has no effect, and a mistyped queue or bus is not detected.

    Args:
        brokers: the brokers to run. They share their queues.
        with_real: use AWS or an emulator, and only add the mocks.
        connect_only: do not start the subscribers; None finds out whether a `TestApp` will.
        rules: by event bus, the queues that all its events go to, as rules of EventBridge that match everything.
    """

    @overload
    def __init__(
        self: "TestSQSBroker[SQSBroker]",
        broker: SQSBroker,
        /,
        *,
        with_real: bool = False,
        connect_only: bool | None = None,
        rules: Mapping[str, Iterable[str]] | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self: "TestSQSBroker[tuple[SQSBroker, ...]]",
        *brokers: SQSBroker,
        with_real: bool = False,
        connect_only: bool | None = None,
        rules: Mapping[str, Iterable[str]] | None = None,
    ) -> None: ...

    def __init__(
        self,
        *brokers: SQSBroker,
        with_real: bool = False,
        connect_only: bool | None = None,
        rules: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        super().__init__(*brokers, with_real=with_real, connect_only=connect_only)
        self._queues = MemoryQueues(self._consumers, rules or {})

    @property
    def settled(self) -> Sequence[SettledDelivery]:
        """How each delivery ended, in order: acknowledged, to be retried, or rejected.

        Raises:
            SetupError: with `with_real`, only SQS knows.
        """
        return self._memory().settled

    async def redeliver(self) -> int:
        """Deliver each message that waits for its retry, regardless of its delay, and return their number.

        Raises:
            SetupError: with `with_real`, SQS delivers again.
            Exception: a handler's error; all handlers have run by then.
        """
        return await self._memory().redeliver()

    def create_publisher_fake_subscriber(self, broker: SQSBroker, publisher: Any) -> tuple[QueueSubscriber, bool]:
        """The subscriber whose handler records the messages of a queue publisher."""
        queue = cast("SQSPublisher", publisher).queue
        for subscriber in self._consumers():
            if same_queue(subscriber.queue, queue):
                return subscriber, True
        # A short poll, because stopping waits for it when the queue is real.
        fake = broker.subscriber(queue, wait_time=1, persistent=False)
        return fake, False

    def _memory(self) -> MemoryQueues:
        if self.with_real:
            raise SetupError("with_real=True leaves messages to SQS: read the queue instead.")
        return self._queues

    def _consumers(self) -> Iterable[QueueSubscriber]:
        for broker in self.brokers:
            for subscriber in broker.subscribers:
                if isinstance(subscriber, QueueSubscriber) and subscriber.calls:
                    yield subscriber

    @asynccontextmanager
    async def _create_ctx(self) -> AsyncGenerator[list[SQSBroker], None]:
        with ExitStack() as stack:
            for broker in self.brokers if self.with_real else ():
                producer = broker.config.broker_config.event_producer
                publish = partial(_publish_and_record, broker, producer, producer.publish)
                stack.enter_context(mock.patch.object(producer, "publish", publish))
            async with super()._create_ctx() as brokers:
                yield brokers

    @contextmanager
    def _patch_producer(self, broker: SQSBroker) -> Generator[None, None, None]:
        config = broker.config.broker_config
        producer, events = _MemoryProducer(self._queues), _MemoryEventProducer(self._queues, broker)
        for each in (producer, events):
            each.connect(config)
        if config.claims is not None:
            self._queues.claims = self._queues.claims or MemoryClaimStore(config.claims.settings)
            producer.claims = self._queues.claims
        with (
            change_producer(config, producer),
            mock.patch.object(config, "event_producer", events),
            mock.patch.object(config, "in_memory", True),
        ):
            yield

    def _fake_start(self, broker: SQSBroker, *args: Any, **kwargs: Any) -> None:
        # An event has no queue of its own, so its publisher records it.
        for publisher in broker.publishers:
            if isinstance(publisher, EventBridgePublisher):
                publisher.set_test(with_fake=True)
        super()._fake_start(broker, *args, **kwargs)

    @staticmethod
    async def _fake_connect(broker: SQSBroker, *args: Any, **kwargs: Any) -> Any:
        return mock.AsyncMock()


class _MemoryProducer(SQSProducer):
    """Encodes for SQS and delivers in memory."""

    def __init__(self, queues: MemoryQueues) -> None:
        super().__init__(cast("Any", None))
        self._memory = queues

    async def publish(self, cmd: SQSPublishCommand) -> str:
        entry, _ = await self.encode(cmd)
        return await self._memory.send(cmd.destination, entry)

    async def publish_batch(self, cmd: SQSPublishCommand) -> list[str]:
        sends = [self._memory.send(cmd.destination, entry) for entry, _ in await self.encode_batch(cmd)]
        if is_fifo(cmd.destination):
            return [await send for send in sends]
        return list(await asyncio.gather(*sends))

    async def request(self, cmd: SQSPublishCommand) -> SQSDelivery:
        entry, _ = await self.encode(cmd)
        async with asyncio.timeout(cmd.timeout):
            response = await self._memory.request(cmd.destination, entry)
        answer = SQSPublishCommand.from_cmd(response.as_publish_command())
        answer.correlation_id = cmd.correlation_id
        answer.destination = "replies"
        reply, _ = await self.encode(answer)
        return received_reply(as_received(str(uuid.uuid4()), reply), "replies")


class _MemoryEventProducer(EventBridgeProducer):
    """Encodes for EventBridge and delivers in memory."""

    def __init__(self, queues: MemoryQueues, broker: SQSBroker) -> None:
        super().__init__(cast("Any", None))
        self._memory = queues
        self._broker = broker

    async def publish(self, cmd: EventPublishCommand) -> str:
        entry, _ = await self.encode(cmd, cmd.destination)
        event = wrap_event(entry, region=_REGION)
        event_id = await _record(self._broker, cmd, event)
        await self._memory.put(event, cmd.destination, cmd.trace_header)
        return event_id


async def _publish_and_record(broker: SQSBroker, producer: EventBridgeProducer, publish: Any, cmd: Any) -> str:
    event_id: str = await publish(cmd)
    entry, _ = await producer.encode(cmd, cmd.destination)
    await _record(broker, cmd, wrap_event(entry, region=_REGION))
    return event_id


async def _record(broker: SQSBroker, cmd: EventPublishCommand, event: str) -> str:
    """Record the event at its publishers, and return its id."""
    parser = SQSParser()
    delivery = SQSDelivery(
        {"MessageId": str(uuid.uuid4()), "ReceiptHandle": "", "Body": event},
        queue=cmd.destination,
        settlement=cast("Settlement", None),
        retry=RetryPolicy(),
        release_lease=lambda _: None,
    )
    message = await parser.parse_message(delivery)
    message.set_decoder(parser.decode_message)
    for publisher in broker.publishers:
        if isinstance(publisher, EventBridgePublisher) and publisher.publishes(cmd):
            await publisher._recorder.record(message)
    envelope = delivery.envelope
    return "" if envelope is None else envelope.id
