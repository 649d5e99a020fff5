"""The verdict table: one verdict per command, kept for the legal retention period."""

from __future__ import annotations

import json

from contracts.documents.reviews import ReviewStage
from contracts.events import compliance as events
from contracts.events.router import CheckContact, CheckSending, ReviewEmail
from services.specialists.compliance.rules.record import retain_at_least
from services.specialists.compliance.rules.rule import RuleInput
from switchyard.protocol.fields import Contract, ModelCall, StorageRef
from switchyard.runtime.core.task import Task, TaskResult
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.database.session_scope import SessionScope

_OUTCOMES: dict[str, type[Contract]] = {
    outcome.__name__: outcome
    for outcome in (
        events.ContactAllowed, events.ContactBlocked, events.EmailPassed, events.RevisionNeeded, events.EmailBlocked,
        events.SendingAllowed, events.SendingDeferred, events.ReviewOutdated,
    )
}  # fmt: skip


class VerdictStore:
    """Records verdicts and returns recorded ones. Raises `Unavailable` when the database cannot be reached."""

    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool, "the verdict table", load_queries(__file__))

    async def find_recorded(self, task: Task[Contract]) -> TaskResult | None:
        """The verdict that an earlier attempt at this command recorded; its storage refs are added to the task."""
        async with self._database.transaction(SessionScope.of(task.envelope)) as database:
            row = await database.row("recorded", task.envelope.event_id)
        if row is None:
            return None
        for sha256, ref in json.loads(row["places"]).items():
            task.written_refs[sha256] = StorageRef.model_validate(ref)
        return TaskResult(
            _OUTCOMES[row["outcome"]].model_validate_json(row["payload"]),
            model_call=None if row["model_call"] is None else ModelCall.model_validate_json(row["model_call"]),
            rubric_score=row["rubric_score"],
        )

    async def record(
        self,
        task: Task[CheckContact] | Task[ReviewEmail] | Task[CheckSending],
        reply: TaskResult,
        situation: RuleInput,
        stage: ReviewStage,
        *,
        rules: tuple[str, ...] = (),
        content_sha256: str | None = None,
    ) -> TaskResult:
        """Record a verdict and return the one that counts: that of another attempt, if it was faster."""
        refs = {sha256: ref.model_dump(exclude_none=True) for sha256, ref in task.written_refs.items()}
        envelope, payload, call = task.envelope, reply.payload, reply.model_call
        async with self._database.transaction(SessionScope.of(envelope)) as database:
            await database.execute(
                "record", envelope.event_id, envelope.case_id, stage, type(payload).__name__, situation.pack.version,
                situation.purpose, task.payload.account.sha256, content_sha256, list(rules), reply.rubric_score,
                getattr(payload, "approval", None), payload.model_dump_json(exclude_none=True), json.dumps(refs),
                None if call is None else call.model_dump_json(exclude_none=True), situation.now,
                retain_at_least(situation),
            )  # fmt: skip
        task.written_refs.clear()  # only the review of the verdict that counts is published
        counts = await self.find_recorded(task)
        if counts is None:
            raise LookupError("the verdict that was just recorded is missing")
        return counts

    async def packs_passed(self, task: Task[CheckSending]) -> frozenset[str]:
        """The packs under which the latest review of the command's content, account and purpose passed."""
        envelope, command = task.envelope, task.payload
        async with self._database.transaction(SessionScope.of(envelope)) as database:
            rows = await database.rows(
                "passes", envelope.case_id, command.content_sha256, command.account.sha256, command.purpose
            )
        return frozenset(row["pack"] for row in rows if row["outcome"] == events.EmailPassed.__name__)
