"""A rolling deploy: an event of the new release may reach a process of the old one. It is left on its queue for a
while, so that a process of the new release takes it, and refused only then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import structlog

from faststream_sqs import SQSMessage
from switchyard.protocol.errors import InvalidEvent, NotDeployed
from switchyard.runtime.core.backoff import backoff_s
from switchyard.runtime.core.clock import Clock, SystemClock, moment
from switchyard.runtime.core.logs import log_context

log = structlog.get_logger(__name__)

MAX_POSTPONEMENT_S = 30.0
"""Ten minutes in looks of at most this are 24 receives, far from the 100 after which a message is a dead letter."""

CASE_DEADLINE_MARGIN = timedelta(seconds=30)
"""Before its deadline a case is ended with the cause; after it, it would end as `expired`."""


def postponement_s(*, age: timedelta, receives: int, grace: timedelta, case_left: timedelta) -> float | None:
    """Seconds until the next delivery; None if the grace period is over and the event is rejected.

    `age` is how long the message has been on its queue, `case_left` what the case has until its deadline; `receives`
    counts this time, too.
    """
    left = min(grace - age, case_left - CASE_DEADLINE_MARGIN).total_seconds()
    if left <= 0:
        return None
    # SQS takes whole seconds; a delay under one second would be zero, and the message would spin.
    return max(1.0, min(backoff_s(receives, longest=MAX_POSTPONEMENT_S, jitter=False), left))


class Rollout:
    """Leaves events of a newer release on the queue for a grace period."""

    def __init__(self, clock: Clock, *, grace_s: float) -> None:
        self._clock = clock
        # SQS stamps a message by its own clock, which is right even where the local stack's clock is set forward.
        self._queue_clock = SystemClock()
        self._grace = timedelta(seconds=grace_s)

    async def postpone(self, message: SQSMessage, rejection: InvalidEvent) -> bool:
        """Whether the message now waits on its queue for another release; if not, it is to be refused."""
        envelope = rejection.envelope
        if envelope is None or not isinstance(rejection, NotDeployed):
            return False
        seconds = postponement_s(
            age=self._queue_clock.now() - datetime.fromtimestamp(message.sent_at / 1_000, UTC),
            receives=message.receive_count,
            grace=self._grace,
            case_left=moment(envelope.case_deadline) - self._clock.now(),
        )
        if seconds is None:
            return False
        with log_context(envelope):
            log.warning(
                "message.early",
                alarm="not_deployed",
                reason=rejection.message,
                field=rejection.field,
                again_in_s=seconds,
            )
        await message.nack(delay=seconds)
        return True
