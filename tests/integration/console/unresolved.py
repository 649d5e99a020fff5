"""Emails with an unknown outcome, as the email sender leaves them."""

from __future__ import annotations

import json
import uuid
from typing import Any

from tests.unit.protocol.bus_events import golden


async def unresolved_send(owner: Any, case_id: str) -> str:
    """An email with an unknown outcome; its content's hash."""
    command, outcome, content = uuid.uuid4(), uuid.uuid4(), uuid.uuid4().hex * 2
    event = golden("SendingUnknown") | {"event_id": str(outcome), "case_id": case_id}
    await owner.execute("set search_path = email_sender")
    await owner.execute("insert into outbox (event) values ($1)", json.dumps(event))
    await owner.execute(
        """insert into inbox (event_id, digest, case_id, type, token, claims, lease_until, outputs, completed_at)
           values ($1, '', $2, 'SendEmail', 1, 1, now(), array[$3::uuid], now())""",
        *(command, uuid.UUID(case_id), outcome),
    )
    await owner.execute(
        """insert into sending
             (tenant, user_id, session_id, case_id, content_sha256, command_id, pack, state, intended_at)
           values ('acme', 'u', 's', $1, $2, $3, '2026.05', 'unknown', now())""",
        *(uuid.UUID(case_id), content, command),
    )
    await owner.execute("set search_path = case_manager")
    return content
