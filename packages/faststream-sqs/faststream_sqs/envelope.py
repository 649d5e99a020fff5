"""The envelope of an EventBridge event in an SQS queue."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .errors import PublishFailed

_NO_ACCOUNT = "000000000000"


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
        return json.dumps(self.detail, ensure_ascii=False, separators=(",", ":"))


def open_envelope(body: str) -> EventBridgeEnvelope | None:
    """The envelope in `body`, or None if `body` is not an EventBridge event."""
    # Searching is much cheaper than parsing, and most queues carry either only events or none.
    if '"detail-type"' not in body:
        return None
    try:
        event = json.loads(body)
        # The fields of every event (EventBridge user guide, "AWS service event metadata").
        return EventBridgeEnvelope(
            id=event["id"],
            source=event["source"],
            detail_type=event["detail-type"],
            time=event["time"],
            detail=event["detail"],
            resources=tuple(event.get("resources", ())),
            account=event.get("account", ""),
            region=event.get("region", ""),
        )
    except (ValueError, KeyError, TypeError):  # not JSON, a missing field, or not an object
        return None


def wrap_event(entry: Mapping[str, Any], *, region: str) -> str:
    """An entry of PutEvents in its EventBridge envelope, for tests without AWS.

    Raises:
        PublishFailed: the detail is not a JSON object, which EventBridge rejects.
    """
    try:
        detail = json.loads(entry["Detail"])
    except ValueError:
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
