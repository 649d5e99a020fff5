"""The broker: consumes SQS queues, publishes to SQS and EventBridge."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError
from fast_depends import Provider, dependency_provider
from fast_depends.dependencies import Dependant
from fast_depends.library.serializer import SerializerProto
from faststream._internal.basic_types import LoggerProto
from faststream._internal.broker import BrokerUsecase
from faststream._internal.broker.registrator import Registrator
from faststream._internal.constants import EMPTY
from faststream._internal.context.repository import ContextRepo
from faststream._internal.di import FastDependsConfig
from faststream._internal.parser import CodecProto
from faststream._internal.types import BrokerMiddleware, CustomCallable
from faststream.exceptions import FeatureNotSupportedException, SetupError
from faststream.middlewares import AckPolicy
from faststream.response import PublishType
from faststream.security import BaseSecurity
from faststream.specification.schema import BrokerSpec, Tag, TagDict

from .config import SQSBrokerConfig
from .connection import Connection, Credentials, Declare
from .errors import BusMissing, QueueMissing
from .log import make_sqs_logger_state
from .producer import EventBridgeProducer, SQSProducer
from .publisher import EventBridgePublisher, SQSPublisher
from .registrator import SQSRegistrator
from .response import AttributeValue, SQSPublishCommand
from .subscriber import QueueSubscriber


class SQSBroker(SQSRegistrator, BrokerUsecase[Any, Connection, SQSBrokerConfig]):
    """Consumes SQS queues, and publishes to queues and to EventBridge.

    Args:
        region: the AWS region; None takes it from the environment.
        endpoint_url: the endpoint of AWS; None takes `AWS_ENDPOINT_URL`, and otherwise AWS itself.
        credentials: explicit credentials; None takes the usual chain of AWS.
        session: an aiobotocore session to use instead of a new one.
        declare: "verify" makes `start` fail if a queue or bus is missing, "create" creates it.
        drain_timeout: seconds that `stop` waits for polls and handlers; must exceed the longest wait time.
        middlewares: around each message and each publish.
        dependencies: run before each handler call.
        parser: replaces the way messages are parsed.
        decoder: replaces the way bodies are decoded.
        codec: decodes and encodes bodies, instead of `decoder`.
        ack_policy: how a message is settled that the handler leaves unsettled; by default it is acknowledged after
            success and retried after an error.
        routers: routers to include.
        logger: the logger; None logs nothing.
        log_level: the level of the two lines about every message, and of the one about each start. FastStream's other
            brokers use INFO; writing two lines costs as much as the rest of the processing, hence DEBUG.
        apply_types: cast arguments of handlers to their annotated types.
        serializer: encodes and casts instead of pydantic.
        provider: overrides dependencies in tests.
        context: values that handlers can request by name.
        description: for AsyncAPI.
        tags: for AsyncAPI.
        security: for AsyncAPI.
    """

    def __init__(
        self,
        region: str | None = None,
        *,
        endpoint_url: str | None = None,
        credentials: Credentials | None = None,
        session: AioSession | None = None,
        declare: Declare = "verify",
        drain_timeout: float = 20.0,
        middlewares: Sequence[BrokerMiddleware[Any, Any]] = (),
        dependencies: Sequence[Dependant] = (),
        parser: CustomCallable | None = None,
        decoder: CustomCallable | None = None,
        codec: CodecProto | None = None,
        ack_policy: AckPolicy = EMPTY,
        routers: Iterable[Registrator[Any, Any]] = (),
        logger: LoggerProto | None = EMPTY,
        log_level: int = logging.DEBUG,
        apply_types: bool = True,
        serializer: SerializerProto | None = EMPTY,
        provider: Provider | None = None,
        context: ContextRepo | None = None,
        description: str | None = None,
        tags: Iterable[Tag | TagDict] = (),
        security: BaseSecurity | None = None,
    ) -> None:
        connection = Connection(region=region, endpoint_url=endpoint_url, credentials=credentials, session=session)
        super().__init__(
            routers=routers,
            config=SQSBrokerConfig(
                connection=connection,
                producer=SQSProducer(connection),
                event_producer=EventBridgeProducer(connection),
                declare=declare,
                drain_timeout=drain_timeout,
                broker_middlewares=middlewares,
                broker_parser=parser,
                broker_decoder=decoder,
                broker_codec=codec,
                logger=make_sqs_logger_state(logger=logger, log_level=log_level),
                fd_config=FastDependsConfig(
                    use_fastdepends=apply_types,
                    serializer=serializer,
                    provider=provider or dependency_provider,
                    context=context or ContextRepo(),
                ),
                broker_dependencies=dependencies,
                # The subscribers drain themselves, within `drain_timeout`.
                graceful_timeout=None,
                ack_policy=ack_policy,
                extra_context={"broker": self},
            ),
            specification=BrokerSpec(
                url=[endpoint_url or f"https://sqs.{region or 'aws-region'}.amazonaws.com"],
                protocol="sqs",
                protocol_version="custom",
                description=description,
                tags=tuple(tags),
                security=security,
            ),
        )

    async def start(self) -> None:
        """Connect, check that all queues and buses exist, and start to consume.

        Raises:
            QueueMissing: a queue does not exist.
            BusMissing: an event bus does not exist.
            FifoNotSupported: a queue is a FIFO queue.
            SetupError: the drain time is shorter than a long poll.
        """
        try:
            await self.connect()
            self._check_drain_timeout()
            await self._require_targets(self.config.declare)
            await super().start()
        except BaseException:
            await self.stop()
            raise

    async def stop(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """Drain the subscribers, send pending messages, and disconnect."""
        try:
            await super().stop(exc_type, exc_val, exc_tb)
        finally:
            await self.config.disconnect()
            self._connection = None

    async def publish(
        self,
        message: Any = None,
        queue: str = "",
        *,
        attributes: Mapping[str, AttributeValue] | None = None,
        delay: float = 0,
        group_id: str | None = None,
        correlation_id: str | None = None,
        reply_to: str = "",
    ) -> str | None:
        """Send one message and return its SQS message id. Messages sent at the same time share requests.

        Args:
            message: the body. Text and bytes are sent verbatim, anything else as JSON; None is not sent. A consumer
                reads text that looks like JSON as JSON, unless the attribute "content-type" says "text/plain".
            queue: the name of the queue, or the URL of another account's queue.
            attributes: message attributes, at most ten.
            delay: seconds for which the message stays hidden, at most 900; a fraction is rounded up.
            group_id: the message group, on a standard queue for fair queuing.
            correlation_id: ties messages of one conversation together; sent as an attribute.
            reply_to: the queue that the consumer's result is to be sent to; sent as an attribute.

        Raises:
            QueueMissing: the queue does not exist.
            PublishFailed: the message was rejected, or not accepted until its resends ran out.
        """
        cmd = SQSPublishCommand(
            message,
            destination=queue,
            headers=dict(attributes or {}),
            correlation_id=correlation_id,
            reply_to=reply_to,
            delay=delay,
            group_id=group_id,
            _publish_type=PublishType.PUBLISH,
        )
        sent: str | None = await self._basic_publish(cmd, producer=self.config.producer)
        return sent

    async def publish_batch(self, *messages: Any, queue: str, **options: Any) -> list[str | None]:
        """Send several messages and return their SQS message ids; the options are those of `publish`."""
        return list(await asyncio.gather(*(self.publish(message, queue, **options) for message in messages)))

    async def request(self, message: Any, queue: str = "", /, timeout: float = 0.5) -> Any:  # noqa: ASYNC109 - FastStream's signature
        """Not supported: a queue has no reply channel."""
        raise FeatureNotSupportedException("SQS has no request and reply; publish with `reply_to` instead")

    async def ping(self, timeout: float | None = 3.0) -> bool:  # noqa: ASYNC109 - FastStream's signature
        """Whether the broker works: all polls succeed or, without polls, its queues and buses can be found."""
        if self._connection is None:
            return False
        if polling := [each for each in self.subscribers if isinstance(each, QueueSubscriber) and each.calls]:
            return all(subscriber.healthy for subscriber in polling)
        try:
            async with asyncio.timeout(timeout):
                await self._require_targets("verify")
        except (TimeoutError, BotoCoreError, ClientError, QueueMissing, BusMissing):
            return False
        return True

    async def _connect(self) -> Connection:
        await self.config.connect()
        connection: Connection = self.config.connection
        return connection

    async def _require_targets(self, declare: Declare) -> None:
        queues: set[str] = set()
        buses: set[str] = set()
        for subscriber in self.subscribers:
            if isinstance(subscriber, QueueSubscriber):
                queues |= {subscriber.queue, subscriber.dead_letter_queue or subscriber.queue}
        for publisher in self.publishers:
            if isinstance(publisher, SQSPublisher):
                queues.add(publisher.queue)
            elif isinstance(publisher, EventBridgePublisher):
                buses.add(publisher.bus)
        await self.config.connection.require_queues(queues, declare)
        await self.config.connection.require_buses(buses, declare)

    def _check_drain_timeout(self) -> None:
        for subscriber in self.subscribers:
            if isinstance(subscriber, QueueSubscriber) and subscriber.config.wait_time >= self.config.drain_timeout:
                raise SetupError(
                    f"`{subscriber.queue}` polls for {subscriber.config.wait_time} s, and the drain_timeout of "
                    f"{self.config.drain_timeout} s is not longer: messages would be stranded at every stop."
                )
