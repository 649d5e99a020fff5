"""What SQS accepts of a message, checked before it is sent: SQS answers with less, and may refuse the whole request."""

import re
from collections.abc import Mapping
from typing import Any

from .errors import PublishFailed

MAX_ATTRIBUTES = 10
"""Message attributes that SQS accepts on one message."""

MAX_SQS_REQUEST_BYTES = 1024 * 1024
"""Bytes of bodies and attributes, of one message and of one request (SQS, since August 2025)."""

MAX_DELAY = 900
"""Seconds for which a message can stay hidden after it was sent."""

MAX_WAIT_TIME = 20
"""Seconds of a long poll (SQS API reference, ReceiveMessage)."""

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""A character that SQS rejects in a string (SQS API reference, SendMessage)."""

_NAME = re.compile(r"(?!aws\.|amazon\.)(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)", re.IGNORECASE)
_GROUP_OR_DEDUPLICATION_ID = re.compile(r"[!-~]{1,128}")


def is_fifo(queue: str) -> bool:
    """Whether a name or URL is that of a FIFO queue."""
    return queue.endswith(".fifo")


def check_entry(entry: Mapping[str, Any], queue: str) -> int:
    """The bytes of an entry of SendMessageBatch as SQS counts them.

    Raises:
        PublishFailed: SQS would refuse it; the error names the field and the remedy.
    """
    attributes: Mapping[str, Any] = entry.get("MessageAttributes", {})
    if FORBIDDEN.search(entry["MessageBody"]):
        raise _refused("InvalidMessageContents", "the body has a control character or half a character: send bytes")
    if len(attributes) > MAX_ATTRIBUTES:
        raise _refused(
            "TooManyAttributes",
            f"{len(attributes)} exceed {MAX_ATTRIBUTES}. Content type, correlation id and reply_to take one each: send "
            "fewer headers",
        )
    for name, value in attributes.items():
        _check_attribute(name, value)
    _check_fifo(entry, queue)
    if not 0 <= entry.get("DelaySeconds", 0) <= MAX_DELAY:
        raise _refused("InvalidParameterValue", f"delay must be from 0 to {MAX_DELAY} seconds")
    weight = weigh(entry)
    if weight > MAX_SQS_REQUEST_BYTES:
        raise _refused("MessageTooLong", f"{weight} bytes exceed {MAX_SQS_REQUEST_BYTES}")
    return weight


def weigh(entry: Mapping[str, Any]) -> int:
    """Bytes as SQS counts them: the body, and the name, type and value of each attribute."""
    total = len(entry["MessageBody"].encode())
    for name, value in entry.get("MessageAttributes", {}).items():
        content = value.get("BinaryValue")
        size = len(content) if content is not None else len(value["StringValue"].encode())
        total += len(name.encode()) + len(value["DataType"]) + size
    return total


def _check_attribute(name: str, value: Mapping[str, Any]) -> None:
    if not _NAME.fullmatch(name):
        raise _refused(
            "InvalidParameterValue",
            f"SQS does not accept the header name {name[:256]!r}: letters, digits, `_`, `-` and single dots, "
            "not beginning with `AWS.` or `Amazon.`",
        )
    if not (value.get("StringValue") or value.get("BinaryValue")):
        raise _refused("InvalidParameterValue", f"the header `{name}` is empty, which SQS refuses: leave it out")
    if FORBIDDEN.search(value.get("StringValue", "")):
        raise _refused("InvalidParameterValue", f"the header `{name}` has a control character: send it as bytes")


def _check_fifo(entry: Mapping[str, Any], queue: str) -> None:
    group, deduplication = entry.get("MessageGroupId"), entry.get("MessageDeduplicationId")
    for name, value in (("group_id", group), ("deduplication_id", deduplication)):
        if value is not None and not _GROUP_OR_DEDUPLICATION_ID.fullmatch(value):
            raise _refused("InvalidParameterValue", f"{name} must be 1 to 128 visible ASCII characters")
    if is_fifo(queue):
        if group is None:
            raise _refused("MissingParameter", f"`{queue}` is a FIFO queue: give the message a group_id")
        if entry.get("DelaySeconds"):
            raise _refused("InvalidParameterValue", f"`{queue}` is a FIFO queue, which takes no delay per message")
    elif deduplication is not None:
        raise _refused("InvalidParameterValue", f"`{queue}` is not a FIFO queue: leave out deduplication_id")


def _refused(code: str, message: str) -> PublishFailed:
    return PublishFailed(code, message, permanent=True)
