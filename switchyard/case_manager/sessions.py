"""Sessions: the cases of one person under one session id are turns. One is open at a time, in the order of arrival."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from switchyard.case_manager.keyed_hash import KeyedHash
from switchyard.case_manager.rejections import SubmissionInvalid
from switchyard.case_manager.store import SessionState
from switchyard.protocol.envelope import add_digest
from switchyard.protocol.fields import Json
from switchyard.protocol.submissions import CaseOpening, Submission, TurnPolicy

MAX_QUEUED = 50
_REMEDY = "submit it under a new idempotency key when an earlier turn has ended"


@dataclass(frozen=True)
class TurnRules:
    """How the turns of a session follow one another: the policy of each playbook that has sessions."""

    policies: Mapping[str, TurnPolicy] = field(default_factory=dict)
    max_queued: int = MAX_QUEUED
    """How many turns of a session may wait behind its open one."""

    def may_queue(self, playbook: str) -> int:
        """How many turns may wait behind the open one."""
        return self.max_queued if self.policies[playbook] == "queue" else 0

    def find_problem(self, playbook: str, session: SessionState) -> SubmissionInvalid | None:
        """Why a submission gets no turn; None if it does."""
        if not session.refused and (not session.open or session.queued < self.may_queue(playbook)):
            return None
        if self.policies[playbook] == "reject":
            return SubmissionInvalid("turn_open", "a turn of the session is open", field="session_id", remedy=_REMEDY)
        what = f"{self.max_queued} turns of the session are waiting"
        return SubmissionInvalid("session_full", what, field="session_id", remedy=_REMEDY)


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
