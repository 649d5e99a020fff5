"""A rolling deploy: an event of the new release may reach a process of the old one.

It is left on its queue for a while, so that a process of the new release takes it, and refused only then.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import structlog

from contracts.errors import InvalidEvent, NotDeployed
from contracts.received import read_envelope
from faststream_sqs import SQSMessage
from runtime.clock import Clock, moment
from runtime.logs import about

log = structlog.get_logger(__name__)

LONGEST_LOOK_S = 30.0
"""Ten minutes in looks of at most this are 24 receives, far from the 100 after which a message is a dead letter."""

MARGIN = timedelta(seconds=30)
"""So long before its deadline a case is ended by name: after it, it would end as `expired`, which explains nothing."""


def patience(
    *, sent_at: datetime, receives: int, now: datetime, grace: timedelta, case_deadline: datetime
) -> float | None:
    """Seconds after which to look again; None if the event has had its time and is to be refused.

    `sent_at` is when the queue took the message, by the queue's clock; `receives` counts this time, too.
    """
    left = (min(sent_at + grace, case_deadline - MARGIN) - now).total_seconds()
    if left <= 0:
        return None
    # SQS knows whole seconds; less than one would be none, and the message would spin.
    return max(1.0, min(float(2 ** min(max(receives, 1) - 1, 10)), LONGEST_LOOK_S, left))


class Rollout:
    """Knows how long this process leaves alone what it does not know."""

    def __init__(self, clock: Clock, *, grace_s: float) -> None:
        self._clock = clock
        self._grace = timedelta(seconds=grace_s)

    async def postponed(self, message: SQSMessage, refusal: InvalidEvent) -> bool:
        """Whether the message now waits on its queue for another release; if not, it is to be refused."""
        if not isinstance(refusal, NotDeployed):
            return False
        envelope, _ = read_envelope(message.raw_body)
        seconds = patience(
            sent_at=datetime.fromtimestamp(message.sent_at / 1_000, UTC),
            receives=message.receive_count,
            now=self._clock.now(),
            grace=self._grace,
            case_deadline=moment(envelope.case_deadline),
        )
        if seconds is None:
            return False
        with about(envelope):
            log.warning(
                "message.early", alarm="not_deployed", reason=refusal.message, field=refusal.field, again_in_s=seconds
            )
        await message.nack(delay=seconds)
        return True
