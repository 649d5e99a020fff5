"""AsyncAPI specifications of the endpoints.

Queues have the SQS channel binding. It is declared in version 0.2.0, the newest that the JSON Schema of AsyncAPI 3.0.0
knows; 0.3.0 differs only in access policies, which are not documented here. Operations and messages have no binding:
the one of an operation is for SNS, and the one of a message must be empty (SQS Bindings, AsyncAPI). EventBridge has
no binding.
"""

import math
from collections.abc import Collection
from typing import Any

from faststream._internal.configs import PublisherSpecificationConfig, SubscriberSpecificationConfig
from faststream._internal.endpoint.publisher import PublisherSpecification
from faststream._internal.endpoint.subscriber import SubscriberSpecification
from faststream._internal.endpoint.subscriber.call_item import CallsCollection
from faststream.specification.asyncapi.utils import resolve_payloads
from faststream.specification.schema import Message, Operation, PublisherSpec, SubscriberSpec
from faststream.specification.schema.bindings import ChannelBinding, sqs

from .config import (
    EventBridgePublisherConfig,
    SQSBrokerConfig,
    SQSSubscriberConfig,
)
from .limits import is_fifo

BINDING_VERSION = "0.2.0"


class SQSSubscriberSpecification(SubscriberSpecification[SQSBrokerConfig, SubscriberSpecificationConfig]):
    """Documents a subscriber."""

    def __init__(
        self,
        _outer_config: SQSBrokerConfig,
        specification_config: SubscriberSpecificationConfig,
        calls: CallsCollection[Any],
        settings: SQSSubscriberConfig,
    ) -> None:
        super().__init__(_outer_config, specification_config, calls)
        self.settings = settings

    @property
    def address(self) -> str:
        """The name of the queue."""
        return f"{self._outer_config.prefix}{self.settings.queue}"

    @property
    def channel_labels(self) -> list[str]:
        """One channel, named after the queue."""
        return [self.address]

    def get_schema(self) -> dict[str, SubscriberSpec]:
        """The channel of this subscriber."""
        return {
            self.name: SubscriberSpec(
                address=self.address,
                description=_paragraphs(self.description, _taken(self.settings)),
                operation=Operation(
                    message=Message(title=f"{self.name}:Message", payload=resolve_payloads(self.get_payloads())),
                    bindings=None,
                ),
                bindings=self._binding(),
            )
        }

    def _binding(self) -> ChannelBinding:
        """The queue as this subscriber uses it: its lease and its long poll are set with each request."""
        queue: dict[str, Any] = {
            **_queue(self.address),
            "visibilityTimeout": math.ceil(self.settings.visibility_timeout),
            "receiveMessageWaitTime": self.settings.wait_time,
        }
        if (dead_letter_queue := self.settings.dead_letter_queue) is not None:
            # FastStream's binding has no `deadLetterQueue` field, so its name goes here.
            name = _name(f"{self._outer_config.prefix}{dead_letter_queue}")
            queue["redrivePolicy"] = {"deadLetterQueue": {"name": name}}
            if self.settings.max_receives is not None:
                queue["redrivePolicy"]["maxReceiveCount"] = self.settings.max_receives
        return _binding(queue)


class SQSPublisherSpecification(PublisherSpecification[SQSBrokerConfig, PublisherSpecificationConfig]):
    """Documents a queue publisher."""

    def __init__(
        self,
        _outer_config: SQSBrokerConfig,
        specification_config: PublisherSpecificationConfig,
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
        binding = _binding(_queue(self.address))
        return {self.name: _publisher_spec(self, self.address, self.config.description_, binding)}


class EventBridgePublisherSpecification(PublisherSpecification[SQSBrokerConfig, PublisherSpecificationConfig]):
    """Documents an event publisher."""

    def __init__(
        self,
        _outer_config: SQSBrokerConfig,
        specification_config: PublisherSpecificationConfig,
        settings: EventBridgePublisherConfig,
    ) -> None:
        super().__init__(_outer_config, specification_config)
        self.settings = settings

    @property
    def name(self) -> str:
        """The key of the channel."""
        bus, detail_type = self.settings.bus, self.settings.detail_type
        subject = f"{bus}:{detail_type}" if detail_type else bus
        return self.config.title_ or f"{subject}:Publisher"

    def get_schema(self) -> dict[str, PublisherSpec]:
        """The channel of this publisher."""
        published = _events(self.settings.detail_type, self.settings.source)
        place = f"Publishes {published} on the EventBridge bus {self.settings.bus}."
        description = _paragraphs(self.config.description_, place)
        return {self.name: _publisher_spec(self, self.settings.bus, description, None)}


def _publisher_spec(
    specification: SQSPublisherSpecification | EventBridgePublisherSpecification,
    address: str,
    description: str | None,
    bindings: ChannelBinding | None,
) -> PublisherSpec:
    payload = resolve_payloads(specification.get_payloads(), "Publisher")
    return PublisherSpec(
        address=address,
        description=description,
        operation=Operation(
            message=Message(title=f"{specification.name}:Message", payload=payload),
            bindings=None,
        ),
        bindings=bindings,
    )


def _binding(queue: dict[str, Any]) -> ChannelBinding:
    return ChannelBinding(sqs=sqs.ChannelBinding(queue=queue, bindingVersion=BINDING_VERSION))


def _queue(queue: str) -> dict[str, Any]:
    return {"name": _name(queue), "fifoQueue": is_fifo(queue)}


def _name(queue: str) -> str:
    return queue.rpartition("/")[2]  # it may be given as a URL


def _taken(settings: SQSSubscriberConfig) -> str | None:
    """The description of a subscriber's filters: its payload is the detail of these events."""
    if settings.detail_types is None and settings.sources is None:
        return None
    return f"Takes {_events(settings.detail_types, settings.sources)}."


def _events(detail_types: Collection[str] | str | None, sources: Collection[str] | str | None) -> str:
    text = "events"
    if detail_types:
        text += f" of type {_either(detail_types)}"
    if sources:
        text += f" from {_either(sources)}"
    return text


def _either(names: Collection[str] | str) -> str:
    return names if isinstance(names, str) else " or ".join(sorted(names))


def _paragraphs(*texts: str | None) -> str | None:
    return "\n\n".join(filter(None, texts)) or None
