"""Facts of a case, as intake recorded them: what a command is compared with before anybody acts on it.

The router's word says what to do next. Who asks, in which role, about whom and for what purpose was decided when the
case was opened, and every consumer checks it against the case manager's record.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from switchyard.protocol.envelope import Envelope
from switchyard.protocol.errors import InvalidEvent, forged
from switchyard.protocol.fields import Json

_PINNED = ("tenant", "session_id", "opened_on", "playbook_version", "case_deadline", "principal")
"""Fields of the envelope that every event of a case has from its first one."""


@dataclass(frozen=True)
class CaseFacts:
    """The opening event's fixed fields, and its payload under the payload's own names."""

    pinned: Json
    payload: Json

    @classmethod
    def from_opening(cls, opening: Json) -> CaseFacts:
        """The facts that a case's first event states."""
        return cls({name: opening[name] for name in _PINNED}, opening["payload"])

    @classmethod
    def from_json(cls, text: str) -> CaseFacts:
        """The facts as the case manager's table has them."""
        recorded = json.loads(text)
        return cls(recorded["pinned"], recorded["payload"])

    def to_json(self) -> str:
        """The text that the case manager's table keeps."""
        return json.dumps({"pinned": self.pinned, "payload": self.payload}, ensure_ascii=False, separators=(",", ":"))


def find_contradiction(command: Envelope, facts: CaseFacts | None) -> InvalidEvent | None:
    """Why a command is not one of this case, as an error (forged); None if it is.

    A command may leave a fact out; a field that has the name of a field of the opening means the same and has its
    value: what the case is about, whom, and for what purpose.
    """
    if facts is None:
        remedy = "treat it as an incident: only intake opens cases, and it did not open this one"
        return forged("a command of a case that was never opened", "case_id", remedy)
    claimed = command.model_dump(mode="json", include=set(_PINNED), exclude_none=True)
    for name, value in facts.pinned.items():
        if claimed.get(name) != value:
            return _contradiction(name)
    for name, value in facts.payload.items():
        if name in command.payload and command.payload[name] != value:
            return _contradiction(f"payload.{name}")
    return None


def _contradiction(name: str) -> InvalidEvent:
    remedy = "treat it as an incident: the sender of this command has changed what intake recorded"
    return forged("a command that contradicts what intake recorded of its case", name, remedy)
