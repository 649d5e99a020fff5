"""Metrics with Prometheus. Needs the extra `prometheus`."""

from collections.abc import Callable, Sequence
from typing import Any

from faststream._internal.constants import EMPTY
from faststream.message import StreamMessage
from faststream.prometheus import ConsumeAttrs, MetricsSettingsProvider, PrometheusMiddleware
from faststream.response import PublishCommand
from prometheus_client import CollectorRegistry

from .delivery import SQSDelivery

__all__ = ("SQSPrometheusMiddleware",)

SQS = "aws_sqs"
"""The label `broker`, for queues and for event buses."""


class SQSPrometheusMiddleware(PrometheusMiddleware[Any, PublishCommand]):
    """Counts and measures what is received, processed and published, with FastStream's own metric names.

    The label `handler` is the queue's name, and `destination` that of the queue or bus. Messages are settled
    after the handler: one that the handler did not settle itself counts as `acked` when it returned and as `error` when
    it raised, independently of the `ack_policy`. A batch counts with all its messages, under one
    status.

    Args:
        registry: where the metrics are registered.
        app_name: the label of that name; `metrics_prefix` by default.
        metrics_prefix: what the names begin with.
        received_messages_size_buckets: upper bounds of the sizes, in bytes.
        custom_labels: more labels, fixed or computed from what was received: an `SQSDelivery`, a tuple of them for a
            batch, or None for a publish.
    """

    def __init__(
        self,
        *,
        registry: CollectorRegistry,
        app_name: str = EMPTY,
        metrics_prefix: str = "faststream",
        received_messages_size_buckets: Sequence[float] | None = None,
        custom_labels: dict[str, str | Callable[[Any], str]] | None = None,
    ) -> None:
        super().__init__(
            settings_provider_factory=lambda _: _Settings(),
            registry=registry,
            app_name=app_name,
            metrics_prefix=metrics_prefix,
            received_messages_size_buckets=received_messages_size_buckets,
            custom_labels=custom_labels,
        )


class _Settings(MetricsSettingsProvider[Any, PublishCommand]):
    messaging_system = SQS

    def get_consume_attrs_from_message(self, msg: StreamMessage[Any]) -> ConsumeAttrs:
        raw = msg.raw_message
        deliveries: Sequence[SQSDelivery] = (raw,) if isinstance(raw, SQSDelivery) else raw
        return {
            "destination_name": deliveries[0].queue,
            "message_size": sum(each.size for each in deliveries),
            "messages_count": len(deliveries),
        }

    def get_publish_destination_name_from_cmd(self, cmd: PublishCommand) -> str:
        return cmd.destination
