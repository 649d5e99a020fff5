"""Settings of the broker and of its endpoints, in FastStream's form."""

from collections.abc import Collection
from dataclasses import dataclass, field
from types import MappingProxyType

from faststream._internal.configs import (
    BrokerConfig,
    PublisherUsecaseConfig,
    SubscriberUsecaseConfig,
    UnderlyingDriverAnnotation,
    UnderlyingDriverAnnotations,
)
from faststream._internal.constants import EMPTY
from faststream.exceptions import IncorrectState
from faststream.middlewares import AckPolicy

from .claim_check import ClaimStore
from .connection import Connection, Declare
from .producer import EventBridgeProducer, SQSProducer
from .replies import ReplyInbox
from .response import HeaderValue
from .retry import RetryPolicy


def _context_annotations() -> UnderlyingDriverAnnotations:
    # `annotations` imports the broker, which imports this module.
    from . import annotations
    from .broker import SQSBroker
    from .message import SQSBatchMessage, SQSMessage

    return MappingProxyType(
        {
            driver: UnderlyingDriverAnnotation(
                type_hint=getattr(annotations, driver.__name__),
                module="faststream_sqs.annotations",
                name=driver.__name__,
            )
            for driver in (SQSBroker, SQSMessage, SQSBatchMessage)
        }
    )


@dataclass(kw_only=True)
class SQSBrokerConfig(BrokerConfig):
    """Settings that the broker shares with all its endpoints."""

    producer: SQSProducer
    event_producer: EventBridgeProducer
    connection: Connection
    declare: Declare
    reply_queue: str | None
    claims: ClaimStore | None = None
    in_memory: bool = False

    default_driver_annotations: UnderlyingDriverAnnotations = field(default_factory=_context_annotations)

    async def connect(self) -> None:
        """Open the clients."""
        await self.connection.open()
        for producer in (self.producer, self.event_producer):
            producer.connect(self)
        self.producer.claims = self.claims
        self.producer.replies = ReplyInbox(self.connection, queue=self.reply_queue, create=self.declare == "create")

    async def disconnect(self) -> None:
        """Send pending messages and close the clients."""
        try:
            await self.producer.disconnect()
            await self.event_producer.disconnect()
        finally:
            await self.connection.close()


@dataclass(kw_only=True)
class SQSRouterConfig(BrokerConfig):
    """Settings that a router gives to its endpoints."""

    default_driver_annotations: UnderlyingDriverAnnotations = field(default_factory=_context_annotations)

    @property
    def connection(self) -> Connection:
        """Not available: only a broker has one."""
        raise IncorrectState("Include the router in a broker first.")


@dataclass(kw_only=True)
class SQSSubscriberConfig(SubscriberUsecaseConfig):
    """Settings of one subscriber; see `SQSRegistrator.subscriber` for their meaning."""

    _outer_config: SQSBrokerConfig

    queue: str
    dead_letter_queue: str | None
    concurrency: int
    pollers: int
    wait_time: int
    visibility_timeout: float
    retry: RetryPolicy
    max_receives: int | None
    detail_types: Collection[str] | None
    sources: Collection[str] | None
    max_batch: int
    max_wait: float

    @property
    def auto_ack_disabled(self) -> bool:
        """Always: the subscriber settles messages itself, so that a slot is free before the deletion is done."""
        return True

    @property
    def ack_policy(self) -> AckPolicy:
        """How an unsettled message is settled when its handler has ended."""
        if self._ack_policy is not EMPTY:
            return self._ack_policy
        if self._outer_config.ack_policy is not EMPTY:
            return self._outer_config.ack_policy
        return AckPolicy.NACK_ON_ERROR


@dataclass(kw_only=True)
class SQSPublisherConfig(PublisherUsecaseConfig):
    """Settings of one queue publisher."""

    _outer_config: SQSBrokerConfig

    queue: str
    headers: dict[str, HeaderValue]
    reply_to: str
    delay: float
    group_id: str | None


@dataclass(kw_only=True)
class EventBridgePublisherConfig(PublisherUsecaseConfig):
    """Settings of one event publisher."""

    _outer_config: SQSBrokerConfig

    bus: str
    source: str | None
    detail_type: str | None
