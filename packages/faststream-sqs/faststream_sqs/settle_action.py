"""The settle action after a handler: decided by pure functions, then carried out."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from faststream.exceptions import (
    AckMessage,
    HandlerException,
    NackMessage,
    RejectMessage,
    StopConsume,
    SubscriberNotFound,
)
from faststream.message import AckStatus
from faststream.middlewares import AckPolicy

from .delivery import SQSDelivery
from .errors import BatchItemFailed, MessageLeaseLost
from .invalid import is_invalid


@dataclass(frozen=True, slots=True)
class SettleAction:
    """The action for the messages of one handler call that the handler has not settled itself.

    Attributes:
        status: acknowledge, retry or reject; None leaves them to their visibility timeout.
        delay: seconds before the retry; None takes the retry policy.
        reason: the reason of a rejection.
        failed: retry only the messages with these ids; `status` applies to the others.
        release: the retry is at once and does not count as a failure.
        stop: stop the subscriber afterwards.
        stop_application: stop the application afterwards.
    """

    status: AckStatus | None
    delay: float | None = None
    reason: str = ""
    failed: frozenset[str] = frozenset()
    release: bool = False
    stop: bool = False
    stop_application: bool = False


ACK = SettleAction(AckStatus.ACKED)
LEAVE = SettleAction(None)
RELEASE = SettleAction(AckStatus.NACKED, release=True)

_ON_ERROR = {
    AckPolicy.ACK: AckStatus.ACKED,
    AckPolicy.ACK_FIRST: AckStatus.ACKED,
    AckPolicy.NACK_ON_ERROR: AckStatus.NACKED,
    AckPolicy.REJECT_ON_ERROR: AckStatus.REJECTED,
    AckPolicy.MANUAL: None,
}


def action_on_success(policy: AckPolicy) -> SettleAction:
    """The action for a handler that returned; what it returned says nothing about its messages."""
    return LEAVE if policy is AckPolicy.MANUAL else ACK


def action_on_error(policy: AckPolicy, error: BaseException, message_ids: Sequence[str] | None) -> SettleAction:
    """The action for a handler that raised.

    Args:
        policy: the subscriber's ack policy.
        error: what it raised.
        message_ids: the ids of the batch; None if the handler takes single messages.
    """
    # The reason names the error but does not quote it: a validation error contains the message.
    action = SettleAction(_ON_ERROR[policy], reason=type(error).__name__)
    match error:
        case BatchItemFailed() if message_ids is not None:
            action = _partly(policy, error.message_ids, message_ids)
        case AckMessage():
            action = ACK
        case NackMessage():
            action = SettleAction(AckStatus.NACKED, delay=error.extra_options.get("delay"))
        case RejectMessage():
            action = SettleAction(AckStatus.REJECTED, reason=error.extra_options.get("reason", ""))
        case MessageLeaseLost() | HandlerException():
            action = LEAVE
        case SubscriberNotFound():
            # No retry will find a handler.
            action = SettleAction(AckStatus.REJECTED, reason="no handler accepts this message")
        case StopConsume():
            action = replace(action, stop=True)
        case SystemExit():
            action = replace(action, stop=True, stop_application=True)
        case _ if policy is AckPolicy.NACK_ON_ERROR and is_invalid(error):
            # No retry will make it valid.
            action = replace(action, status=AckStatus.REJECTED)
    return action


def _partly(policy: AckPolicy, failed: frozenset[str], message_ids: Sequence[str]) -> SettleAction:
    # An id that is not in the batch is a mistake of the handler: its other ids are not trusted either.
    if not failed <= frozenset(message_ids):
        return SettleAction(_ON_ERROR[policy], reason="the handler named messages that are not in the batch")
    return SettleAction(AckStatus.ACKED, failed=failed)


def settle_deliveries(
    action: SettleAction,
    deliveries: Sequence[SQSDelivery],
    log: Callable[[int, str, BaseException | None], None],
) -> Awaitable[Any]:
    """Apply the action to the deliveries, except settled or lost ones.

    A failure is logged: the message is delivered again when its visibility timeout ends.
    """
    if len(deliveries) == 1:
        return _carry_out(action, deliveries[0], log)
    return asyncio.gather(*(_carry_out(action, delivery, log) for delivery in deliveries))


async def _carry_out(
    action: SettleAction,
    delivery: SQSDelivery,
    log: Callable[[int, str, BaseException | None], None],
) -> None:
    if delivery.lost or delivery.status is not None or action.status is None:
        return
    try:
        if action.release:
            await delivery.release()
        elif delivery.message_id in action.failed or action.status is AckStatus.NACKED:
            await delivery.nack(action.delay)
        elif action.status is AckStatus.ACKED:
            await delivery.ack()
        else:
            await delivery.reject(action.reason)
    except Exception as error:  # noqa: BLE001 - any failure leaves the message to its queue
        log(logging.ERROR, f"message {delivery.message_id} could not be settled and will return: {error}", None)
