import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_failover import BreakerPolicy
from latency_failover.breaker import CircuitBreaker, HedgeBucket

POLICY = BreakerPolicy(
    slow_window_ms=0,
    window_ms=10_000,
    min_calls=4,
    bad_share_bp=5_000,
    cool_ms=1_000,
    cool_max_ms=3_000,
    probes_to_close=2,
)


def opened(at: int = 0) -> CircuitBreaker:
    breaker = CircuitBreaker(POLICY)
    for _ in range(4):
        breaker.record(at, good=False)
    assert breaker.state(at) == "open"
    return breaker


def probe(breaker: CircuitBreaker, at: int, *, good: bool) -> None:
    assert breaker.admit(at)
    breaker.record(at, good=good, probe=True)


def test_breaker_stays_closed_below_the_minimum_of_calls() -> None:
    breaker = CircuitBreaker(POLICY)
    for _ in range(3):
        breaker.record(0, good=False)
    assert breaker.state(0) == "closed"


def test_breaker_opens_at_the_bad_share_and_not_before() -> None:
    breaker = CircuitBreaker(POLICY)
    for good in (True, True, True, False, False):
        breaker.record(0, good=good)
    assert breaker.state(0) == "closed"
    breaker.record(0, good=False)
    assert breaker.state(0) == "open"


def test_bad_calls_outside_the_window_are_forgotten() -> None:
    breaker = CircuitBreaker(POLICY)
    for _ in range(3):
        breaker.record(0, good=False)
    for _ in range(4):
        breaker.record(10_001, good=True)
    breaker.record(10_001, good=False)
    assert breaker.state(10_001) == "closed"


def test_breaker_admits_one_probe_after_the_pause() -> None:
    breaker = opened()
    assert breaker.state(999) == "open"
    assert breaker.state(1_000) == "half_open"
    assert breaker.admit(1_000)
    assert breaker.state(1_000) == "open"
    assert not breaker.admit(1_000)


def test_good_probes_close_the_breaker_and_clear_its_history() -> None:
    breaker = opened()
    probe(breaker, 1_000, good=True)
    assert breaker.state(1_000) == "half_open"
    probe(breaker, 1_001, good=True)
    assert breaker.state(1_001) == "closed"
    breaker.record(1_001, good=False)
    assert breaker.state(1_001) == "closed"


def test_failed_probe_doubles_the_pause_up_to_the_maximum() -> None:
    breaker = opened()
    now = 1_000
    for pause in (2_000, 3_000, 3_000):
        probe(breaker, now, good=False)
        assert breaker.state(now + pause - 1) == "open"
        now += pause
        assert breaker.state(now) == "half_open"


def test_probe_without_a_verdict_frees_its_place() -> None:
    breaker = opened()
    assert breaker.admit(1_000)
    breaker.release(probe=True)
    assert breaker.state(1_000) == "half_open"


def test_calls_in_flight_at_opening_change_no_breaker_state() -> None:
    breaker = opened()
    breaker.record(500, good=False)
    breaker.record(500, good=True)
    assert breaker.state(1_000) == "half_open"
    assert breaker.admit(1_000)
    breaker.record(1_000, good=True)
    assert breaker.state(1_000) == "open", "the probe is still out"


def test_retry_after_holds_the_breaker_open_up_to_the_maximum() -> None:
    breaker = CircuitBreaker(POLICY)
    breaker.hold(0, 2_000)
    assert breaker.state(1_999) == "open"
    assert breaker.state(2_000) == "half_open"
    breaker.hold(2_000, 60_000)
    assert breaker.state(5_000) == "half_open"


SLOW = BreakerPolicy(
    window_ms=10_000,
    min_calls=4,
    bad_share_bp=5_000,
    slow_window_ms=100_000,
    slow_min_calls=30,
    slow_bad_share_bp=1_000,
    cool_ms=1_000,
    slow_cool_ms=6_000,
    probes_to_close=1,
    slow_probes_to_close=3,
)


def lasting(breaker: CircuitBreaker, *, seconds: int, bad_every: int) -> None:
    """One call per second; every n-th one is bad."""
    for second in range(1, seconds + 1):
        breaker.record(second * 1_000, good=second % bad_every != 0)


def test_slow_window_opens_after_one_bad_call_in_eight_for_half_a_minute() -> None:
    early = CircuitBreaker(SLOW)
    lasting(early, seconds=29, bad_every=8)
    assert early.state(29_000) == "closed"
    breaker = CircuitBreaker(SLOW)
    lasting(breaker, seconds=32, bad_every=8)
    assert breaker.state(32_000) == "open"
    without = CircuitBreaker(SLOW.model_copy(update={"slow_window_ms": 0}))
    lasting(without, seconds=32, bad_every=8)
    assert without.state(32_000) == "closed"


def test_slow_window_ignores_past_bad_calls() -> None:
    breaker = CircuitBreaker(SLOW)
    for second in range(40):
        breaker.record(second * 1_000, good=second % 4 != 0 or second > 16)
    assert breaker.state(39_000) == "closed"


def test_slow_window_opening_pauses_longer_and_needs_more_probes() -> None:
    breaker = CircuitBreaker(SLOW)
    lasting(breaker, seconds=32, bad_every=8)
    assert breaker.state(32_000 + 5_999) == "open"
    now = 32_000 + 6_000
    for _ in range(3):
        assert breaker.state(now) == "half_open"
        probe(breaker, now, good=True)
    assert breaker.state(now) == "closed"


def test_restored_verdicts_open_the_breaker_only_after_a_bad_call() -> None:
    breaker = CircuitBreaker(SLOW)
    breaker.restore_history(200_000, [True] * 50 + [False] * 10)
    assert breaker.state(200_000) == "closed"
    breaker.record(200_001, good=True)
    assert breaker.state(200_001) == "closed"
    breaker.record(200_002, good=False)
    assert breaker.state(200_002) == "open"
    alone = CircuitBreaker(SLOW)
    alone.record(200_002, good=False)
    assert alone.state(200_002) == "closed"


@given(st.lists(st.booleans(), max_size=400), st.integers(0, 2_000), st.integers(1, 20))
def test_hedges_never_exceed_their_share_of_the_calls(wishes: list[bool], share_bp: int, burst: int) -> None:
    bucket = HedgeBucket(share_bp, burst)
    hedges = 0
    for calls, wish in enumerate(wishes, start=1):
        bucket.earn()
        if wish and bucket.available:
            bucket.spend()
            hedges += 1
        assert hedges * 10_000 <= calls * share_bp


def test_unused_hedges_are_saved_only_up_to_the_burst() -> None:
    bucket = HedgeBucket(10_000, burst=2)
    for _ in range(50):
        bucket.earn()
    bucket.spend()
    bucket.spend()
    assert not bucket.available
    with pytest.raises(ValueError, match="no hedge"):
        bucket.spend()
