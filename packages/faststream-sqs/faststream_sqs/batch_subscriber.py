"""Consuming one queue in batches."""

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from faststream._internal.endpoint.subscriber.call_item import CallsCollection

from .batch_call import MAX_ENTRIES
from .config import SQSSubscriberConfig
from .delivery import SQSDelivery
from .parser import SQSBatchParser
from .queue_session import QueueSession
from .specification import SQSSubscriberSpecification
from .subscriber import QueueSubscriber


class SQSBatchSubscriber(QueueSubscriber):
    """Hands a list of messages to each handler call, gathered over several polls."""

    def __init__(
        self,
        config: SQSSubscriberConfig,
        specification: SQSSubscriberSpecification,
        calls: CallsCollection[Any],
    ) -> None:
        parser = SQSBatchParser()
        config.parser = parser.parse_batch
        config.decoder = parser.decode_batch
        super().__init__(config, specification, calls)

    @property
    def _units_per_poll(self) -> int:
        return 1

    async def _take(self, intake: QueueSession, places: int) -> Sequence[tuple[SQSDelivery, ...]]:
        batch: list[SQSDelivery] = []
        try:
            await self._gather(intake, batch)
        except asyncio.CancelledError:
            # The poll in flight sees to its own messages; those gathered before are ours.
            intake.release(batch)
            raise
        except (BotoCoreError, ClientError) as error:
            if not batch:
                raise
            self._log_line(logging.WARNING, f"a batch of `{self.queue}` stays short, polling failed: {error!r}")
        return [tuple(batch)] if batch else []

    async def _gather(self, intake: QueueSession, batch: list[SQSDelivery]) -> None:
        """Fill `batch` until it is full, `max_wait` has passed since its first message, or the queue is empty."""
        limit = self.config.max_batch
        batch += await intake.receive(min(MAX_ENTRIES, limit), self.config.wait_time)
        deadline = time.monotonic() + self.config.max_wait
        while batch and len(batch) < limit and self._poll_limiter.open:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return
            # SQS waits whole seconds. With less than one left, look once more and be content with what is there.
            wait = min(int(remaining), self.config.wait_time)
            more = await intake.receive(min(MAX_ENTRIES, limit - len(batch)), wait)
            if not more and wait == 0:
                return
            batch += more

    def _members(self, unit: tuple[SQSDelivery, ...]) -> Sequence[SQSDelivery]:
        return unit

    def _claimable(self, unit: tuple[SQSDelivery, ...]) -> Collection[str]:
        return [delivery.message_id for delivery in unit]
