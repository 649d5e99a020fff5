"""Very many events, quickly: the events of one case again and again under other ids, with the digests that follow."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import datetime

from switchyard.protocol.digest import event_digest
from switchyard.protocol.envelope import event_id_for
from switchyard.protocol.fields import Json
from tests.unit.audit import cases


def many_bodies(count: int, opened: datetime = cases.OPENED) -> Iterator[str]:
    """The texts of `count` answered cases, nine events each, every one a valid chain."""
    template = [cases.bus_event(event) for event in cases.answered(opened=opened)]
    for number in range(count):
        case_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"many/{number}"))
        cause: Json = {}
        for bus in template:
            detail = bus["detail"]
            event_id = (
                event_id_for(cause["event_id"], detail["node_from"], detail["type"], detail["ordinal"])
                if cause
                else str(uuid.uuid5(uuid.UUID(case_id), "CaseOpened"))
            )
            event = {**detail, "case_id": case_id, "event_id": event_id, "parents": [cause["digest"]] if cause else []}
            cause = {**event, "digest": event_digest(event)}
            yield json.dumps({**bus, "detail": cause}, ensure_ascii=False)
