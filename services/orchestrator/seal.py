"""The seal on the case state: only the router writes state, and it knows its own hand."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from contracts.canonical import canonical
from contracts.envelope import Envelope
from contracts.errors import InvalidEvent, Refusal
from contracts.fields import Json

MIN_KEY_BYTES = 32


class StateSeal:
    """HMAC-SHA-256 over case, seq and state, as `key_id.seq.mac`.

    The first key signs, every key verifies: to rotate, put the new one first and drop the old one when the last case
    on it has closed. Raises `ValueError` for a key under 32 bytes.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        for key_id, key in keys.items():
            if len(key) < MIN_KEY_BYTES or "." in key_id:
                raise ValueError(f"state key {key_id}: at least {MIN_KEY_BYTES} bytes, and no dot in its id")
        if not keys:
            raise ValueError("no state key: the router cannot seal")
        self._keys = dict(keys)
        self._signing = next(iter(self._keys))

    def seal(self, case_id: str, seq: int, state: Json) -> str:
        """The seal of a state that is handed out in an event of this `seq`."""
        return f"{self._signing}.{seq}.{self._mac(self._signing, case_id, seq, state)}"

    def verify(self, envelope: Envelope, state: Json | None) -> Json:
        """The state that an agent returned. Raises `InvalidEvent` (forged) if it is not the one handed to it."""
        key_id, _, rest = (envelope.state_seal or "").partition(".")
        seq_text, _, mac = rest.partition(".")
        if state is None or key_id not in self._keys or not seq_text.isdecimal():
            raise _refused("the event carries no state under a seal of this router")
        seq = int(seq_text)
        if not hmac.compare_digest(mac.encode(), self._mac(key_id, envelope.case_id, seq, state).encode()):
            raise _refused("the state was altered, or belongs to another case")
        if seq + 1 != envelope.seq:
            raise _refused("the state belongs to another step of the case")
        return state

    def _mac(self, key_id: str, case_id: str, seq: int, state: Json) -> str:
        content = canonical({"case_id": case_id, "seq": seq, "state": state})
        return hmac.new(self._keys[key_id], content, hashlib.sha256).hexdigest()


def _refused(message: str) -> InvalidEvent:
    return InvalidEvent(
        Refusal.FORGED, message, field="state_seal", remedy="return state and state_seal untouched, as received"
    )
