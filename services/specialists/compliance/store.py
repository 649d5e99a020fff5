"""The verdict table: what was decided, once a command, kept for as long as the law asks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime

from contracts.documents.reviews import ReviewStage
from contracts.events import compliance as verdicts
from switchyard.protocol.fields import Contract, ModelCall, StorageRef
from switchyard.runtime.core.task import Task, TaskResult
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
_OUTCOMES: dict[str, type[Contract]] = {
    outcome.__name__: outcome
    for outcome in (
        verdicts.ContactAllowed,
        verdicts.ContactBlocked,
        verdicts.EmailPassed,
        verdicts.RevisionNeeded,
        verdicts.EmailBlocked,
        verdicts.SendingAllowed,
        verdicts.SendingDeferred,
        verdicts.ReviewOutdated,
    )
}


@dataclass(frozen=True)
class VerdictSubject:
    """What a verdict is about."""

    stage: ReviewStage
    pack: str
    purpose: str
    account_sha256: str
    content_sha256: str | None
    rules: tuple[str, ...]
    recorded_at: datetime
    retain_until: date


class VerdictStore:
    """Records verdicts and finds them again."""

    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool, "the verdict table", _SQL)

    async def find_recorded(self, task: Task[Contract]) -> TaskResult | None:
        """The verdict that an earlier attempt at this command recorded. Its artefacts' places go on with the task."""
        row = await self._database.row("recorded", task.envelope.event_id)
        if row is None:
            return None
        for sha256, place in json.loads(row["places"]).items():
            task.written_refs[sha256] = StorageRef.model_validate(place)
        return TaskResult(
            _OUTCOMES[row["outcome"]].model_validate_json(row["payload"]),
            model_call=None if row["model_call"] is None else ModelCall.model_validate_json(row["model_call"]),
            rubric_score=row["rubric_score"],
        )

    async def record(self, task: Task[Contract], reply: TaskResult, about: VerdictSubject) -> TaskResult:
        """Record a verdict and return the one that counts: another attempt's, if that was faster."""
        places = {sha256: place.model_dump(exclude_none=True) for sha256, place in task.written_refs.items()}
        approval: str | None = getattr(reply.payload, "approval", None)
        await self._database.execute(
            "record",
            task.envelope.event_id,
            task.envelope.case_id,
            task.envelope.tenant,
            about.stage,
            type(reply.payload).__name__,
            about.pack,
            about.purpose,
            about.account_sha256,
            about.content_sha256,
            list(about.rules),
            reply.rubric_score,
            approval,
            reply.payload.model_dump_json(exclude_none=True),
            json.dumps(places),
            None if reply.model_call is None else reply.model_call.model_dump_json(exclude_none=True),
            about.recorded_at,
            about.retain_until,
        )
        task.written_refs.clear()  # the review that goes on is that of the verdict that counts
        counts = await self.find_recorded(task)
        if counts is None:
            raise LookupError("the verdict that was just recorded is gone")
        return counts

    async def packs_passed(
        self, case_id: str, content_sha256: str, account_sha256: str, purpose: str
    ) -> frozenset[str]:
        """The packs under which the last review of exactly this content, for this account and purpose, passed."""
        rows = await self._database.rows("passes", case_id, content_sha256, account_sha256, purpose)
        return frozenset(row["pack"] for row in rows if row["outcome"] == verdicts.EmailPassed.__name__)
