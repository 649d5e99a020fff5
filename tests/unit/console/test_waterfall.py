"""Where the time of a case went: shares of a step, clocks that disagree, and attempts of models."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from switchyard.console.waterfall import Bar, StepTiming, draw_waterfall


def step(**changes: Any) -> StepTiming:
    known: dict[str, Any] = {
        "event_id": "e",
        "node": "drafter",
        "transition": "AnswerDrafted",
        "at_ms": 1_000.0,
        "cause_ms": 200.0,
        "cause_transition": "DraftAnswer",
        "model_call": None,
        "failed": False,
    }
    return StepTiming(**known | changes)


def bars(timing: StepTiming, work_ms: float | None = None) -> list[tuple[str, float, float]]:
    work = {} if work_ms is None else {"command": work_ms}
    [lane] = draw_waterfall([timing], work, {"e": "command"}).lanes
    return [(bar.kind, bar.start_ms, bar.end_ms) for bar in lane.bars]


def test_step_with_an_inbox_row_is_queue_delay_and_then_work() -> None:
    assert bars(step(), 300.0) == [("queue", 200.0, 700.0), ("work", 700.0, 1_000.0)]


def test_step_without_an_inbox_row_is_one_bar() -> None:
    assert bars(step()) == [("unsplit", 200.0, 1_000.0)]


def test_work_longer_than_its_step_leaves_no_queue_delay() -> None:
    assert bars(step(), 5_000.0) == [("work", 200.0, 1_000.0)]


def test_answer_of_the_case_manager_to_an_approval_is_a_wait() -> None:
    timing = step(node="case_manager", cause_transition="AskApproval", transition="ApprovalGranted")
    assert [kind for kind, *_ in bars(timing)] == ["wait"]


def test_attempts_of_a_model_are_apart_and_end_with_their_step() -> None:
    attempts = [
        {"started_ms": 0, "ended_ms": 400, "outcome": "abandoned"},
        {"started_ms": 400, "ended_ms": 600, "outcome": "won"},
    ]
    found = bars(step(model_call={"decision": {"attempts": attempts}}), 700.0)
    assert found[2:] == [("model-lost", 400.0, 800.0), ("model", 800.0, 1_000.0)]


def test_router_that_took_a_message_at_once_has_no_lane() -> None:
    assert draw_waterfall([step(node="router", cause_ms=990.0)], {}, {}).lanes == ()
    assert draw_waterfall([step(node="router"), step(at_ms=100_000.0)], {}, {}).lanes[0].node == "drafter"


def test_message_that_waited_for_the_router_is_one_lane_of_queue_delay() -> None:
    steps = [step(node="router", event_id=each) for each in ("a", "b")]
    [lane] = draw_waterfall(steps, {"command": 300.0}, {"a": "command", "b": "command"}).lanes
    assert [(bar.kind, bar.start_ms, bar.end_ms) for bar in lane.bars] == [("queue", 200.0, 1_000.0)]


@given(
    st.lists(
        st.tuples(
            st.floats(-1e9, 1e9),
            st.floats(-1e9, 1e9) | st.none(),
            st.floats(0, 1e9) | st.none(),
            st.recursive(
                st.none() | st.integers() | st.text(max_size=3),
                lambda x: (
                    st.lists(x)
                    | st.dictionaries(st.sampled_from(("decision", "attempts", "started_ms", "ended_ms", "outcome")), x)
                ),
            ),
        ),
        max_size=6,
    )
)
def test_chart_of_any_times_and_model_calls_stays_inside_its_axis(
    made: list[tuple[float, float | None, float | None, Any]],
) -> None:
    steps, work = [], {}
    for number, (at, cause, worked, call) in enumerate(made):
        steps.append(
            step(event_id=str(number), at_ms=at, cause_ms=cause, model_call=call if isinstance(call, dict) else None)
        )
        if worked is not None:
            work[f"c{number}"] = worked
    chart = draw_waterfall(steps, work, {str(number): f"c{number}" for number in range(len(made))})
    for lane in chart.lanes:
        for bar in lane.bars:
            assert 0 <= chart.x(bar.start_ms) <= 100
            assert 0 < chart.width(Bar(bar.kind, bar.start_ms, bar.end_ms, "")) <= 100
    assert len(chart.ticks) < 20
