"""The inbox: each command has one outcome.

A consumer claims a command with a lease and a fencing token, and completes it by compare-and-swap with its output
events stored in the outbox. A second worker publishes what the first one stored. Claims, completions and renewals of
concurrent messages share statements.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from faststream_sqs import Coalescer
from switchyard.protocol.case_facts import CaseFacts, find_contradiction
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Access, Json
from switchyard.runtime.core.errors import InboxLeaseLost
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
INBOX_BATCH_SIZE = 50
MAX_MODEL_ATTEMPTS_KEPT = 6
"""The latest; two models are asked up to three times a delivery at most, and what matters is how each ended last."""

_BUSY_AGAIN_S = 1.0
_ACCESSES = TypeAdapter(list[Access])


@dataclass(frozen=True)
class ClaimGranted:
    """The command is ours until the lease ends. `claims` counts this one, `failures` the handlers that raised."""

    event_id: str
    token: int
    claims: int
    failures: int
    last_error: str | None
    model_attempts: tuple[Json, ...] = ()
    """What models did in earlier attempts, oldest first."""
    accesses: list[Access] = field(default_factory=list)
    """The credentials that earlier attempts used. This attempt adds its own: `fail` and `release` keep them."""


@dataclass(frozen=True)
class ClaimCompleted:
    """The command has its outcome: publish it again."""

    outputs: list[Json]


@dataclass(frozen=True)
class ClaimBusy:
    """Another worker holds the lease for about `seconds`."""

    seconds: float


@dataclass(frozen=True)
class ClaimConflict:
    """The same event id was claimed before with another digest: somebody forged one of the two."""

    known_digest: str


@dataclass(frozen=True)
class ClaimUnfounded:
    """What intake recorded of the case contradicts the command, or no such case was opened: somebody forged it."""

    problem: InvalidEvent


ClaimResult = ClaimGranted | ClaimCompleted | ClaimBusy | ClaimConflict | ClaimUnfounded


@dataclass(frozen=True)
class InboxProgress:
    """What the inbox knows of a command that turned up in the dead-letter queue."""

    outputs: list[Json] | None
    leased_for: float
    claims: int
    failures: int
    last_error: str | None


class Inbox:
    """The inbox of one consumer. Every method raises `Unavailable` when the database cannot be reached."""

    def __init__(self, pool: Pool, *, lease_s: float) -> None:
        self._database = Database(pool, "the work database", _SQL)
        self._lease_s = lease_s
        self._claims = Coalescer[Envelope, ClaimResult](self._claim, max_items=INBOX_BATCH_SIZE)
        self._completions = Coalescer[tuple[ClaimGranted, str], bool](self._complete, max_items=INBOX_BATCH_SIZE)
        self._renewals = Coalescer[ClaimGranted, bool](self._renew, max_items=INBOX_BATCH_SIZE)

    async def claim(self, command: Envelope) -> ClaimResult:
        """Take the command, or learn why not. A command is granted only if it agrees with the case's recorded facts,
        which are read in the statement that grants it."""
        claim: ClaimResult = await self._claims.submit(command)
        return claim

    async def complete(self, claim: ClaimGranted, outputs: Sequence[Json]) -> list[Json]:
        """Store the outcome unless there is one, and return the stored one: publish that, not your own."""
        if await self._completions.submit((claim, json.dumps(outputs, ensure_ascii=False, separators=(",", ":")))):
            return list(outputs)
        outputs_of = await self._database.value("outputs_of", claim.event_id)
        if outputs_of is None:
            raise InboxLeaseLost("lease_lost", "another worker took the task over and has not finished")
        stored: list[Json] = json.loads(outputs_of)
        return stored

    async def renew(self, claim: ClaimGranted) -> None:
        """Prolong the lease. Raises `InboxLeaseLost` if another worker has taken the command over or completed it."""
        if not await self._renewals.submit(claim):
            raise InboxLeaseLost("lease_lost", "another worker took the task over")

    async def fail(self, claim: ClaimGranted, error: str, *, model_attempts: Sequence[Json] = ()) -> int:
        """Count a failed attempt and free the lease; return how many there were. Neither text holds payload text."""
        kept = [*claim.model_attempts, *model_attempts][-MAX_MODEL_ATTEMPTS_KEPT:]
        failures: int | None = await self._database.value(
            "fail",
            claim.event_id,
            claim.token,
            error.replace("\x00", "")[:2_000],
            json.dumps(kept),
            _accesses_text(claim),
        )
        if failures is None:
            raise InboxLeaseLost("lease_lost", "another worker took the task over")
        return failures

    async def release(self, claim: ClaimGranted) -> None:
        """Give the command back as if it had not been claimed: what the handler needs is away, which is no attempt."""
        await self._database.execute("release", claim.event_id, claim.token, _accesses_text(claim))

    async def progress_of(self, event_id: str) -> InboxProgress | None:
        """What is known of a command, without claiming it; None if it never started."""
        row = await self._database.row("progress", event_id)
        if row is None:
            return None
        outputs = None if row["outputs"] is None else json.loads(row["outputs"])
        return InboxProgress(outputs, row["leased_for"], row["claims"], row["failures"], row["last_error"])

    async def close(self) -> None:
        """Finish what is under way."""
        for coalescer in (self._claims, self._completions, self._renewals):
            await coalescer.close()

    async def _claim(self, commands: list[Envelope]) -> list[ClaimResult | BaseException]:
        # One statement may touch a row once: the second copy of a command in a batch waits for the first.
        first = {command.event_id: index for index, command in reversed(list(enumerate(commands)))}
        wanted = [commands[index] for index in first.values()]
        rows = await self._database.rows(
            "claim",
            [command.event_id for command in wanted],
            [command.digest for command in wanted],
            [command.case_id for command in wanted],
            [command.type for command in wanted],
            self._lease_s,
        )
        verdicts = {str(row["event_id"]): row for row in rows}
        results = [
            _claim_result(verdicts[command.event_id], command)
            if first[command.event_id] == index
            else ClaimBusy(_BUSY_AGAIN_S)
            for index, command in enumerate(commands)
        ]
        unfounded = [
            command.event_id
            for command, result in zip(commands, results, strict=True)
            if isinstance(result, ClaimUnfounded)
        ]
        if unfounded:
            await self._database.execute("forget", unfounded, [verdicts[each]["token"] for each in unfounded])
        return [*results]

    async def _complete(self, items: list[tuple[ClaimGranted, str]]) -> list[bool | BaseException]:
        rows = await self._database.rows(
            "complete",
            [claim.event_id for claim, _ in items],
            [claim.token for claim, _ in items],
            [outputs for _, outputs in items],
        )
        won = {(str(row["event_id"]), row["token"]) for row in rows}
        return [(claim.event_id, claim.token) in won for claim, _ in items]

    async def _renew(self, claims: list[ClaimGranted]) -> list[bool | BaseException]:
        rows = await self._database.rows(
            "renew", [claim.event_id for claim in claims], [claim.token for claim in claims], self._lease_s
        )
        held = {(str(row["event_id"]), row["token"]) for row in rows}
        return [(claim.event_id, claim.token) in held for claim in claims]


def _accesses_text(claim: ClaimGranted) -> str | None:
    return _ACCESSES.dump_json(claim.accesses).decode() if claim.accesses else None


def _claim_result(row: Any, command: Envelope) -> ClaimResult:
    if row["token"] is not None:
        facts = None if row["facts"] is None else CaseFacts.from_json(row["facts"])
        problem = find_contradiction(command, facts)
        if problem is not None:
            return ClaimUnfounded(problem)
        attempts = tuple(json.loads(row["model_attempts"] or "[]"))
        return ClaimGranted(
            command.event_id,
            row["token"],
            row["claims"],
            row["failures"] or 0,
            row["last_error"],
            attempts,
            _ACCESSES.validate_json(row["accesses"] or "[]"),
        )
    if row["known_digest"] is None:
        return ClaimBusy(_BUSY_AGAIN_S)  # inserted by another worker after this statement's snapshot
    if row["known_digest"] != command.digest:
        return ClaimConflict(row["known_digest"])
    if row["outputs"] is not None:
        return ClaimCompleted(json.loads(row["outputs"]))
    return ClaimBusy(row["leased_for"] or _BUSY_AGAIN_S)
