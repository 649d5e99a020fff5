"""The seal on what the router hands out: only the router writes state, and it knows its own hand.

The seal travels with a command and comes back with the answer. It binds the answer to that one task: to its state, to
the node that was asked, to the command's digest, and to the facts of the case that the next command will inherit. So an
agent can neither alter the state or the facts (whose rows may be read, under whose key, in which playbook), nor answer
another's task, nor answer its own twice.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.catalogue import CASE_MANAGER
from switchyard.protocol.envelope import Envelope, event_id_for
from switchyard.protocol.errors import InvalidEvent, forged
from switchyard.protocol.fields import Json

MIN_STATE_KEY_BYTES = 32
_PARTS = 5


class StateSeal:
    """HMAC-SHA-256, as `key_id.seq.task.state_sha256.mac`.

    The first key signs, every key verifies: to rotate, put the new one first and drop the old one when the last case
    on it has closed. Raises `ValueError` without a key, or for one under 32 bytes.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        for key_id, key in keys.items():
            if len(key) < MIN_STATE_KEY_BYTES or "." in key_id:
                raise ValueError(f"state key {key_id}: at least {MIN_STATE_KEY_BYTES} bytes, and no dot in its id")
        if not keys:
            raise ValueError("no state key: the router cannot seal")
        self._keys = dict(keys)
        self._signing = next(iter(self._keys))

    def seal(self, command: Json) -> str:
        """The seal of a command that is complete but for its seal."""
        state = _sha256(command["state"])
        mac = self._mac(self._signing, _sealed(command, state))
        return f"{self._signing}.{command['seq']}.{command['event_id']}.{state}.{mac}"

    def check_issued(self, command: Json) -> None:
        """Raise `InvalidEvent` (forged) unless the router sealed this very command, which is to be done again."""
        parts = self._parts(command.get("state_seal"))
        state = _sha256(command.get("state") or {})
        if parts[1:4] != (str(command.get("seq")), command.get("event_id"), state):
            raise _seal_error("the command is under the seal of another one")
        if not self._authentic(parts[0], _sealed(command, state), parts[4]):
            raise _seal_error("the command was never issued by this router, or was altered since")

    def verify(self, answer: Envelope) -> str:
        """The id of the task that `answer` answers. Raises `InvalidEvent` (forged) unless it is the one that was asked.
        Needs no state, so that a failure, which carries none, is verified alike."""
        key_id, seq, task, state, mac = self._parts(answer.state_seal)
        # A join has further parents: the ends of the branches that its gather waited for.
        is_join = len(answer.parents) > 1 and answer.node_from == CASE_MANAGER
        content = {
            "case_id": answer.case_id,
            "seq": int(seq),
            "task": task,
            "node": answer.node_from,
            "command": answer.parents[0] if is_join or len(answer.parents) == 1 else None,
            "state": state,
            "facts": _facts({name: _plain(getattr(answer, name)) for name in (*_SEALED_FIELDS, "branch")}),
        }
        if not self._authentic(key_id, content, mac):
            raise _seal_error("the seal does not fit: the case's facts were altered, or it is another's task or case")
        # A branch that never began, because its agent is not deployed, ends in its gather's own place.
        in_place = answer.seq > int(seq) if is_join else answer.seq == int(seq) + 1
        # An answer may have siblings: reports that no node handles.
        if not in_place or answer.ordinal != 0:
            raise _seal_error("the answer is not in the task's place", field="seq")
        if answer.event_id != event_id_for(task, answer.node_from, answer.type):
            raise _seal_error("the answer's id does not follow from the task", field="event_id")
        return task

    def state_of(self, answer: Envelope, state: Json | None) -> Json:
        """The state that came back with a verified answer. Raises `InvalidEvent` (forged) if it was altered."""
        sealed = (answer.state_seal or "").split(".")[3]
        if state is None or not hmac.compare_digest(sealed.encode(), _sha256(state).encode()):
            raise _seal_error("the state was altered", field="state")
        return state

    def _parts(self, seal: object) -> tuple[str, str, str, str, str]:
        parts = seal.split(".") if isinstance(seal, str) else []
        if len(parts) != _PARTS or not self._knows(parts[0]) or not parts[1].isdecimal():
            raise _seal_error("the event carries no seal of this router")
        key_id, seq, task, state, mac = parts
        return key_id, seq, task, state, mac

    def _knows(self, key_id: str) -> bool:
        return key_id in self._keys

    def _authentic(self, key_id: str, content: Json, mac: str) -> bool:
        return hmac.compare_digest(mac.encode(), self._mac(key_id, content).encode())

    def _mac(self, key_id: str, content: Json) -> str:
        return hmac.new(self._keys[key_id], canonical_json(content), hashlib.sha256).hexdigest()


class RecordedSeal(StateSeal):
    """For replaying a log whose chain was proved, without the router's keys: a seal in it is believed.

    What needs no key is checked as ever: that the answer is in its task's place, and that the state is the sealed one.
    A seal that it makes itself says so, and no router believes it. Seals are no content, so no digest shows them.
    """

    def __init__(self) -> None:
        super().__init__({"recorded": bytes(MIN_STATE_KEY_BYTES)})

    def _knows(self, key_id: str) -> bool:
        return True

    def _authentic(self, key_id: str, content: Json, mac: str) -> bool:
        return True

    def _mac(self, key_id: str, content: Json) -> str:
        return "unsealed"


_SEALED_FIELDS = (
    "tenant",
    "session_id",
    "opened_on",
    "playbook_version",
    "case_deadline",
    "principal",
    "budget",
    "attempt",
)
"""What the next command inherits from the answer."""


def _sealed(command: Json, state: str) -> Json:
    return {
        "case_id": command["case_id"],
        "seq": command["seq"],
        "task": command["event_id"],
        "node": command["node_to"],
        "command": command["digest"],
        "state": state,
        "facts": _facts({name: command.get(name) for name in (*_SEALED_FIELDS, "branch")}),
    }


def _facts(facts: Json) -> Json:
    """A command outside every branch is sealed without the word."""
    return facts if facts["branch"] is not None else {name: facts[name] for name in _SEALED_FIELDS}


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json", exclude_none=True) if hasattr(value, "model_dump") else value


def _sha256(state: Json) -> str:
    return hashlib.sha256(canonical_json(state)).hexdigest()


def _seal_error(message: str, *, field: str = "state_seal") -> InvalidEvent:
    return forged(message, field, "return what came with the command untouched, as received")
