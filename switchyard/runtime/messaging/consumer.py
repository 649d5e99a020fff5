"""From a message to its one outcome: what every agent's subscriber does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import structlog

from faststream_sqs import MessageLeaseLost as MessageLost
from faststream_sqs import SQSMessage
from switchyard.protocol.catalogue import Catalogue
from switchyard.protocol.derive import build_task_failed, derive_event, stamp_event
from switchyard.protocol.envelope import Envelope, serialize_detail
from switchyard.protocol.errors import InvalidEvent, RejectionReason, forged
from switchyard.protocol.fields import Access, Contract, Json
from switchyard.protocol.received import ReceivedEvent, check_addressed, find_event_type, read_event
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.clock import Clock, moment, timestamp
from switchyard.runtime.core.errors import (
    InboxLeaseLost,
    PermanentTaskError,
    RetryableTaskError,
    TaskError,
    TaskPostponed,
    Unavailable,
)
from switchyard.runtime.core.logs import log_context
from switchyard.runtime.core.task import Task, TaskHandler, TaskResult
from switchyard.runtime.database.circuit_breaker import DatabaseCircuitBreaker, nack_when_unavailable
from switchyard.runtime.messaging.inbox import (
    ClaimBusy,
    ClaimCompleted,
    ClaimConflict,
    ClaimGranted,
    ClaimUnfounded,
    Inbox,
)
from switchyard.runtime.messaging.publisher import Publisher
from switchyard.runtime.messaging.quarantine import Quarantine
from switchyard.runtime.messaging.rollout import Rollout

log = structlog.get_logger(__name__)

MAX_CLAIMS = 20
"""A command that was claimed this often without an outcome takes its worker down each time: it ends as failed."""

COMPLETE_RETRY_S = 0.5
_ENDS_THE_CASE = frozenset({RejectionReason.UNKNOWN, RejectionReason.INVALID})
Perform = Callable[[ClaimGranted], Awaitable[list[Json] | None]]
"""Returns the outcome of a claimed command, or None if it is to be tried again."""


class TaskConsumer:
    """Runs one node's handlers. Call it with a message; it returns when the message may be deleted."""

    def __init__(
        self,
        catalogue: Catalogue,
        node: str,
        handlers: Mapping[type[Contract], TaskHandler],
        *,
        inbox: Inbox,
        publisher: Publisher,
        quarantine: Quarantine,
        breaker: DatabaseCircuitBreaker,
        rollout: Rollout,
        clock: Clock,
        bundle: str,
    ) -> None:
        """`bundle` is the digest of the configuration with which the handlers were made."""
        self.node = node
        self._catalogue = catalogue
        self._handlers = handlers
        self._inbox = inbox
        self._publisher = publisher
        self._quarantine = quarantine
        self._breaker = breaker
        self._rollout = rollout
        self._clock = clock
        self._bundle = bundle

    async def __call__(self, message: SQSMessage) -> None:
        """Handle one message: outcome stored, published, and only then returned from."""
        async with nack_when_unavailable(message, self._breaker):
            await self._take(message)

    async def _take(self, message: SQSMessage) -> None:
        try:
            received = read_event(self._catalogue, message.raw_body, node=self.node)
        except InvalidEvent as rejection:
            if rejection.envelope is None or rejection.reason not in _ENDS_THE_CASE:
                await self.refuse(message, rejection)
            elif not await self._rollout.postpone(message, rejection):
                # What an unreadable payload says is not compared with the case: no handler acts on it.
                envelope = rejection.envelope.model_copy(update={"payload": {}})
                await self._settle(message, envelope, partial(self._reject, envelope, rejection))
            return
        await self._settle(message, received.envelope, partial(self._perform, received))

    async def refuse(self, message: SQSMessage, rejection: InvalidEvent) -> None:
        """Keep the bytes for a person; the case, if there is one, goes on."""
        await self._quarantine.keep(message.raw_body, rejection)

    def check(self, envelope: Envelope) -> None:
        """Raise `InvalidEvent` (forged) for an event that no flow of the catalogue brings to this node."""
        try:
            check_addressed(envelope, find_event_type(self._catalogue, envelope), self.node)
        except InvalidEvent as rejection:
            if rejection.reason is not RejectionReason.UNKNOWN:
                raise

    async def fail_dead_letter(self, command: Envelope) -> None:
        """End a dead letter: publish its stored outcome again or, if it has none, make `TaskFailed` its outcome. Raises
        `Unavailable` if a worker took it meanwhile, `InvalidEvent` (forged) if its id belongs to another event."""
        claim = await self._inbox.claim(command)
        match claim:
            case ClaimCompleted(outputs):
                await self._publisher.publish(outputs)
            case ClaimGranted():
                error = PermanentTaskError(
                    "dead_letter", f"{self.node} could not handle the message", None, "see the worker's log"
                )
                outputs = [
                    self._failed(command, error, claim.failures, causes=(claim.last_error,), access=claim.accesses)
                ]
                await self._publisher.publish(await self._complete(claim, outputs))
            case ClaimConflict():
                raise _conflict()
            case ClaimUnfounded(problem):
                raise problem
            case ClaimBusy():
                raise Unavailable("leased", "a worker took the dead letter's command meanwhile")

    async def _settle(self, message: SQSMessage, envelope: Envelope, perform: Perform) -> None:
        with log_context(envelope), telemetry.tag_span(self.node, envelope):
            claim = await self._inbox.claim(envelope)
            match claim:
                case ClaimCompleted(outputs):
                    await self._publisher.publish(outputs)
                case ClaimBusy(seconds):
                    await message.nack(delay=min(seconds + 0.5, 900.0))
                case ClaimConflict():
                    await self.refuse(message, _conflict())
                case ClaimUnfounded(problem):
                    await self.refuse(message, problem)
                case ClaimGranted():
                    await self._work(message, claim, perform)

    async def _work(self, message: SQSMessage, claim: ClaimGranted, perform: Perform) -> None:
        working = True

        async def renew() -> None:
            # An outcome that is stored has no lease, and publishing it must not be cancelled for want of one.
            if working:
                await self._renew(claim)

        message.on_heartbeat(renew)
        try:
            outcome = await perform(claim)
        except Unavailable:
            await self._inbox.release(claim)
            raise
        except TaskPostponed as postponed:
            working = False
            await self._inbox.release(claim)
            log.info("task.postponed", code=postponed.code, reason=postponed.message, after_s=postponed.after_s)
            await message.nack(delay=postponed.after_s)
            return
        if outcome is None:
            working = False
            await message.nack()
            return
        stored = await self._complete(claim, outcome)
        working = False
        await self._publisher.publish(stored)

    async def _reject(self, envelope: Envelope, rejection: InvalidEvent, _: ClaimGranted) -> list[Json]:
        """The outcome of a command that is authentic but invalid here: the case must end, and say why."""
        code = f"{rejection.reason}_event"
        error = PermanentTaskError(code, rejection.message, rejection.field, rejection.remedy)
        return [self._failed(envelope, error, 0)]

    async def _perform(self, received: ReceivedEvent[Contract], claim: ClaimGranted) -> list[Json] | None:
        """The outcome of a command, or None if the task is to be tried again."""
        envelope = received.envelope
        if claim.claims > MAX_CLAIMS:
            error = PermanentTaskError("worker_lost", f"{claim.claims - 1} workers took this task and none came back")
            return [self._failed(envelope, error, claim.failures, causes=(claim.last_error,), access=claim.accesses)]
        limit, now = envelope.time_limit_ms, self._clock.monotonic()
        over = find_event_type(self._catalogue, envelope).terminal
        task = Task(
            received,
            attempt=claim.failures + 1,
            deadline=None if limit is None else now + limit / 1_000,
            # A case that is over is late for nothing.
            case_deadline_at=None
            if over
            else now + (moment(envelope.case_deadline) - self._clock.now()).total_seconds(),
            accesses=claim.accesses,
            model_attempts=claim.model_attempts,
            clock=self._clock,
        )
        result = await self._attempt(task)
        if not isinstance(result, TaskError):
            log.info("task.done", attempt=task.attempt)
            return result
        telemetry.mark_span_failed(result.code)
        allowed = envelope.budget.attempts
        log.warning("task.failed", code=result.code, reason=result.message, attempt=task.attempt, allowed=allowed)
        if isinstance(result, RetryableTaskError) and task.attempt < allowed:
            await self._inbox.fail(claim, f"{result.code}: {result.message}", model_attempts=result.model_attempts)
            return None
        return [self._failed(envelope, result, task.attempt, causes=(claim.last_error,), access=task.accesses)]

    async def _attempt(self, task: Task[Contract]) -> list[Json] | RetryableTaskError | PermanentTaskError:
        """Run the handler within the task's time limit; what it raises becomes one of the two families."""
        limit = task.envelope.time_limit_ms
        timer = asyncio.timeout(None if limit is None else limit / 1_000)
        try:
            async with timer:
                result = await self._handlers[type(task.payload)](task)
            reply = result if isinstance(result, TaskResult) else TaskResult(result)
            payloads = (reply.payload, *reply.reports)
            return [self._outcome(task, reply, *each, len(payloads)) for each in enumerate(payloads)]
        except (Unavailable, InboxLeaseLost, TaskPostponed):
            raise
        except (RetryableTaskError, PermanentTaskError) as error:
            return error
        except InvalidEvent as error:
            return PermanentTaskError("bad_result", error.message, error.field, error.remedy)
        except Exception as error:
            if timer.expired():
                return RetryableTaskError("time_limit", f"no result within {limit} ms")
            # The boundary: a defect in a handler must end its task, not the worker, which handles others.
            log.exception("task.defect", defect=type(error).__name__)
            return RetryableTaskError("defect", f"{self.node} raised {type(error).__name__}")

    async def _complete(self, claim: ClaimGranted, outputs: list[Json]) -> list[Json]:
        """Store the outcome. The work is done: a database that is away is waited for while the heartbeat goes on."""
        while True:
            try:
                return await self._inbox.complete(claim, outputs)
            except Unavailable:
                self._breaker.trip()
                await asyncio.sleep(COMPLETE_RETRY_S)

    async def _renew(self, claim: ClaimGranted) -> None:
        try:
            await self._inbox.renew(claim)
        except Unavailable:
            # No other worker can claim it while the database is unreachable: the fencing token decides afterwards.
            log.warning("lease.not_renewed", code="database_unreachable")
        except InboxLeaseLost as error:
            raise MessageLost(str(error)) from error

    def _outcome(self, task: Task[Contract], reply: TaskResult, ordinal: int, payload: Contract, siblings: int) -> Json:
        """The event that a result, or a report besides, becomes. Raises `InvalidEvent` if it may not be one, or is too
        large for the bus."""
        # Only the router gets its state back, and the places that belong to it.
        routed, answer = self._catalogue.of(type(payload)).stateful, ordinal == 0
        event = derive_event(
            self._catalogue,
            task.envelope,
            payload,
            node_from=self.node,
            ordinal=ordinal,
            siblings=siblings,
            state=task.received.raw.get("state") if routed else None,
            state_seal=task.envelope.state_seal if routed else None,
            storage_refs={**task.storage_refs, **task.written_refs} if routed else None,
            model_call=reply.model_call if answer else None,
            bundle=self._bundle,
            access=task.accesses if answer else (),
            rubric_score=reply.rubric_score if answer else None,
        )
        stamped = self.stamped(event)
        serialize_detail(
            stamped
        )  # before it is stored: an outcome that cannot be published would never leave the inbox
        return stamped

    def _failed(
        self,
        envelope: Envelope,
        error: TaskError,
        attempts: int,
        *,
        causes: tuple[str | None, ...] = (),
        access: Sequence[Access] = (),
    ) -> Json:
        log.warning("task.ended", code=error.code, reason=error.message, field=error.field, attempts=attempts)
        failed = build_task_failed(
            self._catalogue,
            envelope,
            self.node,
            error,
            attempts,
            causes=causes,
            access=access,
            bundle=self._bundle,
        )
        return self.stamped(failed)

    def stamped(self, event: Json) -> Json:
        """The event with this producer's clock and trace."""
        return stamp_event(event, occurred_at=timestamp(self._clock.now()), trace=telemetry.trace_context())


def _conflict() -> InvalidEvent:
    return forged("an event id that was used before with another digest", "event_id")
