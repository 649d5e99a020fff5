"""The envelope that EventBridge puts around an event on its way to an SQS target."""

import json
from dataclasses import dataclass
from typing import Any

# The fields that every event carries (EventBridge user guide, "AWS service event metadata").
_REQUIRED = ("id", "source", "detail-type", "detail", "time")


@dataclass(frozen=True, slots=True)
class EventBridgeEnvelope:
    """One event as EventBridge delivers it.

    Attributes:
        id: given by EventBridge; a producer's retry gets a new one, so it does not identify the event itself.
        source: who published it.
        detail_type: what kind of event it is.
        time: when it happened according to its producer, RFC 3339.
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
    """The envelope in `body`, or None when `body` is not an EventBridge event."""
    # Searching is much cheaper than parsing, and most queues carry either only events or none.
    if '"detail-type"' not in body:
        return None
    try:
        event = json.loads(body)
    except ValueError:
        return None
    if not isinstance(event, dict) or any(field not in event for field in _REQUIRED):
        return None
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
