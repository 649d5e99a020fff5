"""Sessions: the cases of one person under one session id are turns, numbered in the order in which they arrived."""

from __future__ import annotations

from dataclasses import dataclass

from switchyard.case_manager.keyed_hash import KeyedHash
from switchyard.protocol.envelope import add_digest
from switchyard.protocol.fields import Json
from switchyard.protocol.submissions import CaseOpening, Submission


@dataclass(frozen=True)
class SessionState:
    """What is known of a session: how many turns it has had, and the case of the last one."""

    turns: int = 0
    last_case: str | None = None


def session_key(mac: KeyedHash, source: str, submitted: Submission, opening: CaseOpening) -> bytes:
    """The name of a session. Another person's, tenant's or source's submission with the same session id is of another
    session."""
    names = {"session": [submitted.tenant, source, opening.principal, submitted.session_id]}
    return mac(names)


def with_turn(opened: Json, session: SessionState) -> Json:
    """The opening of the session's next turn."""
    place: Json = {"turn": session.turns + 1}
    if session.last_case is not None:
        place["previous_case"] = session.last_case
    whole = {name: value for name, value in opened.items() if name != "digest"}
    return add_digest(whole | {"payload": opened["payload"] | place})
