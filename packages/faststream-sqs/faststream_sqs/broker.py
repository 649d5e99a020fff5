"""The broker: consumes SQS queues, publishes to SQS and EventBridge."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

from aiobotocore.session import AioSession
from botocore.config import Config
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
from faststream.message import gen_cor_id
from faststream.middlewares import AckPolicy
from faststream.response import PublishType
from faststream.security import BaseSecurity
from faststream.specification.schema import BrokerSpec, Tag, TagDict

from .claim_check import ClaimCheck, ClaimStore
from .config import SQSBrokerConfig
from .connection import Connection, Credentials, Declare, Redrive
from .errors import BusMissing, QueueMissing
from .log import make_sqs_logger_state
from .message import SQSMessage
from .producer import EventBridgeProducer, SQSProducer
from .publisher import EventBridgePublisher, SQSPublisher
from .registrator import SQSRegistrator
from .response import HeaderValue, SQSPublishCommand
from .subscriber import QueueSubscriber


class SQSBroker(SQSRegistrator, BrokerUsecase[Any, Connection, SQSBrokerConfig]):
    """Consumes SQS queues, and publishes to queues and to EventBridge.

    Args:
        region: the AWS region; None takes it from the environment.
        endpoint_url: the endpoint of AWS; None takes `AWS_ENDPOINT_URL`, and otherwise AWS itself.
        credentials: explicit credentials; None takes the usual chain of AWS.
        session: an aiobotocore session to use instead of a new one.
        declare: "verify" makes `start` fail if a queue or bus is missing, "create" creates it.
        botocore_config: settings of botocore for all clients, such as proxies; they win over the broker's own.
        claim_check: where bodies are kept in S3 that are too long for SQS, and fetched from. None keeps none.
        reply_queue: the queue that `request` gets replies from, which no other process may read. None takes a temporary
            one, which needs `declare="create"`.
        graceful_timeout: seconds that `stop` waits for handlers; None waits for ever. Polls in flight always end.
        id_generator: makes the correlation ids of messages that are published without one.
        specification_url: the address of the server for AsyncAPI; by default that of the endpoint or the region.
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
        protocol: for AsyncAPI.
        protocol_version: for AsyncAPI.
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
        botocore_config: Config | None = None,
        claim_check: ClaimCheck | None = None,
        reply_queue: str | None = None,
        graceful_timeout: float | None = 20.0,
        id_generator: Callable[[], str] = gen_cor_id,
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
        specification_url: str | None = None,
        protocol: str = "sqs",
        protocol_version: str = "custom",
        description: str | None = None,
        tags: Iterable[Tag | TagDict] = (),
        security: BaseSecurity | None = None,
    ) -> None:
        connection = Connection(
            region=region,
            endpoint_url=endpoint_url,
            credentials=credentials,
            session=session,
            config=botocore_config,
            objects=claim_check is not None,
        )
        super().__init__(
            routers=routers,
            config=SQSBrokerConfig(
                connection=connection,
                producer=SQSProducer(connection),
                event_producer=EventBridgeProducer(connection),
                declare=declare,
                reply_queue=reply_queue,
                claims=None if claim_check is None else ClaimStore(claim_check, lambda: connection.objects),
                id_generator=id_generator,
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
                graceful_timeout=graceful_timeout,
                ack_policy=ack_policy,
                extra_context={"broker": self},
            ),
            specification=BrokerSpec(
                url=[specification_url or _address(region, endpoint_url)],
                protocol=protocol,
                protocol_version=protocol_version,
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
        """
        try:
            await self.connect()
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
        headers: Mapping[str, HeaderValue] | None = None,
        delay: float = 0,
        group_id: str | None = None,
        deduplication_id: str | None = None,
        correlation_id: str | None = None,
        reply_to: str = "",
    ) -> str:
        """Send one message and return its SQS message id. Messages sent at the same time share requests.

        Args:
            message: the body. Text and bytes are sent verbatim, anything else as JSON, each with its content type.
                Bytes that SQS does not take as text travel as base64, and None and empty bodies as one space: the
                header "body-encoding" says so.
            queue: the name of the queue, or the URL of another account's queue.
            headers: message attributes. With the content type, the correlation id and `reply_to`, at most ten.
            delay: seconds for which the message stays hidden, at most 900; a fraction is rounded up.
            group_id: the message group: required by a FIFO queue, and for fair queuing on a standard queue.
            deduplication_id: a FIFO queue drops a second message with it within five minutes. None takes one that
                only a resent request shares; an empty one leaves it to the queue's content-based deduplication.
            correlation_id: ties messages of one conversation together; sent as an attribute.
            reply_to: the queue that the consumer's result is to be sent to; sent as an attribute.

        Raises:
            QueueMissing: the queue does not exist.
            PublishFailed: the message was rejected, or not accepted until its resends ran out.
        """
        cmd = SQSPublishCommand(
            message,
            destination=queue,
            headers=dict(headers or {}),
            correlation_id=correlation_id or self.config.id_generator(),
            reply_to=reply_to,
            delay=delay,
            group_id=group_id,
            deduplication_id=deduplication_id,
            _publish_type=PublishType.PUBLISH,
        )
        sent: str = await self._basic_publish(cmd, producer=self.config.producer)
        return sent

    async def publish_batch(
        self,
        *messages: Any,
        queue: str,
        headers: Mapping[str, HeaderValue] | None = None,
        delay: float = 0,
        group_id: str | None = None,
        correlation_id: str | None = None,
        reply_to: str = "",
    ) -> list[str]:
        """Send several messages and return their SQS message ids; the options are those of `publish`, for each.

        If some are refused the first error is raised; the others may have been sent.
        """
        if not messages:
            return []
        cmd = SQSPublishCommand(
            *messages,
            destination=queue,
            headers=dict(headers or {}),
            correlation_id=correlation_id or self.config.id_generator(),
            reply_to=reply_to,
            delay=delay,
            group_id=group_id,
            _publish_type=PublishType.PUBLISH,
        )
        sent: list[str] = await self._basic_publish_batch(cmd, producer=self.config.producer)
        return sent

    async def request(  # type: ignore[override] # FastStream's takes them by position only, its brokers by name too
        self,
        message: Any,
        queue: str = "",
        *,
        headers: Mapping[str, HeaderValue] | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
        correlation_id: str | None = None,
        timeout: float | None = 30.0,  # noqa: ASYNC109 - FastStream's signature
    ) -> SQSMessage:
        """Send one message, with a queue for replies as its `reply_to`, and return the reply.

        Args:
            message: see `publish`, also for the options not named here.
            queue: the name of the queue.
            headers: message attributes.
            group_id: the message group.
            deduplication_id: for FIFO queues.
            correlation_id: ties the reply to the request: unique among the pending ones.
            timeout: seconds to wait for the reply; None waits for ever.

        Raises:
            TimeoutError: no reply came in time. The consumer may still handle the message.
            SetupError: there is no queue for replies.
            QueueMissing: the queue does not exist.
            PublishFailed: the message was not accepted.
        """
        cmd = SQSPublishCommand(
            message,
            destination=queue,
            headers=dict(headers or {}),
            correlation_id=correlation_id or self.config.id_generator(),
            group_id=group_id,
            deduplication_id=deduplication_id,
            timeout=timeout,
            _publish_type=PublishType.REQUEST,
        )
        reply: SQSMessage = await self._basic_request(cmd, producer=self.config.producer)
        return reply

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
        redrives: dict[str, Redrive] = {}
        buses: set[str] = set()
        for subscriber in self.subscribers:
            if isinstance(subscriber, QueueSubscriber):
                queues |= subscriber.queues
                redrives |= subscriber.redrives
        for publisher in self.publishers:
            if isinstance(publisher, SQSPublisher):
                queues.add(publisher.queue)
            elif isinstance(publisher, EventBridgePublisher):
                buses.add(publisher.bus)
        await self.config.connection.require_queues(queues, declare, redrives)
        await self.config.connection.require_buses(buses, declare)


def _address(region: str | None, endpoint_url: str | None) -> str:
    if endpoint := endpoint_url or os.environ.get("AWS_ENDPOINT_URL"):
        return endpoint
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "aws-region"
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://sqs.{region}.{suffix}"
