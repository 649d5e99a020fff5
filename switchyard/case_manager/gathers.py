"""Gathers: branches of a case that are waited for, and joined once all have ended.

Two steps, so that no order of arrivals loses one: an end is committed before the gather is looked at, and so the last
of them sees all. The joined event is stored by compare-and-swap; a second worker publishes what the first one stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from switchyard.protocol.branches import LATE, BranchEnd, BranchResult, split_tokens
from switchyard.protocol.budgets import BUDGET_EXCEEDED
from switchyard.protocol.catalogue import CASE_MANAGER, Catalogue
from switchyard.protocol.derive import derive_event, stamp_event
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.errors import InvalidEvent, forged
from switchyard.protocol.events.case_manager import BranchesJoined
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.events.router import GatherBranches, JoinBranch
from switchyard.protocol.fields import Json, StorageRef
from switchyard.protocol.received import ReceivedEvent
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.core.periodic import SetAside
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.outbox import event_text
from switchyard.runtime.storage.artefacts import MAX_INLINE_BYTES, move_inline
from switchyard.runtime.storage.objects import ObjectStore

_SQL = load_queries(__file__)
ALL_FAILED = "branches_failed"
DUE_BATCH_SIZE = 100
MAX_INLINE_TOTAL = 5 * MAX_INLINE_BYTES
"""What a joined event may carry of its branches' artefacts; the others move to the object store."""


@dataclass(frozen=True)
class Gathers:
    """The tables of gathers and of their branches' ends. Any case manager may join: nothing waits in memory."""

    database: Database
    clock: Clock
    catalogue: Catalogue
    objects: ObjectStore
    aside: SetAside = field(default_factory=lambda: SetAside("gather"))

    async def open(self, event: ReceivedEvent[GatherBranches]) -> list[Json]:
        """Wait for the branches of a gather. The joined event, if all have ended already. Raises `InvalidEvent`
        (forged) for another command under the id of a known one."""
        envelope = event.envelope
        limit = envelope.time_limit_ms
        due = None if limit is None else self.clock.now() + timedelta(milliseconds=limit)
        await self._database.execute("open", envelope.event_id, envelope.case_id, event_text(event.raw), due)
        return await self._join(envelope.event_id, envelope.case_id, command=envelope.digest)

    async def end_branch(self, event: ReceivedEvent[JoinBranch]) -> list[Json]:
        """Keep the end of a branch. The joined event if it was the last one, and again after that. Raises
        `InvalidEvent` (forged) for a second end of one branch, and for one that the gather does not have."""
        envelope, branch = event.envelope, event.envelope.branch
        if branch is None:
            raise forged("the end of a branch that names no branch", "branch", "see who may publish as the router")
        known = await self._database.value(
            "end_branch", branch.gather, branch.number, envelope.case_id, envelope.event_id, event_text(event.raw)
        )
        if known is not None and str(known) != envelope.event_id:
            raise _forged("the branch has ended already, with another event", "branch")
        return await self._join(branch.gather, envelope.case_id, number=branch.number)

    async def join_due(self) -> list[Json]:
        """Join the gathers whose time is over, without the branches that have not ended."""
        joined: list[Json] = []
        for row in await self._database.rows("due", self.clock.now(), DUE_BATCH_SIZE, self.aside.names()):
            with self.aside.guard(str(row["gather_id"])):
                joined += await self._join(str(row["gather_id"]), str(row["case_id"]), due=True)
        return joined

    @property
    def _database(self) -> Database:
        return self.database.with_queries(_SQL)

    async def _join(
        self, gather_id: str, case_id: str, *, command: str | None = None, number: int | None = None, due: bool = False
    ) -> list[Json]:
        row = await self._database.row("gather", gather_id)
        if row is None:
            return []
        gather = Envelope.model_validate_json(row["command"])
        if gather.case_id != case_id:
            raise _forged("the gather belongs to another case", "branch.gather")
        if command is not None and gather.digest != command:
            raise _forged("another command has this id", "event_id")
        payload = GatherBranches.model_validate_json(json.dumps(json.loads(row["command"])["payload"]))
        if number is not None and number >= len(payload.branches):
            raise _forged(f"the gather has {len(payload.branches)} branches", "branch.number")
        if row["joined"] is not None:
            return [json.loads(row["joined"])]
        rows = await self._database.rows("ends", gather_id)
        ends = {each["branch"]: Envelope.model_validate_json(each["event"]) for each in rows}
        if len(ends) < len(payload.branches) and not due:
            return []
        joined = build_joined(self.catalogue, gather, json.loads(row["command"]).get("state"), payload, ends)
        joined["storage_refs"] = await self._places(gather.case_id, (gather, *ends.values()))
        trace = telemetry.trace_context(gather.trace)
        stamped = stamp_event(joined, occurred_at=timestamp(self.clock.now()), trace=trace)
        if await self._database.execute("join", gather_id, stamped["event_id"], event_text(stamped)) == 1:
            return [stamped]
        row = await self._database.row("gather", gather_id)
        return [json.loads(row["joined"])] if row is not None and row["joined"] is not None else []

    async def _places(self, case_id: str, causes: Sequence[Envelope]) -> Json:
        """The places of all artefacts; no branch replaces one of the gather's or of an earlier branch's. Together they
        may be more than one event can carry."""
        places: Mapping[str, StorageRef] = {
            sha256: ref for each in reversed(causes) for sha256, ref in each.storage_refs.items()
        }
        if _inline_size(places) > MAX_INLINE_TOTAL:
            places = {sha256: await move_inline(self.objects, case_id, sha256, ref) for sha256, ref in places.items()}
        if _inline_size(places) > MAX_INLINE_TOTAL:  # what was not moved is not what it should be
            places = {sha256: ref for sha256, ref in places.items() if ref.inline is None}
        return {sha256: place.model_dump(mode="json", exclude_none=True) for sha256, place in places.items()}


