"""The session of a started subscriber: polls, leases and settlements."""

import asyncio
import logging
import math
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from faststream.message import AckStatus

from .claim_check import is_claim
from .connection import Connection
from .delivery import SQSDelivery
from .errors import UnreadableBody
from .lease_renewer import LeaseRenewer
from .limits import is_fifo
from .producer import SQSProducer
from .queue_poll import RawMessage, Receiver
from .retry import RetryPolicy
from .settle_action import RELEASE, SettleAction, settle_deliveries
from .settlement import Settlement


class LogFunction(Protocol):
    """Writes one line."""

    def __call__(self, level: int, message: str, error: BaseException | None = None, /) -> None: ...


class QueueSession:
    """Polls, leases and settlements of one started subscriber.

    Args:
        connection: the clients.
        producer: sends the copies of rejected messages.
        queue: the name of the queue.
        url: the URL of the queue.
        dead_letter_queue: the name of the queue for rejected messages, or None.
        visibility_timeout: seconds of a lease.
        retry: the delays of retried messages.
        max_receives: the receipt at which a failing message is rejected; None without a limit.
        detail_types: the event types to take; None takes all messages.
        sources: the event sources to take; None takes all messages.
        log: writes a line.
    """

    def __init__(
        self,
        connection: Connection,
        producer: SQSProducer,
        *,
        queue: str,
        url: str,
        dead_letter_queue: str | None,
        visibility_timeout: float,
        retry: RetryPolicy,
        max_receives: int | None,
        detail_types: Collection[str] | None,
        sources: Collection[str] | None,
        log: LogFunction,
    ) -> None:
        self.queue = queue
        self._retry = retry
        self._max_receives = max_receives
        self._detail_types = detail_types
        self._sources = sources
        self._log = log
        self._claims = producer.claims
        self._settling: set[asyncio.Task[None]] = set()
        self._settlement = Settlement(
            connection.sending,
            queue=queue,
            url=url,
            copy=None if dead_letter_queue is None else partial(producer.copy, dead_letter_queue),
            on_no_dead_letter_queue=self._log_no_dead_letter_queue,
        )
        self._lease_renewer = LeaseRenewer(connection.sending, url=url, visibility=visibility_timeout, log=log)
        self._receiver = Receiver(
            connection.polling,
            url=url,
            visibility=math.ceil(visibility_timeout),
            release=self._release_raw,
        )

    async def receive(self, limit: int, wait: int) -> list[SQSDelivery]:
        """Wait up to `wait` seconds for up to `limit` messages; reject messages that this subscriber does not take.

        Raises:
            ClientError: SQS rejected the poll.
            BotoCoreError: SQS is unreachable.
        """
        accepted: list[SQSDelivery] = []
        for raw in await self._receiver.receive(limit, wait):
            delivery = self._deliver(raw)
            try:
                reason = delivery.describe_excess() or describe_mismatch(delivery, self._detail_types, self._sources)
            except Exception as error:  # noqa: BLE001 - one message must not take its neighbours with it
                reason = f"unreadable ({type(error).__name__})"
            self._lease_renewer.hold(delivery)
            if reason:
                self._settle([delivery], SettleAction(AckStatus.REJECTED, reason=reason))
            else:
                accepted.append(delivery)
        return accepted if self._claims is None else await self._with_claims(accepted)

    async def _with_claims(self, deliveries: list[SQSDelivery]) -> list[SQSDelivery]:
        """Those whose bodies are here, in order. On a FIFO queue nothing overtakes one whose body is not."""
        fetched = await asyncio.gather(*map(self._fetch, deliveries))
        ready: list[SQSDelivery] = []
        blocked: set[str | None] = set()
        for delivery, is_here in zip(deliveries, fetched, strict=True):
            if not is_here:
                blocked.add(delivery.group_id)
            elif is_fifo(self.queue) and delivery.group_id in blocked:
                self.release([delivery])
            else:
                ready.append(delivery)
        return ready

    async def _fetch(self, delivery: SQSDelivery) -> bool:
        """Fetch the body if the message points to one; if it is not to be had, settle the message."""
        if self._claims is None or not is_claim(delivery.raw):
            return True
        try:
            delivery.payload = await self._claims.fetch(delivery.raw)
        except UnreadableBody as error:
            self._settle([delivery], SettleAction(AckStatus.REJECTED, reason=str(error)))
        except Exception as error:  # noqa: BLE001 - it may be there next time
            self._log(logging.WARNING, f"the body of message {delivery.message_id} could not be fetched: {error!r}")
            self._settle([delivery], SettleAction(AckStatus.NACKED))
        return delivery.payload is not None

    def drop(self, delivery: SQSDelivery) -> None:
        """Stop renewing the lease of this delivery."""
        self._lease_renewer.drop(delivery)

    def release(self, deliveries: Sequence[SQSDelivery]) -> None:
        """Make deliveries visible again, in the background."""
        self._settle(deliveries, RELEASE)

    async def close(self) -> None:
        """Wait for abandoned polls, rejections and settlements in progress."""
        await self._receiver.close()
        if self._settling:
            await asyncio.wait(self._settling)
        await self._lease_renewer.close()
        await self._settlement.close()

    def _deliver(self, raw: RawMessage) -> SQSDelivery:
        return SQSDelivery(
            raw,
            queue=self.queue,
            settlement=self._settlement,
            retry=self._retry,
            max_receives=self._max_receives,
            release_lease=self._lease_renewer.drop,
        )

    async def _release_raw(self, messages: list[RawMessage]) -> None:
        await settle_deliveries(RELEASE, [self._deliver(raw) for raw in messages], self._log)

    def _settle(self, deliveries: Sequence[SQSDelivery], verdict: SettleAction) -> None:
        task = asyncio.ensure_future(settle_deliveries(verdict, deliveries, self._log))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    def _log_no_dead_letter_queue(self, raw: Mapping[str, Any], reason: str) -> None:
        self._log(
            logging.ERROR,
            f"message {raw['MessageId']} is rejected ({reason}) and `{self.queue}` has no dead-letter queue here: "
            "it is left to the queue's redrive policy",
        )


def describe_mismatch(
    delivery: SQSDelivery, detail_types: Collection[str] | None, sources: Collection[str] | None
) -> str | None:
    """The reason why a subscriber with these event types and sources does not take the message, or None."""
    if detail_types is None and sources is None:
        return None
    if (envelope := delivery.envelope) is None:
        return "not an EventBridge event"
    if detail_types is not None and envelope.detail_type not in detail_types:
        return f"unexpected detail-type {envelope.detail_type}"
    if sources is not None and envelope.source not in sources:
        return f"unexpected source {envelope.source}"
    return None
