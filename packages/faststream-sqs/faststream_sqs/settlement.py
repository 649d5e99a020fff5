"""Settles the messages of one queue, in batches."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from .batch_call import BatchCall, Results, sqs_results
from .claim_check import SIZE_ATTRIBUTE
from .encoding import BODY_ENCODING, CONTENT_TYPE
from .errors import MessageLeaseLost, RequestFailed, SettleFailed
from .limits import FORBIDDEN, MAX_ATTRIBUTES

REASON_ATTRIBUTE = "reject-reason"
QUEUE_ATTRIBUTE = "reject-queue"
MESSAGE_ID_ATTRIBUTE = "reject-message-id"

_MAX_REASON = 1024
# Codes of SQS for an invalid receipt.
_LEASE_LOST = frozenset(
    {
        "AWS.SimpleQueueService.MessageNotInflight",
        "InvalidParameterValue",
        "InvalidParameterValueException",
        "MessageNotInflight",
        "ReceiptHandleIsInvalid",
    }
)


def is_lease_lost(error: RequestFailed) -> bool:
    """Whether SQS rejected the request because the receipt is stale."""
    return error.code in _LEASE_LOST


class Settlement:
    """Deletes, postpones and dead-letters the messages of one queue.

    Args:
        client: the SQS client to use.
        queue: the name of the queue, for the copies of rejected messages.
        url: the URL of the queue.
        copy: sends a message, with other attributes, to the dead-letter queue; None without one.
        on_no_dead_letter_queue: called when a message is rejected and there is no dead-letter queue.
    """

    def __init__(
        self,
        client: Any,
        *,
        queue: str,
        url: str,
        copy: Callable[[Mapping[str, Any], Mapping[str, Any]], Awaitable[None]] | None,
        on_no_dead_letter_queue: Callable[[Mapping[str, Any], str], None],
    ) -> None:
        self._client = client
        self._queue = queue
        self._url = url
        self._copy = copy
        self._on_no_dead_letter_queue = on_no_dead_letter_queue
        self._deletes: BatchCall[str, None] = BatchCall(self._delete, failure=SettleFailed)
        self._changes: BatchCall[tuple[str, int], None] = BatchCall(self._change, failure=SettleFailed)

    def delete(self, receipt: str) -> Awaitable[None]:
        """Delete one message; see `SQSDelivery.ack`."""
        return _or_lease_lost(self._deletes.send(receipt))

    def postpone(self, receipt: str, seconds: int) -> Awaitable[None]:
        """Make one message visible again after a number of seconds; see `SQSDelivery.nack`."""
        return _or_lease_lost(self._changes.send((receipt, seconds)))

    @property
    def has_dead_letter_queue(self) -> bool:
        """Whether rejected messages leave the queue."""
        return self._copy is not None

    async def dead_letter(self, raw: Mapping[str, Any], reason: str) -> None:
        """Copy one message to the dead-letter queue and delete it; see `SQSDelivery.reject`."""
        if self._copy is None:
            self._on_no_dead_letter_queue(raw, reason)
            return
        await self._copy(raw, self._rejection_attributes(raw, reason))
        await self.delete(raw["ReceiptHandle"])

    async def close(self) -> None:
        """Send pending requests and return when they have settled."""
        await self._deletes.close()
        await self._changes.close()

    def _rejection_attributes(self, raw: Mapping[str, Any], reason: str) -> dict[str, Any]:
        ours = {
            REASON_ATTRIBUTE: FORBIDDEN.sub("\ufffd", reason)[:_MAX_REASON] or "no reason given",
            QUEUE_ATTRIBUTE: self._queue,
            MESSAGE_ID_ATTRIBUTE: raw["MessageId"],
        }
        theirs = raw.get("MessageAttributes") or {}
        # The reason first, then the message's own attributes, those it is read by before the others, then the rest of
        # ours as far as there is room.
        read_by = [name for name in (SIZE_ATTRIBUTE, BODY_ENCODING, CONTENT_TYPE) if name in theirs]
        attributes: dict[str, Any] = {}
        for name in (REASON_ATTRIBUTE, *read_by, *theirs, QUEUE_ATTRIBUTE, MESSAGE_ID_ATTRIBUTE):
            if name in attributes or len(attributes) == MAX_ATTRIBUTES:
                continue
            mine = {"DataType": "String", "StringValue": ours[name]} if name in ours else None
            attributes[name] = mine or theirs[name]
        return attributes

    async def _delete(self, receipts: list[str]) -> Results[None]:
        entries = [{"Id": str(i), "ReceiptHandle": receipt} for i, receipt in enumerate(receipts)]
        response = await self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)
        return sqs_results(response, len(receipts), lambda _: None)

    async def _change(self, changes: list[tuple[str, int]]) -> Results[None]:
        entries = [
            {"Id": str(i), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
            for i, (receipt, seconds) in enumerate(changes)
        ]
        response = await self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
        return sqs_results(response, len(changes), lambda _: None)


async def _or_lease_lost(sending: Awaitable[None]) -> None:
    try:
        await sending
    except SettleFailed as error:
        if error.permanent and is_lease_lost(error):
            raise MessageLeaseLost(str(error)) from error
        raise
