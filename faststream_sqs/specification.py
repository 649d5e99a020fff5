"""What AsyncAPI documents say about the endpoints."""

from typing import Any

from faststream._internal.endpoint.publisher import PublisherSpecification
from faststream._internal.endpoint.subscriber import SubscriberSpecification
from faststream._internal.endpoint.subscriber.call_item import CallsCollection
from faststream.specification.asyncapi.utils import resolve_payloads
from faststream.specification.schema import Message, Operation, PublisherSpec, SubscriberSpec
from faststream.specification.schema.bindings import ChannelBinding, sqs

from .config import SQSBrokerConfig, SQSPublisherSpecificationConfig, SQSSubscriberSpecificationConfig


class SQSSubscriberSpecification(SubscriberSpecification[SQSBrokerConfig, SQSSubscriberSpecificationConfig]):
    """Documents a subscriber."""

    def __init__(
        self,
        _outer_config: SQSBrokerConfig,
        specification_config: SQSSubscriberSpecificationConfig,
        calls: CallsCollection[Any],
        queue: str,
    ) -> None:
        super().__init__(_outer_config, specification_config, calls)
        self.queue = queue

    @property
    def address(self) -> str:
        """The name of the queue."""
        return f"{self._outer_config.prefix}{self.queue}"

    @property
    def channel_labels(self) -> list[str]:
        """One channel, named after the queue."""
        return [self.address]

    def get_schema(self) -> dict[str, SubscriberSpec]:
        """The channel of this subscriber."""
        return {
            self.name: SubscriberSpec(
                address=self.address,
                description=self.description,
                operation=Operation(
                    message=Message(title=f"{self.name}:Message", payload=resolve_payloads(self.get_payloads())),
                    bindings=None,
                ),
                bindings=_queue_binding(self.address),
            )
        }


class SQSPublisherSpecification(PublisherSpecification[SQSBrokerConfig, SQSPublisherSpecificationConfig]):
    """Documents a queue publisher."""

    def __init__(
        self,
        _outer_config: SQSBrokerConfig,
        specification_config: SQSPublisherSpecificationConfig,
        queue: str,
    ) -> None:
        super().__init__(_outer_config, specification_config)
        self.queue = queue

    @property
    def address(self) -> str:
        """The name of the queue."""
        return f"{self._outer_config.prefix}{self.queue}"

    @property
    def name(self) -> str:
        """The key of the channel."""
        return self.config.title_ or f"{self.address}:Publisher"

    def get_schema(self) -> dict[str, PublisherSpec]:
        """The channel of this publisher."""
        return {self.name: _publisher_spec(self, self.address, _queue_binding(self.address))}


class EventBridgePublisherSpecification(PublisherSpecification[SQSBrokerConfig, SQSPublisherSpecificationConfig]):
    """Documents an event publisher."""

    def __init__(
        self,
        _outer_config: SQSBrokerConfig,
        specification_config: SQSPublisherSpecificationConfig,
        bus: str,
        detail_type: str | None,
    ) -> None:
        super().__init__(_outer_config, specification_config)
        self.bus = bus
        self.detail_type = detail_type

    @property
    def name(self) -> str:
        """The key of the channel."""
        subject = f"{self.bus}:{self.detail_type}" if self.detail_type else self.bus
        return self.config.title_ or f"{subject}:Publisher"

    def get_schema(self) -> dict[str, PublisherSpec]:
        """The channel of this publisher."""
        # AsyncAPI has no EventBridge binding.
        return {self.name: _publisher_spec(self, self.bus, None)}


def _publisher_spec(
    specification: SQSPublisherSpecification | EventBridgePublisherSpecification,
    address: str,
    bindings: ChannelBinding | None,
) -> PublisherSpec:
    payload = resolve_payloads(specification.get_payloads(), "Publisher")
    return PublisherSpec(
        address=address,
        description=specification.config.description_,
        operation=Operation(
            message=Message(title=f"{specification.name}:Message", payload=payload),
            bindings=None,
        ),
        bindings=bindings,
    )


def _queue_binding(queue: str) -> ChannelBinding:
    return ChannelBinding(sqs=sqs.ChannelBinding(queue={"name": queue, "fifoQueue": False}))
