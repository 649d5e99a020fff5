"""The pure parts: waits, verdicts, the gate, the envelope."""

import asyncio
import json
from typing import Any

import pytest
from faststream import AckPolicy
from faststream.exceptions import (
    AckMessage,
    NackMessage,
    RejectMessage,
    SkipMessage,
    StopApplication,
    StopConsume,
    SubscriberNotFound,
)
from faststream.message import AckStatus
from hypothesis import given
from hypothesis import strategies as st

from faststream_sqs import BatchItemFailed, MessageLeaseLost, RetryPolicy
from faststream_sqs.envelope import open_envelope
from faststream_sqs.poll_limiter import PollLimiter
from faststream_sqs.settle_action import ACK, LEAVE, SettleAction, action_on_error, action_on_success

NACK = SettleAction(AckStatus.NACKED, reason="RuntimeError")


@given(attempt=st.integers(-5, 10_000), base=st.floats(0.001, 10), cap=st.floats(10, 1000))
def test_retry_delay_is_below_a_ceiling_doubling_up_to_its_cap(attempt: int, base: float, cap: float) -> None:
    policy = RetryPolicy(base, cap)
    assert 0 <= policy.delay(attempt) <= policy.ceiling(attempt) <= cap
    assert policy.ceiling(1) == base
    assert policy.ceiling(2) == min(cap, base * 2)
    assert policy.ceiling(attempt) <= policy.ceiling(attempt + 1)


@pytest.mark.parametrize(("base", "cap"), [(0, 1), (2, 1), (-1, 1)])
def test_invalid_retry_policy_is_refused(base: float, cap: float) -> None:
    with pytest.raises(ValueError, match="0 < base <= cap"):
        RetryPolicy(base, cap)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (RuntimeError("x"), NACK),
        (AckMessage(), ACK),
        (NackMessage(delay=5), SettleAction(AckStatus.NACKED, delay=5)),
        (RejectMessage(reason="x"), SettleAction(AckStatus.REJECTED, reason="x")),
        (SkipMessage(), LEAVE),
        (MessageLeaseLost(), LEAVE),
        (SubscriberNotFound(), SettleAction(AckStatus.REJECTED, reason="no handler accepts this message")),
        (StopConsume(), SettleAction(AckStatus.NACKED, reason="StopConsume", stop=True)),
        (
            StopApplication(),
            SettleAction(AckStatus.NACKED, reason="StopApplication", stop=True, stop_application=True),
        ),
        (BatchItemFailed("a"), SettleAction(AckStatus.NACKED, reason="BatchItemFailed")),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_settle_action_follows_from_the_handlers_error(error: BaseException, verdict: SettleAction) -> None:
    if isinstance(error, StopApplication):
        verdict = SettleAction(AckStatus.NACKED, reason="StopApplication", stop=True, stop_application=True)
    assert action_on_error(AckPolicy.NACK_ON_ERROR, error, None) == verdict


def test_failed_batch_items_are_retried_and_the_rest_acknowledged() -> None:
    partly = SettleAction(AckStatus.ACKED, failed=frozenset({"b"}))
    assert action_on_error(AckPolicy.NACK_ON_ERROR, BatchItemFailed("b"), ["a", "b"]) == partly
    assert action_on_error(AckPolicy.NACK_ON_ERROR, BatchItemFailed("c"), ["a", "b"]).status is AckStatus.NACKED
    assert action_on_success(AckPolicy.NACK_ON_ERROR) == ACK
    assert action_on_success(AckPolicy.MANUAL) == LEAVE


EVENT = {
    "version": "0",
    "id": "17793124-05d4-b198-2fde-7ededc63b103",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "account": "111122223333",
    "time": "2021-11-12T00:00:00Z",
    "region": "ca-central-1",
    "resources": ["arn:aws:s3:::amzn-s3-demo-bucket1"],
    "detail": {"reason": "PutObject"},
}


def test_eventbridge_event_is_recognised() -> None:
    envelope = open_envelope(json.dumps(EVENT))
    assert envelope is not None
    assert envelope.detail == {"reason": "PutObject"}
    assert envelope.account == "111122223333"


@pytest.mark.parametrize(
    "body",
    [
        "text",
        '{"a": 1}',
        '{"detail-type": "x"',
        '["detail-type"]',
        json.dumps({name: value for name, value in EVENT.items() if name != "source"}),
        json.dumps({"text": '"detail-type"'}),
    ],
)
def test_other_body_is_no_eventbridge_event(body: str) -> None:
    assert open_envelope(body) is None


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_poll_limiter_admits_at_most_its_places() -> None:
    gate = PollLimiter(3, unhealthy_after=2, clock=Clock())
    assert await gate.acquire(10) == 3
    waiting = asyncio.ensure_future(gate.acquire(10))
    await asyncio.sleep(0)
    assert not waiting.done()
    gate.release_slots(2)
    assert await asyncio.wait_for(waiting, 1) == 2


async def test_poll_limiter_is_closed_while_paused_and_empty_once_stopped() -> None:
    gate = PollLimiter(3, unhealthy_after=2, clock=Clock())
    gate.pause("maintenance")
    waiting = asyncio.ensure_future(gate.acquire(10))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert not gate.open
    gate.resume()
    assert await asyncio.wait_for(waiting, 1) == 3
    gate.stop()
    assert await gate.acquire(10) == 0


async def test_subscriber_with_a_recent_poll_is_healthy() -> None:
    clock = Clock()
    gate = PollLimiter(1, unhealthy_after=2, clock=clock)
    assert gate.healthy, "there was nothing to poll for yet"
    await gate.acquire(1)
    clock.now = 2.0
    assert gate.healthy
    clock.now = 2.1
    assert not gate.healthy
    gate.succeeded()
    assert gate.healthy


async def test_busy_subscriber_is_healthy() -> None:
    clock = Clock()
    gate = PollLimiter(1, unhealthy_after=2, clock=clock)
    await gate.acquire(1)
    waiting: asyncio.Future[Any] = asyncio.ensure_future(gate.acquire(1))
    await asyncio.sleep(0)
    clock.now = 100.0
    assert gate.healthy
    gate.stop()
    await waiting
    assert not gate.healthy
