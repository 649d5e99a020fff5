"""The message that every contender handles: an event of about 1 KB, as EventBridge delivers it to a queue."""

import json
from typing import Any

DETAIL: dict[str, Any] = {
    "event_id": "5c6f2bd0-6d0a-5f34-9d83-0d4a3b3a2a11",
    "type": "FindingsReady",
    "tenant": "northfork",
    "case_id": "fa3d6d43-b21d-5156-b94e-8cb919368a6c",
    "session_id": "s-ana-0617",
    "seq": 4,
    "node_from": "text_to_sql",
    "node_to": "router",
    "parents": ["f903705c" * 8],
    "digest": "c90984836895abcd" * 4,
    "payload": {
        "columns": ["BASIN", "OIL_BBL"],
        "rows": [["Permian", "7361077.04"], ["Williston", "1747089.29"], ["Eagle Ford", "1617008.91"]],
        "note": "x" * 200,
    },
}

EVENT: dict[str, Any] = {
    "version": "0",
    "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
    "detail-type": "FindingsReady",
    "source": "switchyard.text_to_sql",
    "account": "111122223333",
    "time": "2026-06-17T18:43:48Z",
    "region": "us-east-1",
    "resources": [],
    "detail": DETAIL,
}

EVENT_TEXT = json.dumps(EVENT)