def build_joined(
    catalogue: Catalogue, gather: Envelope, state: Json | None, asked: GatherBranches, ends: Mapping[int, Envelope]
) -> Json:
    """The one event that follows from a gather and the ends of its branches, by number: `BranchesJoined`, or
    `TaskFailed` if none has a result. A branch without an end is late. Without places, clock and trace."""
    results = []
    for number, branch in enumerate(asked.branches):
        end = _read_end(ends[number]) if number in ends else BranchEnd(failure=LATE)
        results.append(BranchResult(agent=branch.agent, part=branch.part, answer=end.answer, failure=end.failure))
    causes = [ends[number] for number in sorted(ends)]
    failures = [(result.agent, result.failure) for result in results if result.failure is not None]
    if len(failures) == len(results) and not asked.earlier:
        remedy = next((failure.remedy for _, failure in failures if failure.remedy), None)
        failed = TaskFailed(
            task=gather.event_id,
            task_type=gather.type,
            # Money that is gone is gone for every branch: the case ends with that outcome.
            code=BUDGET_EXCEEDED if BUDGET_EXCEEDED in {failure.code for _, failure in failures} else ALL_FAILED,
            message="no specialist found an answer",
            remedy=remedy,
            attempts=1,
            causes=tuple(f"{agent}: {failure.code}: {failure.message}"[:2_000] for agent, failure in failures),
        )
        return derive_event(
            catalogue, gather, failed, node_from=CASE_MANAGER, state_seal=gather.state_seal, joined=causes
        )
    shares = split_tokens(gather.budget.tokens, len(asked.branches))
    tokens = sum(ends[number].budget.tokens if number in ends else share for number, share in enumerate(shares))
    joined = BranchesJoined(results=tuple(results), tokens=tokens)
    return derive_event(
        catalogue, gather, joined, node_from=CASE_MANAGER, state=state, state_seal=gather.state_seal, joined=causes
    )


def _inline_size(places: Mapping[str, StorageRef]) -> int:
    return sum(len(place.inline or "") for place in places.values())


def _read_end(event: Envelope) -> JoinBranch:
    return JoinBranch.model_validate_json(json.dumps(event.payload))


def _forged(message: str, field: str) -> InvalidEvent:
    return forged(message, field, "treat it as an incident: only the router ends a branch, and it does so once")
