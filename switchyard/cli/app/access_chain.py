"""Who read what in whose name, as `case show` prints it: user, agent, service."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from switchyard.cli.app.console import WIDE, console, print_text

if TYPE_CHECKING:
    from switchyard.protocol.fields import Json
    from switchyard.runtime.storage.artefacts import Artefacts

SHORT_ID, SHORT_TOKEN = 8, 16


def list_accesses(events: Sequence[Json]) -> list[dict[str, Any]]:
    """The credentials that the steps of a case used, in their order."""
    return [
        {"seq": event["seq"], "event_id": event["event_id"], **access}
        for event in events
        for access in event.get("access", ())
    ]


async def read_user(artefacts: Artefacts, events: Sequence[Json]) -> str | None:
    """The user's own name, from the sealed statement of the ingress; None for a case that no ingress signed.

    Raises `CommandFailed` if the statement cannot be opened.
    """
    from switchyard.cli.app.audit_log import read_artefact

    attested = events[0]["payload"].get("attested") if events else None
    if not attested:
        return None
    statement = (await read_artefact(artefacts, events[0], attested["statement"])).decode()
    payload = statement.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"])


def print_accesses(accesses: Sequence[dict[str, Any]], user: str | None) -> None:
    """Two lines for each access; ids are cut where 80 columns demand it. `user` is the name behind the pseudonym."""
    narrow = console.width < WIDE
    for access in accesses:
        subject, grant = (access[name][: SHORT_ID if narrow else None] for name in ("subject", "grant"))
        token = access["jti"][: SHORT_TOKEN if narrow else None]
        who = subject if user is None else f"{user} {subject}"
        print_text(f"user {who} → {access['agent']} → {access['audience']}")
        print_text(f"  {' '.join(access['scopes'])}  token {token}  grant {grant}", style="dim")
