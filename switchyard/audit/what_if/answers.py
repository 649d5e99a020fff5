"""What is compared of an answer's event. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.events.router import CloseCase
from switchyard.protocol.fields import Json


def describe_ways(events: Sequence[Json]) -> str:
    """Where a decision sends a case, and how it ends it."""
    return " and ".join(
        f"{event['type']} to {event['node_to']}"
        + (f" as {event['payload']['outcome']}" if event["type"] == CloseCase.__name__ else "")
        for event in events
    )


def name_outcome(event: Json) -> str:
    """The event's type; of a failure with its code."""
    return f"{event['type']} ({event['payload']['code']})" if event["type"] == TaskFailed.__name__ else event["type"]


def compared_fields(event: Json, no_difference: Sequence[str]) -> dict[str, Any]:
    """The payload without what belongs to one attempt, and without the names of the configuration."""
    if event["type"] == TaskFailed.__name__:
        return {name: event["payload"].get(name) for name in ("code", "message")}
    return {name: value for name, value in event["payload"].items() if name not in no_difference}


def find_artefacts(value: Any) -> Iterator[Mapping[str, Any]]:
    """The references to artefacts in a payload."""
    if isinstance(value, dict):
        if {"name", "sha256", "media_type"} <= value.keys():
            yield value
        else:
            for each in value.values():
                yield from find_artefacts(each)
    elif isinstance(value, list):
        for each in value:
            yield from find_artefacts(each)
