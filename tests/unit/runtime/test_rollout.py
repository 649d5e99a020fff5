"""How long an event of a newer release is left alone."""

from __future__ import annotations

from datetime import timedelta

from switchyard.protocol.topology import MAX_RECEIVES
from switchyard.runtime.core.settings import ProcessSettings
from switchyard.runtime.messaging.rollout import CASE_DEADLINE_MARGIN, MAX_POSTPONEMENT_S, postponement_s

GRACE = timedelta(minutes=10)
WEEK = timedelta(days=7)


def look(seconds: float, receives: int, *, grace: timedelta = GRACE, case: timedelta = WEEK) -> float | None:
    """When to look again at a message that was received so often, so many seconds after it and its case began."""
    age = timedelta(seconds=seconds)
    return postponement_s(age=age, receives=receives, grace=grace, case_left=case - age)


def test_unknown_version_is_retried_with_growing_delays() -> None:
    assert [look(1, receives) for receives in (1, 2, 3, 6, 60)] == [
        1.0,
        2.0,
        4.0,
        MAX_POSTPONEMENT_S,
        MAX_POSTPONEMENT_S,
    ]


def test_unknown_version_is_refused_after_its_grace() -> None:
    assert look(599.5, 30) == 1.0
    assert look(600, 30) is None


def test_last_retry_is_at_the_end_of_the_grace() -> None:
    assert look(588, 30) == 12.0


def test_postponed_case_near_deadline_is_rejected_in_time() -> None:
    case = timedelta(minutes=2)
    assert look(89, 1, case=case) == 1.0
    assert look((case - CASE_DEADLINE_MARGIN).total_seconds(), 1, case=case) is None


def test_unknown_version_without_a_grace_is_refused_at_once() -> None:
    assert look(0, 1, grace=timedelta(0)) is None


def test_message_without_its_sent_time_is_refused_at_once() -> None:
    assert postponement_s(age=timedelta(days=20_000), receives=1, grace=GRACE, case_left=WEEK) is None


def test_longest_permitted_grace_stays_below_the_receive_limit() -> None:
    [most] = [rule.le for rule in ProcessSettings.model_fields["deploy_grace_s"].metadata if hasattr(rule, "le")]
    grace, at, receives = timedelta(seconds=most), 0.0, 1
    while (seconds := look(at, receives, grace=grace)) is not None:
        at, receives = at + seconds, receives + 1
    assert receives < MAX_RECEIVES
