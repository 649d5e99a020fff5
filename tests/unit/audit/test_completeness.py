"""Late or lost: an event that the log misses is a hole only when it cannot come by itself any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from switchyard.audit.reconciliation.completeness import (
    DeliveryProgress,
    Gap,
    GapKind,
    PublishedEvent,
    RecordedEvent,
    classify_missing,
    find_missing_events,
)

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
EVENT = PublishedEvent(
    "drafter", "c1", "e1", "d1", date(2026, 7, 1), "AnswerDrafted", NOW - timedelta(minutes=10), ask=("drafter", "e1")
)
ROW = RecordedEvent("drafter", "c1", "e1", "d1", "AnswerDrafted", NOW)


def passage(waiting: int = 0, delivered_until: timedelta | None = None) -> DeliveryProgress:
    """Delivery at noon: messages in the way, and how long ago the latest recorded events happened."""
    return DeliveryProgress(
        NOW, {} if delivered_until is None else {"drafter": NOW - delivered_until}, {"drafter": waiting}
    )


def kind(event: PublishedEvent, at: DeliveryProgress) -> GapKind:
    (gap,) = classify_missing([event], at)
    return gap.kind


def test_recorded_event_is_no_gap() -> None:
    assert find_missing_events([EVENT], [ROW]) == ([], [])


def test_unrecorded_event_is_missing() -> None:
    assert find_missing_events([EVENT], []) == ([EVENT], [])


def test_event_with_same_id_and_other_digest_differs() -> None:
    missing, (gap,) = find_missing_events([EVENT], [replace(ROW, digest="d2")])
    assert (missing, gap.kind, gap.event_id) == ([], GapKind.DIFFERS, "e1")


def test_log_event_unknown_to_producer_is_unclaimed() -> None:
    _, (gap,) = find_missing_events([], [ROW])
    assert gap == Gap(GapKind.UNCLAIMED, "drafter", "c1", "e1", "AnswerDrafted", NOW)


def test_other_decision_on_the_same_cause_differs_and_is_not_republished() -> None:
    today = replace(EVENT, producer="router", event_id="e2", cause="d0")
    recorded = replace(ROW, producer="router", parents=("d0",))
    missing, gaps = find_missing_events([today], [recorded])
    assert missing == []
    assert {(gap.kind, gap.event_id) for gap in gaps} == {(GapKind.DIFFERS, "e2"), (GapKind.UNCLAIMED, "e1")}
    assert all(gap.ask is None for gap in gaps)
    assert find_missing_events([replace(today, cause="d9")], [recorded])[0] == [replace(today, cause="d9")]


def test_router_failure_and_routed_event_of_one_parent_are_no_gap() -> None:
    routed = replace(EVENT, producer="router", event_id="e2", type="DraftAnswer", cause="d0")
    recorded_event = [
        RecordedEvent("router", "c1", "e2", EVENT.digest, "DraftAnswer", NOW, ("d0",)),
        RecordedEvent("router", "c1", "e3", "d3", "TaskFailed", NOW, ("d0",)),
    ]
    assert find_missing_events([routed], recorded_event) == ([], [])
    assert find_missing_events([routed], recorded_event[1:])[1] != [], (
        "a failure alone, where the log lacks what was routed"
    )


def test_young_event_is_late_for_any_queue_depth() -> None:
    young = replace(EVENT, since=NOW - timedelta(seconds=59))
    assert kind(young, passage(delivered_until=timedelta(0))) is GapKind.LAG


@pytest.mark.parametrize("delivered_until", [None, timedelta(minutes=10), timedelta(minutes=9, seconds=30)])
def test_old_event_is_late_while_queues_have_messages(delivered_until: timedelta | None) -> None:
    assert kind(EVENT, passage(waiting=1, delivered_until=delivered_until)) is GapKind.LAG


def test_event_in_no_queue_is_lost_and_names_its_publisher() -> None:
    (gap,) = classify_missing([EVENT], passage())
    assert (gap.kind, gap.ask) == (GapKind.HOLE, ("drafter", "e1"))


def test_busy_queue_hides_no_hole_once_later_events_are_recorded() -> None:
    assert kind(EVENT, passage(waiting=1_000, delivered_until=timedelta(minutes=9))) is GapKind.HOLE


def test_progress_of_another_producer_is_ignored() -> None:
    at = DeliveryProgress(NOW, {"triage": NOW}, {"drafter": 1})
    assert kind(EVENT, at) is GapKind.LAG
