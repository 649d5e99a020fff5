"""Recorded replay: the same decisions from the log alone, and a sentence for the first that is another one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from contracts.events.case_manager import CaseOpened
from contracts.events.drafter import AnswerDrafted
from contracts.events.router import AnswerQuestion, ChooseAgent, DraftAnswer
from contracts.events.specialists import FindingsReady
from contracts.events.triage import AgentChosen, NoAgentFits
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.fields import Json
from switchyard.protocol.signing import OperatorKeys
from switchyard.router.playbook import Playbook, PlaybookEdge, PlaybookStep, end_case, on, task_step
from switchyard.router.replay import CaseReplay
from switchyard.router.state_seal import RecordedSeal, StateSeal
from tests.reference import replay_case
from tests.unit.protocol.bus_events import changed, delivered, with_digest
from tests.unit.router.cases import (
    ANSWER_QUESTION,
    CHOOSE,
    CHOSEN,
    CLOSE,
    DRAFT,
    DRAFTED,
    FOUND,
    OPENED,
    SEAL,
    failed,
    routed,
)
from tests.unit.router.test_retry import OPERATORS, RETRIED

CASE = [OPENED, CHOOSE, CHOSEN, ANSWER_QUESTION, FOUND, DRAFT, DRAFTED, CLOSE]
FAILURE = failed(ANSWER_QUESTION)
RETRIED_CASE = [*CASE[:4], FAILURE, routed(FAILURE), RETRIED, routed(RETRIED)]
PARTS: dict[str, PlaybookStep | PlaybookEdge] = {
    "triage": task_step("triage", ChooseAgent, attempts=3, seconds=30),
    "specialist": task_step("specialist", AnswerQuestion, attempts=3, seconds=60),
    "drafter": task_step("drafter", DraftAnswer, attempts=3, seconds=60),
    "named": on(CaseOpened, go="specialist", having="agent"),
    "opened": on(CaseOpened, go="triage"),
    "chosen": on(AgentChosen, go="specialist"),
    "none": on(NoAgentFits, end_case("no_agent", "no_agent_fits", "No specialist's card fits the question.")),
    "found": on(FindingsReady, go="drafter"),
    "drafted": on(AnswerDrafted, end_case("answered", "answered")),
    "failed": on(TaskFailed, end_case("failed")),
}


def replayed(events: Sequence[Json], seal: StateSeal | None = None, **parts: PlaybookStep | PlaybookEdge) -> CaseReplay:
    """Replay with assist/1 as it is, but for some parts."""
    playbook = Playbook("assist/1", *(PARTS | parts).values())
    return replay_case([delivered(event) for event in events], seal, playbooks={"assist/1": playbook})


def report(found: CaseReplay) -> str:
    assert found.divergence is not None
    return str(found.divergence)


@pytest.mark.parametrize(("case", "decisions"), [(CASE, 4), (RETRIED_CASE, 4), ([OPENED, CHOOSE], 1)])
def test_replay_with_the_unchanged_router_has_no_divergence(case: list[Json], decisions: int) -> None:
    assert replay_case([delivered(event) for event in case]) == CaseReplay(decisions, 0, None)
    assert replayed(case, SEAL) == CaseReplay(decisions, 0, None)


def test_event_without_recorded_decision_is_counted_as_undecided() -> None:
    assert replayed(CASE[:-1]) == CaseReplay(3, 1, None)


def test_replay_of_altered_edge_reports_event_and_outcomes() -> None:
    found = replayed(CASE, found=on(FindingsReady, end_case("answered", "answered")), drafter=ask_again())
    assert report(found) == (
        f"case {FOUND['case_id']} event {FOUND['event_id']} (FindingsReady from text_to_sql, seq 4): "
        "recorded DraftAnswer to drafter; today CloseCase to case_manager as answered"
    )


def ask_again() -> PlaybookEdge:
    """An edge that keeps the drafter's step reachable."""
    return on(NoAgentFits, end_case("no_agent"))


def test_first_divergence_ends_the_case() -> None:
    later = replayed(CASE, drafted=on(AnswerDrafted, end_case("failed", "late")))
    assert later.decisions == 4
    assert "recorded CloseCase to case_manager as answered; today CloseCase to case_manager as failed" in report(later)
    assert 'payload.outcome: recorded "answered", today "failed"' in report(later)


def test_replay_with_other_limits_reports_each_field() -> None:
    found = replayed(CASE, triage=task_step("triage", ChooseAgent, attempts=5, seconds=90))
    assert found.divergence is not None
    assert found.divergence.differences == (
        "budget.attempts: recorded 3, today 5",
        "time_limit_ms: recorded 30000, today 90000",
    )


def test_replay_of_missing_playbook_describes_todays_failure() -> None:
    found = replay_case([delivered(event) for event in CASE], playbooks={})
    assert "recorded ChooseAgent to triage; today TaskFailed to case_manager as unknown_event" in report(found)
    assert "playbook version assist/1 is not deployed" in report(found)


def test_replay_reports_router_event_without_decision() -> None:
    invented = with_digest(changed(CLOSE, "parents", [CHOOSE["digest"]]))
    found = replayed([OPENED, CHOOSE, invented])
    assert "(ChooseAgent from router, seq 1): recorded CloseCase to case_manager as answered; today nothing" in report(
        found
    )


def test_replay_reports_second_decision_on_one_event() -> None:
    second = with_digest(changed(CHOOSE, "event_id", CLOSE["event_id"]))
    assert "recorded ChooseAgent to triage and ChooseAgent to triage" in report(replayed([OPENED, CHOOSE, second]))


def test_refused_event_without_a_decision_has_no_divergence() -> None:
    forged = with_digest(changed(CHOSEN, "state.agent", "wizard"))
    assert replayed([OPENED, CHOOSE, forged]) == CaseReplay(2, 0, None)


def test_event_failed_then_routed_may_have_both_outcomes() -> None:
    ended = replay_case([delivered(OPENED)], playbooks={})
    assert ended.undecided == 1
    from tests.reference import decide_routing
    from tests.unit.router.cases import stamped

    (own_failure,) = decide_routing(delivered(OPENED), SEAL, playbooks={}).events
    assert replayed([OPENED, stamped(dict(own_failure)), CHOOSE]).divergence is None


def test_invalid_seal_checked_with_the_keys_diverges() -> None:
    assert "forged: " in report(replayed(CASE, StateSeal({"k1": b"9" * 32})))


def test_unsigned_retry_checked_with_the_operators_diverges() -> None:
    bodies = [delivered(event) for event in RETRIED_CASE]
    assert replay_case(bodies, SEAL, operators=OPERATORS).divergence is None
    assert "no operator of that name" in report(replay_case(bodies, SEAL, operators=OperatorKeys({})))


def test_seal_made_without_keys_is_refused() -> None:
    from tests.reference import route
    from tests.unit.router.cases import received

    (command,) = route(received(OPENED), RecordedSeal())
    assert command["state_seal"].startswith("recorded.")
    with pytest.raises(ValueError, match="no seal of this router"):
        SEAL.check_issued(command)
