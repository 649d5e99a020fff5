"""Renews the leases (visibility timeouts) of messages that are being processed."""

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine
from itertools import islice
from typing import Any

from .batch_call import MAX_ENTRIES, Results, from_error, sqs_results
from .delivery import MAX_VISIBILITY, SQSDelivery
from .errors import MessageLeaseLost, RequestFailed

# The part of its interval after which a lease is renewed together with due ones, to fill the request.
_EARLY_RENEWAL_SHARE = 0.25
# How much sooner than usual a failed renewal is retried.
_RETRY_RENEWAL_SHARE = 0.25


class LeaseRenewer:
    """Renews the visibility timeout of every held message at a third of it, and cancels the work on lost ones.

    A renewal that fails in transport is repeated until the lease ends; a rejection by SQS is final. A lost message is
    neither settled nor released: its worker is cancelled, and SQS delivers it again.

    Args:
        client: the SQS client to use.
        url: the URL of the queue.
        visibility: the visibility timeout in seconds. SQS counts whole seconds: it is rounded up there.
        log: writes a line: level, text and error.
        clock: the time in seconds.
    """

    def __init__(
        self,
        client: Any,
        *,
        url: str,
        visibility: float,
        log: Callable[[int, str, BaseException | None], None],
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._client = client
        self._url = url
        self._visibility = visibility
        self._interval = visibility / 3
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._clock = clock or self._loop.time
        self._held: dict[SQSDelivery, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def hold(self, delivery: SQSDelivery) -> None:
        """Renew this message's lease from now, the moment of its receipt, until `drop`."""
        now = self._clock()
        delivery.received_at = now
        delivery.expires_at = now + self._visibility
        delivery.next_renewal_at = now + self._interval
        self._held[delivery] = None
        # New leases end later than those already held, so the armed timer is early enough.
        if self._timer is None:
            self._timer = self._loop.call_later(self._interval, self._on_timer)

    def drop(self, delivery: SQSDelivery) -> None:
        """Stop renewing this message's lease."""
        self._held.pop(delivery, None)

    async def close(self) -> None:
        """Stop renewing all leases and wait for the renewals in flight."""
        self._held.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _on_timer(self) -> None:
        self._timer = None
        try:
            self.renew_due()
        finally:
            self._set_timer()

    def _set_timer(self) -> None:
        """Set the timer to the earliest renewal or expiry."""
        if not self._held:
            return
        wake = min(min(d.next_renewal_at, d.expires_at) for d in self._held)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(wake - self._clock(), 0.01), self._on_timer)

    def renew_due(self) -> None:
        """Renew the leases that are due and end the work on those that have expired."""
        now = self._clock()
        for delivery in [d for d in self._held if d.expires_at <= now]:
            self._mark_lost(delivery, "it was not renewed in time")
        if any(d.next_renewal_at <= now for d in self._held):
            soon = now + self._interval * _EARLY_RENEWAL_SHARE
            self._renew([d for d in self._held if d.next_renewal_at <= soon], now)

    def _renew(self, due: list[SQSDelivery], now: float) -> None:
        renewable: list[SQSDelivery] = []
        for delivery in due:
            delivery.next_renewal_at = now + self._interval
            if delivery.heartbeats and delivery.heartbeat_task is None:
                delivery.heartbeat_task = self._spawn(self._call_back(delivery))
            if now + 1 <= delivery.received_at + MAX_VISIBILITY:
                renewable.append(delivery)
        batches = iter(renewable)
        while batch := list(islice(batches, MAX_ENTRIES)):
            self._spawn(self._extend(batch, now))

    async def _extend(self, batch: list[SQSDelivery], now: float) -> None:
        for delivery, result in zip(batch, await self._request(batch, now), strict=True):
            if delivery not in self._held:
                continue
            if result is None:
                delivery.expires_at = min(now + self._visibility, delivery.received_at + MAX_VISIBILITY)
            elif result.permanent:
                self._mark_lost(delivery, f"SQS rejected the renewal: {result}")
            else:
                message = f"renewing the lease of message {delivery.message_id} failed: {result}"
                self._log(logging.WARNING, message, None)
                delivery.next_renewal_at = self._clock() + self._interval * _RETRY_RENEWAL_SHARE
                self._set_timer()

    async def _request(self, batch: list[SQSDelivery], now: float) -> Results[None]:
        entries = [
            {
                "Id": str(i),
                "ReceiptHandle": d.receipt_handle,
                "VisibilityTimeout": min(math.ceil(self._visibility), int(d.received_at + MAX_VISIBILITY - now)),
            }
            for i, d in enumerate(batch)
        ]
        try:
            response = await self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
            return sqs_results(response, len(batch), lambda _: None)
        except Exception as error:  # noqa: BLE001 - any failure is repeated
            failed = from_error(error)
            # A rejection of the whole request does not end a single lease; only time does.
            return [RequestFailed(failed.code, failed.message)] * len(batch)

    async def _call_back(self, delivery: SQSDelivery) -> None:
        try:
            for callback in delivery.heartbeats:
                await callback()
        except MessageLeaseLost as error:
            self._mark_lost(delivery, f"its heartbeat reported it: {error}")
        except Exception as error:  # noqa: BLE001 - foreign code; a failed heartbeat is retried and must not stop the others
            self._log(logging.ERROR, f"a heartbeat of message {delivery.message_id} failed", error)
        finally:
            delivery.heartbeat_task = None

    def _mark_lost(self, delivery: SQSDelivery, reason: str) -> None:
        if delivery.lost or delivery.status is not None:
            return
        self._log(logging.WARNING, f"the lease of message {delivery.message_id} is lost: {reason}", None)
        delivery.abandon()
        if delivery.worker is not None:
            delivery.worker.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task: asyncio.Task[None] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
