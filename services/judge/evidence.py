"""What a case says of itself: events as their producers stored them, read as the judge's own role."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from contracts.events.case_manager import CaseOpened
from contracts.events.drafter import AnswerDrafted
from contracts.events.specialists import FindingsReady
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.fields import Artefact, Contract, StorageRef
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.core.task import Task
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.database.session_scope import SessionScope

_SQL = load_queries(__file__)
P = TypeVar("P", bound=Contract)


@dataclass(frozen=True)
class CaseEvidence:
    """The artefacts that are judged, and where their bytes are."""

    question: Artefact
    findings: tuple[Artefact, ...]
    answer: Artefact
    places: dict[str, StorageRef]


class EvidenceReader:
    """Reads the cases that the judge has in hand, one at a time."""

    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool, "the work database", _SQL)

    async def read(self, task: Task[CaseClosed]) -> CaseEvidence:
        """What case manager, specialists and drafter stored of a case. Raises `PermanentTaskError` if the ending is not
        the case manager's, or its answer not the drafter's, and `Unavailable`."""
        envelope = task.envelope
        async with self._database.transaction(SessionScope.of(envelope)) as database:
            rows = await database.rows("evidence", envelope.case_id, envelope.event_id)
        events = [Envelope.model_validate_json(row["event"]) for row in rows]
        opened = _payloads(CaseOpened, events)
        if not opened:
            message, remedy = "the case manager has no such ending of the case", "treat it as an incident"
            raise PermanentTaskError("not_an_ending", message, "event_id", remedy)
        drafts = _payloads(AnswerDrafted, events)
        answer = next((each.answer for each in drafts if each.answer == task.payload.answer), None)
        if answer is None:
            message, remedy = "the drafter has stored no such answer for the case", "treat it as an incident"
            raise PermanentTaskError("not_drafted", message, "payload.answer", remedy)
        return CaseEvidence(
            question=opened[0].question,
            findings=tuple(each for found in _payloads(FindingsReady, events) for each in found.findings),
            answer=answer,
            places={sha256: place for each in events for sha256, place in each.storage_refs.items()},
        )


def _payloads(wanted: type[P], events: Iterable[Envelope]) -> list[P]:
    return [wanted.model_validate_json(json.dumps(each.payload)) for each in events if each.type == wanted.__name__]
