"""Work has one outcome: the inbox.

A consumer claims a command with a lease and a fencing token, and completes it by compare-and-swap with its output
events stored. Whoever comes second publishes what the first one stored. Claims, completions and renewals of concurrent
messages share statements.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from faststream_sqs import Coalescer
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.fields import Json
from switchyard.runtime.core.errors import LeaseLost
from switchyard.runtime.database.connections import Pool, reaching
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
BATCH = 50
KEPT_MODEL_ATTEMPTS = 6
"""The latest; two models are asked up to three times a delivery at most, and what matters is how each ended last."""

_BUSY_AGAIN_S = 1.0


@dataclass(frozen=True)
class Granted:
    """The command is ours until the lease ends. `claims` counts this one, `failures` the handlers that raised."""

    event_id: str
    token: int
    claims: int
    failures: int
    last_error: str | None
    model_attempts: tuple[Json, ...] = ()
    """What models did in earlier attempts, oldest first."""


@dataclass(frozen=True)
class Done:
    """The command has its outcome: publish it again."""

    outputs: list[Json]


@dataclass(frozen=True)
class Busy:
    """Another worker holds the lease for about `seconds`."""

    seconds: float


@dataclass(frozen=True)
class Conflict:
    """The same event id was claimed before with another digest: somebody forged one of the two."""

    known_digest: str


Claim = Granted | Done | Busy | Conflict


@dataclass(frozen=True)
class Progress:
    """What the inbox knows of a command that turned up in the dead-letter queue."""

    outputs: list[Json] | None
    leased_for: float
    claims: int
    failures: int
    last_error: str | None


class Inbox:
    """The inbox of one consumer. Every method raises `Unavailable` when the database cannot be reached."""

    def __init__(self, pool: Pool, *, lease_s: float) -> None:
        self._pool = pool
        self._lease_s = lease_s
        self._claims = Coalescer[Envelope, Claim](self._claim, max_items=BATCH)
        self._completions = Coalescer[tuple[Granted, str], bool](self._complete, max_items=BATCH)
        self._renewals = Coalescer[Granted, bool](self._renew, max_items=BATCH)

    async def claim(self, command: Envelope) -> Claim:
        """Take the command, or learn why not."""
        claim: Claim = await self._claims.submit(command)
        return claim

    async def complete(self, claim: Granted, outputs: Sequence[Json]) -> list[Json]:
        """Store the outcome unless there is one, and return the stored one: publish that, not your own."""
        if await self._completions.submit((claim, json.dumps(outputs, ensure_ascii=False, separators=(",", ":")))):
            return list(outputs)
        with reaching("the work database"):
            row = await self._pool.fetchrow(_SQL["outputs_of"], [claim.event_id])
        if row is None or row["outputs"] is None:
            raise LeaseLost("lease_lost", "another worker took the task over and has not finished")
        stored: list[Json] = json.loads(row["outputs"])
        return stored

    async def renew(self, claim: Granted) -> None:
        """Prolong the lease. Raises `LeaseLost` if another worker has taken the command over or completed it."""
        if not await self._renewals.submit(claim):
            raise LeaseLost("lease_lost", "another worker took the task over")

    async def fail(self, claim: Granted, error: str, *, model_attempts: Sequence[Json] = ()) -> int:
        """Count a failed attempt and free the lease; return how many there were. Neither text holds payload text."""
        kept = [*claim.model_attempts, *model_attempts][-KEPT_MODEL_ATTEMPTS:]
        with reaching("the work database"):
            failures: int | None = await self._pool.fetchval(
                _SQL["fail"], claim.event_id, claim.token, error.replace("\x00", "")[:2_000], json.dumps(kept)
            )
        if failures is None:
            raise LeaseLost("lease_lost", "another worker took the task over")
        return failures

    async def release(self, claim: Granted) -> None:
        """Give the command back as if it had not been claimed: what the handler needs is away, which is no attempt."""
        with reaching("the work database"):
            await self._pool.execute(_SQL["release"], claim.event_id, claim.token)

    async def peek(self, event_id: str) -> Progress | None:
        """What is known of a command, without claiming it; None if it never started."""
        with reaching("the work database"):
            row = await self._pool.fetchrow(_SQL["peek"], event_id)
        if row is None:
            return None
        outputs = None if row["outputs"] is None else json.loads(row["outputs"])
        return Progress(outputs, row["leased_for"], row["claims"], row["failures"], row["last_error"])

    async def close(self) -> None:
        """Finish what is under way."""
        for coalescer in (self._claims, self._completions, self._renewals):
            await coalescer.close()

    async def _claim(self, commands: list[Envelope]) -> list[Claim | BaseException]:
        # One statement may touch a row once: the second copy of a command in a batch waits for the first.
        first = {command.event_id: index for index, command in reversed(list(enumerate(commands)))}
        wanted = [commands[index] for index in first.values()]
        with reaching("the work database"):
            rows = await self._pool.fetch(
                _SQL["claim"],
                [command.event_id for command in wanted],
                [command.digest for command in wanted],
                [command.case_id for command in wanted],
                [command.type for command in wanted],
                self._lease_s,
            )
        verdicts = {str(row["event_id"]): row for row in rows}
        return [
            _verdict(verdicts[command.event_id], command) if first[command.event_id] == index else Busy(_BUSY_AGAIN_S)
            for index, command in enumerate(commands)
        ]

    async def _complete(self, items: list[tuple[Granted, str]]) -> list[bool | BaseException]:
        with reaching("the work database"):
            rows = await self._pool.fetch(
                _SQL["complete"],
                [claim.event_id for claim, _ in items],
                [claim.token for claim, _ in items],
                [outputs for _, outputs in items],
            )
        won = {(str(row["event_id"]), row["token"]) for row in rows}
        return [(claim.event_id, claim.token) in won for claim, _ in items]

    async def _renew(self, claims: list[Granted]) -> list[bool | BaseException]:
        with reaching("the work database"):
            rows = await self._pool.fetch(
                _SQL["renew"], [claim.event_id for claim in claims], [claim.token for claim in claims], self._lease_s
            )
        held = {(str(row["event_id"]), row["token"]) for row in rows}
        return [(claim.event_id, claim.token) in held for claim in claims]


def _verdict(row: Any, command: Envelope) -> Claim:
    if row["token"] is not None:
        attempts = tuple(json.loads(row["model_attempts"] or "[]"))
        return Granted(command.event_id, row["token"], row["claims"], row["failures"] or 0, row["last_error"], attempts)
    if row["known_digest"] is None:
        return Busy(_BUSY_AGAIN_S)  # inserted by another worker after this statement's snapshot
    if row["known_digest"] != command.digest:
        return Conflict(row["known_digest"])
    if row["outputs"] is not None:
        return Done(json.loads(row["outputs"]))
    return Busy(row["leased_for"] or _BUSY_AGAIN_S)
