"""The envelope of an EventBridge event in an SQS queue."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .errors import PublishFailed
from .json_text import UnreadableJson, read_json

_NO_ACCOUNT = "000000000000"
_TEXTS = ("id", "source", "detail-type", "time")


@dataclass(frozen=True, slots=True)
class EventBridgeEnvelope:
    """One event as EventBridge delivers it.

    Attributes:
        id: assigned by EventBridge; a producer's retry gets a new one, so it does not identify the event itself.
        source: its publisher.
        detail_type: the type of the event.
        time: its time according to the producer, RFC 3339.
        detail: the event's own content.
        resources: ARNs that the event concerns.
        account: the AWS account that published it.
        region: the AWS region in which it was published.
    """

    id: str
    source: str
    detail_type: str
    time: str
    detail: Any
    resources: tuple[str, ...] = ()
    account: str = ""
    region: str = ""

    def detail_text(self) -> str:
        """`detail` as JSON; equal to what was published, though not to the byte."""
        text = json.dumps(self.detail, ensure_ascii=False, separators=(",", ":"))
        try:
            text.encode()
        except UnicodeEncodeError:  # a lone surrogate, which JSON can only hold as an escape
            return json.dumps(self.detail, separators=(",", ":"))
        return text


def open_envelope(body: str) -> EventBridgeEnvelope | None:
    """The envelope in `body`, or None if `body` is not an EventBridge event."""
    # Searching is much cheaper than parsing, and most queues carry either only events or none.
    if '"detail-type"' not in body:
        return None
    try:
        event = read_json(body)
    except UnreadableJson:
        return None
    # The fields of every event (EventBridge user guide, "AWS service event metadata").
    if not isinstance(event, dict) or "detail" not in event:
        return None
    for name in _TEXTS:
        if not isinstance(event.get(name), str):
            return None
    resources, account, region = event.get("resources"), event.get("account"), event.get("region")
    if not isinstance(resources, list):
        resources = []
    return EventBridgeEnvelope(
        id=event["id"],
        source=event["source"],
        detail_type=event["detail-type"],
        time=event["time"],
        detail=event["detail"],
        resources=tuple([each for each in resources if isinstance(each, str)]),
        account=account if isinstance(account, str) else "",
        region=region if isinstance(region, str) else "",
    )


def wrap_event(entry: Mapping[str, Any], *, region: str) -> str:
    """An entry of PutEvents in its EventBridge envelope, for tests without AWS.

    Raises:
        PublishFailed: the detail is not a JSON object, which EventBridge rejects.
    """
    try:
        detail = read_json(entry["Detail"])
    except UnreadableJson:
        detail = None
    if not isinstance(detail, dict):
        raise PublishFailed("MalformedDetail", "Detail is malformed.", permanent=True)
    time_of_event: datetime = entry.get("Time") or datetime.now(UTC)
    envelope = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": entry["DetailType"],
        "source": entry["Source"],
        "account": _NO_ACCOUNT,
        "time": time_of_event.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": entry.get("Resources", []),
        "detail": detail,
    }
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":"))
