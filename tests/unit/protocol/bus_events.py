"""Golden events as EventBridge delivers them, and ways to spoil one."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from switchyard.protocol.digest import event_digest
from switchyard.protocol.envelope import SOURCE_PREFIX
from switchyard.protocol.fields import Json

GOLDEN = Path(__file__).parents[2] / "contract" / "golden"


def golden(name: str, version: int = 1, variant: str = "") -> Json:
    """The golden event of a type, or the one that shows an optional part of it."""
    event: Json = json.loads((GOLDEN / f"{name}.v{version}{'.' + variant if variant else ''}.json").read_text())
    return event


def delivered(event: Json, **bus: Any) -> str:
    """The body of the SQS message; `bus` overrides fields of EventBridge, with `_` for `-`."""
    body: Json = {
        "version": "0",
        "id": "7d1f6a0c-0f6d-4c1b-9f0e-3f6a0b8e5d21",
        "detail-type": event.get("type"),
        "source": f"{SOURCE_PREFIX}{event.get('node_from')}",
        "account": "000000000000",
        "time": "2026-07-01T08:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail": event,
    }
    return json.dumps(body | {name.replace("_", "-"): value for name, value in bus.items()})


def with_digest(event: Json) -> Json:
    """The event with the digest that its content has."""
    return event | {"digest": event_digest(event)}


def changed(event: Json, path: str, value: Any) -> Json:
    """A copy with the value at a dotted path replaced."""
    spoilt = copy.deepcopy(event)
    *parents, last = path.split(".")
    place = spoilt
    for name in parents:
        place = place[name]
    place[last] = value
    return spoilt


def without(event: Json, path: str) -> Json:
    """A copy without the field at a dotted path."""
    spoilt = copy.deepcopy(event)
    *parents, last = path.split(".")
    place = spoilt
    for name in parents:
        place = place[name]
    del place[last]
    return spoilt
