"""What becomes of a message when its handler has ended: first decided, then carried out."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from faststream.exceptions import (
    AckMessage,
    FastStreamException,
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


@dataclass(frozen=True, slots=True)
class SettleAction:
    """What to do with the messages of one handler call that the handler has not settled itself.

    Attributes:
        status: acknowledge, retry or reject; None leaves them to their visibility timeout.
        delay: seconds before the retry; None asks the retry policy.
        reason: why they are rejected.
        failed: retry only the messages with these ids and do `status` to the others.
        stop: stop the subscriber afterwards.
        stop_application: stop the application afterwards.
    """

    status: AckStatus | None
    delay: float | None = None
    reason: str = ""
    failed: frozenset[str] = frozenset()
    stop: bool = False
    stop_application: bool = False


ACK = SettleAction(AckStatus.ACKED)
LEAVE = SettleAction(None)
RELEASE = SettleAction(AckStatus.NACKED, delay=0)

_ON_ERROR = {
    AckPolicy.ACK: AckStatus.ACKED,
    AckPolicy.ACK_FIRST: AckStatus.ACKED,
    AckPolicy.NACK_ON_ERROR: AckStatus.NACKED,
    AckPolicy.REJECT_ON_ERROR: AckStatus.REJECTED,
    AckPolicy.MANUAL: None,
}


def action_on_success(policy: AckPolicy, returned: Any, message_ids: Collection[str] | None) -> SettleAction:
    """The verdict on a handler that returned.

    Args:
        policy: the subscriber's.
        returned: what the handler returned; a batch handler may return the ids of the messages that failed.
        message_ids: the ids of the batch; None when the handler takes single messages.
    """
    if policy is AckPolicy.MANUAL:
        return LEAVE
    if message_ids is not None and isinstance(returned, list | tuple | set | frozenset) and returned:
        return _partly(policy, frozenset(map(str, returned)), message_ids)
    return ACK


def action_on_error(policy: AckPolicy, error: BaseException, message_ids: Collection[str] | None) -> SettleAction:
    """The verdict on a handler that raised; the arguments are those of `action_on_success`."""
    # The reason names the error but does not quote it: a validation error contains the message.
    verdict = SettleAction(_ON_ERROR[policy], reason=type(error).__name__)
    match error:
        case BatchItemFailed() if message_ids is not None:
            verdict = _partly(policy, error.message_ids, message_ids)
        case AckMessage():
            verdict = ACK
        case NackMessage():
            verdict = SettleAction(AckStatus.NACKED, delay=error.extra_options.get("delay"))
        case RejectMessage():
            verdict = SettleAction(AckStatus.REJECTED, reason=error.extra_options.get("reason", ""))
        case MessageLeaseLost() | HandlerException():
            verdict = LEAVE
        case SubscriberNotFound():
            # No retry will find a handler.
            verdict = SettleAction(AckStatus.REJECTED, reason="no handler accepts this message")
        case StopConsume():
            verdict = replace(verdict, stop=True)
        case SystemExit():
            verdict = replace(verdict, stop=True, stop_application=True)
    return verdict


def _partly(policy: AckPolicy, failed: frozenset[str], message_ids: Collection[str]) -> SettleAction:
    # An id that is not in the batch is a mistake of the handler: then none of its claims can be trusted.
    if not failed <= frozenset(message_ids):
        return SettleAction(_ON_ERROR[policy], reason="the handler named messages that are not in the batch")
    return SettleAction(AckStatus.ACKED, failed=failed)


async def settle_deliveries(
    verdict: SettleAction,
    deliveries: Sequence[SQSDelivery],
    log: Callable[[int, str, BaseException | None], None],
) -> None:
    """Do to the deliveries what the verdict says; those settled already or lost are left alone.

    What SQS does not accept is logged: the message is delivered again when its visibility timeout ends.
    """
    if len(deliveries) == 1:
        await _carry_out(verdict, deliveries[0], log)
    else:
        await asyncio.gather(*(_carry_out(verdict, delivery, log) for delivery in deliveries))


async def _carry_out(
    verdict: SettleAction,
    delivery: SQSDelivery,
    log: Callable[[int, str, BaseException | None], None],
) -> None:
    if delivery.lost or delivery.status is not None or verdict.status is None:
        return
    try:
        if delivery.message_id in verdict.failed or verdict.status is AckStatus.NACKED:
            await delivery.nack(verdict.delay)
        elif verdict.status is AckStatus.ACKED:
            await delivery.ack()
        else:
            await delivery.reject(verdict.reason)
    except (FastStreamException, BotoCoreError, ClientError) as error:
        log(logging.ERROR, f"message {delivery.message_id} could not be settled and will return: {error}", None)
