"""A case fans out over several specialists and is joined: at once, or one after another."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import permutations
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.events.case_manager import CaseOpened
from contracts.events.drafter import AnswerDrafted
from contracts.events.router import AnswerQuestion, DraftAnswer
from contracts.events.specialists import FindingsReady
from contracts.events.triage import AgentsChosen
from switchyard.protocol.branches import PlannedBranch, split_tokens
from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.envelope import MAX_STATE_BYTES, event_id_for
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.events.case_manager import BranchesJoined, ConsentExpired, ConsentGranted
from switchyard.protocol.events.failures import ReauthNeeded, TaskFailed
from switchyard.protocol.events.router import AskConsent, CloseCase, JoinBranch
from switchyard.protocol.fields import Artefact, Json
from switchyard.router.case_state import NOT_STARTED
from tests.reference import decide_routing, replay_case
from tests.unit.protocol.bus_events import changed, delivered, with_digest
from tests.unit.router.branch_cases import PARTS, chosen, findings, followed, join, spent, text
from tests.unit.router.cases import ANSWER, SEAL, artefact, failed, received, reply, routed, stamped

GRANT = "7d5f3f0e-6a55-4f0e-8f2e-7a0c2b6d1f43"


def payload(event: Json) -> Any:
    return received(event).payload


def results(event: Json) -> list[tuple[str, str]]:
    """Agent and failure code of each result of a DraftAnswer or BranchesJoined, in order."""
    return [(result.agent, result.failure.code if result.failure else "") for result in payload(event).results]


def test_choice_of_several_fans_out_to_one_command_each_and_one_gather() -> None:
    event = chosen()
    gather, *commands = followed(event)
    assert (gather["type"], gather["node_to"]) == ("GatherBranches", "case_manager")
    assert [command["type"] for command in commands] == ["AnswerQuestion"] * 3
    assert [(each["ordinal"], each["siblings"]) for each in (gather, *commands)] == [(n, 4) for n in range(4)]
    assert {tuple(each["parents"]) for each in (gather, *commands)} == {(event["digest"],)}
    assert [command["branch"] for command in commands] == [
        {"gather": gather["event_id"], "number": number} for number in range(3)
    ]
    assert "branch" not in gather
    assert {command["case_deadline"] for command in commands} == {event["case_deadline"]}


def test_branch_is_given_its_part_and_nothing_else_of_the_case() -> None:
    gather, *commands = followed(chosen())
    whole = routed_question()
    assert whole in text(gather)
    for number, command in enumerate(commands):
        assert payload(command) == AnswerQuestion(part=PARTS[number])
        assert set(command["storage_refs"]) == {PARTS[number].sha256}
        others = [whole, *(part.sha256 for part in PARTS if part is not PARTS[number])]
        assert not [digest for digest in others if digest in text(command)]


def routed_question() -> str:
    return str(payload(routed_opening()).question.sha256)


def routed_opening() -> Json:
    from tests.unit.router.cases import opened

    event = opened(playbook_version="assist/4")
    assert isinstance(payload(event), CaseOpened)
    return event


def test_result_of_a_branch_goes_to_the_case_manager_as_its_end() -> None:
    _, first, *_ = followed(chosen())
    answer = findings(first)
    (end,) = followed(answer)
    assert (end["type"], end["node_to"], end["branch"]) == ("JoinBranch", "case_manager", first["branch"])
    assert payload(end).answer == payload(answer).model_dump(mode="json", exclude_none=True)
    assert set(end["storage_refs"]) == {payload(answer).findings[0].sha256}
    assert "state" not in end


def test_final_failure_of_a_branch_is_its_end_with_the_reason() -> None:
    _, first, *_ = followed(chosen())
    (end,) = followed(failed(first, causes=("throttled",)))
    assert (end["type"], end["branch"]) == ("JoinBranch", first["branch"])
    failure = payload(end).failure
    assert (failure.code, failure.field) == ("time_limit", "payload.question")
    assert failure.message == "no result within 60000 ms; caused by throttled"
    assert failure.remedy == "ask for less"


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_join_has_the_same_parents_and_id_in_any_order_of_ends(order: tuple[int, ...]) -> None:
    gather, *commands = followed(chosen())
    ends = [followed(findings(command))[0] for command in commands]
    joined = join(gather, [ends[number] for number in order])
    assert joined["parents"] == [gather["digest"], *(end["digest"] for end in ends)]
    assert joined["event_id"] == event_id_for(gather["event_id"], "case_manager", "BranchesJoined")
    assert joined["seq"] == max(end["seq"] for end in ends) + 1
    assert joined == join(gather, ends)
    assert "branch" not in joined


def test_joined_results_go_to_the_drafter_in_branch_order() -> None:
    gather, *commands = followed(chosen())
    answers = [findings(command) for command in commands]
    (draft,) = followed(join(gather, [followed(answer)[0] for answer in answers]))
    assert draft["node_to"] == "drafter"
    asked = payload(draft)
    assert isinstance(asked, DraftAnswer)
    assert asked.question == payload(routed_opening()).question
    assert asked.findings is None
    assert asked.results is not None
    assert [result.part for result in asked.results] == list(PARTS)
    assert [FindingsReady.model_validate_json(json.dumps(each.answer)) for each in asked.results] == [
        payload(answer) for answer in answers
    ]
    given = {asked.question.sha256, *(part.sha256 for part in PARTS), *(payload(a).findings[0].sha256 for a in answers)}
    assert set(draft["storage_refs"]) == given


def test_two_failures_and_one_success_are_drafted_with_the_reasons() -> None:
    gather, first, second, third = followed(chosen())
    ends = [*followed(failed(first)), *followed(findings(second)), *followed(failed(third))]
    (draft,) = followed(join(gather, ends))
    assert draft["type"] == "DraftAnswer"
    assert results(draft) == [("text_to_sql", "time_limit"), ("text_to_sql", ""), ("text_to_sql", "time_limit")]


def test_case_of_which_every_branch_failed_fails_with_each_reason() -> None:
    gather, *commands = followed(chosen(2))
    joined = join(gather, [followed(failed(command))[0] for command in commands])
    assert (joined["type"], joined["node_from"], len(joined["parents"])) == ("TaskFailed", "case_manager", 3)
    assert "state" not in joined
    (close,) = followed(joined)
    closed = payload(close)
    assert isinstance(closed, CloseCase)
    assert (closed.outcome, closed.code, closed.remedy) == ("failed", "branches_failed", "ask for less")
    assert closed.message.count("text_to_sql: time_limit: no result within 60000 ms") == 2


def test_agent_that_is_not_deployed_is_a_failed_branch_of_its_own() -> None:
    gather, unknown, asked = followed(chosen(2, agents=("palmist", "text_to_sql")))
    assert (unknown["type"], payload(unknown).failure.code) == ("JoinBranch", "unknown_agent")
    (draft,) = followed(join(gather, [unknown, *followed(findings(asked))]))
    assert results(draft) == [("palmist", "unknown_agent"), ("text_to_sql", "")]


@pytest.mark.parametrize(("mode", "causes"), [("parallel", 2), ("sequence", 1)])
def test_gather_whose_agents_are_all_not_deployed_fails_the_case(
    mode: Literal["parallel", "sequence"], causes: int
) -> None:
    gather, *ends = followed(chosen(2, mode, agents=("palmist", "astrologer")))
    assert [end["type"] for end in ends] == ["JoinBranch"] * causes
    joined = join(gather, ends)
    assert joined["seq"] == gather["seq"] + 1
    (close,) = followed(joined)
    assert (close["type"], payload(close).code) == ("CloseCase", "branches_failed")
    assert payload(close).message.count("unknown_agent") == causes


def test_second_step_of_an_agent_not_deployed_keeps_the_findings_of_the_first() -> None:
    gather, first = followed(chosen(2, "sequence", agents=("text_to_sql", "palmist")))
    answer = findings(first)
    second_gather, unknown = followed(join(gather, followed(answer)))
    (draft,) = followed(join(second_gather, [unknown]))
    assert results(draft) == [("text_to_sql", ""), ("palmist", "unknown_agent")]
    assert payload(answer).findings[0].sha256 in draft["storage_refs"]


def test_more_branches_than_the_playbook_allows_are_refused() -> None:
    first = chosen(1)
    planned = tuple(PlannedBranch(agent="text_to_sql", part=PARTS[0]) for _ in range(4))
    many = with_digest(
        changed(first, "payload", AgentsChosen(branches=planned).model_dump(mode="json", exclude_none=True))
    )
    with pytest.raises(InvalidEvent, match="assist/4 allows fewer") as caught:
        followed(many)
    assert (caught.value.reason, caught.value.field) == (RejectionReason.INVALID, "payload.branches")


def test_one_branch_alone_is_joined_like_several() -> None:
    gather, asked = followed(chosen(1))
    (draft,) = followed(join(gather, followed(findings(asked))))
    assert results(draft) == [("text_to_sql", "")]


def sequence(steps: int) -> list[Json]:
    """The events of a sequence whose steps all succeed, up to the drafter's command."""
    waiting, log = chosen(steps, "sequence"), []
    while waiting["type"] != "DraftAnswer":
        log.append(waiting)
        following = followed(waiting)
        log += following
        if following[0]["type"] == "GatherBranches":
            gather, command = following
            answer = findings(command)
            (end,) = followed(answer)
            log += [answer, end]
            waiting = join(gather, [end])
        else:
            (waiting,) = following
            log.pop()
    return [*log, waiting]


def test_sequence_asks_one_specialist_after_another_with_the_findings_so_far() -> None:
    log = sequence(3)
    commands = [event for event in log if event["type"] == "AnswerQuestion"]
    answers = [payload(event).findings[0] for event in log if event["type"] == "FindingsReady"]
    assert [payload(command).part for command in commands] == list(PARTS)
    assert [payload(command).findings for command in commands] == [None, (answers[0],), tuple(answers[:2])]
    assert set(commands[2]["storage_refs"]) == {PARTS[2].sha256, answers[0].sha256, answers[1].sha256}
    assert [payload(event).earlier for event in log if event["type"] == "GatherBranches"] == [False, True, True]
    assert results(log[-1]) == [("text_to_sql", "")] * 3
    assert len({event["event_id"] for event in log}) == len(log)


def test_failed_step_of_a_sequence_ends_it_and_the_answer_says_what_is_missing() -> None:
    gather, first = followed(chosen(3, "sequence"))
    second_gather, second = followed(join(gather, followed(findings(first))))
    joined = join(second_gather, followed(failed(second)))
    assert joined["type"] == "BranchesJoined"
    (draft,) = followed(joined)
    assert results(draft) == [("text_to_sql", ""), ("text_to_sql", "time_limit"), ("text_to_sql", NOT_STARTED)]
    assert [result.part for result in payload(draft).results] == list(PARTS)


def test_failed_first_step_of_a_sequence_fails_the_case() -> None:
    gather, first = followed(chosen(3, "sequence"))
    (close,) = followed(join(gather, followed(failed(first))))
    assert payload(close).code == "branches_failed"


def findings_of_size(command: Json, size: int) -> Json:
    """A specialist's findings, of so many bytes as canonical JSON."""
    written = [artefact("findings", str(number)).model_copy(update={"media_type": "t"}) for number in range(20)]
    surplus = size - len(encoded(written))
    for number in range(20):
        length = min(surplus, 99)
        written[number] = written[number].model_copy(update={"media_type": "t" * (1 + length)})
        surplus -= length
    assert len(encoded(written)) == size
    return reply(command, FindingsReady(findings=tuple(written)), written=tuple(written))


def encoded(written: list[Artefact]) -> bytes:
    return canonical_json(FindingsReady(findings=tuple(written)).model_dump(mode="json", exclude_none=True))


@pytest.mark.parametrize(("size", "code"), [(4_000, ""), (4_001, "too_large")])
def test_answer_of_a_branch_over_its_size_is_a_failure_of_that_branch_alone(size: int, code: str) -> None:
    gather, first, second = followed(chosen(2))
    (end,) = followed(findings_of_size(first, size))
    (draft,) = followed(join(gather, [end, *followed(findings(second))]))
    assert results(draft) == [("text_to_sql", code), ("text_to_sql", "")]


@pytest.mark.parametrize("mode", ["parallel", "sequence"])
def test_largest_answers_of_three_branches_fit_into_the_state(mode: Literal["parallel", "sequence"]) -> None:
    waiting = chosen(3, mode)
    while waiting["type"] != "DraftAnswer":
        following = followed(waiting)
        if following[0]["type"] == "GatherBranches":
            gather, *commands = following
            waiting = join(gather, [followed(findings_of_size(command, 4_000))[0] for command in commands])
        else:
            (waiting,) = following
    assert results(waiting) == [("text_to_sql", "")] * 3
    assert 3 * 4_000 < len(canonical_json(waiting["state"])) < MAX_STATE_BYTES


@pytest.mark.parametrize("character", ["a", "å", "漢", "\x01"])
def test_failures_with_long_texts_fit_into_the_state_with_the_largest_answer(character: str) -> None:
    gather, *commands = followed(chosen(3))
    long = {"message": character * 2_000, "remedy": character * 2_000, "field": character * 200}
    ends = []
    for command in commands[:2]:
        task = {"task": command["event_id"], "task_type": command["type"]}
        failure = TaskFailed.model_validate(task | long | {"code": "no_result", "attempts": 1})
        ends += followed(reply(command, failure))
    (draft,) = followed(join(gather, [*ends, *followed(findings_of_size(commands[2], 4_000))]))
    assert [code for _, code in results(draft)] == ["no_result", "no_result", ""]


def test_state_of_an_unfinished_sequence_has_each_result_once() -> None:
    gather, first = followed(chosen(2, "sequence"))
    answer = findings(first)
    second_gather, _ = followed(join(gather, followed(answer)))
    assert second_gather["state"]["facts"] == {"turn": 1}
    assert text(second_gather["state"]).count(payload(answer).findings[0].sha256) == 1


def asked_for_consent(command: Json) -> Json:
    (consent,) = followed(reply(command, ReauthNeeded(audience="https://warehouse.example")))
    return consent


def test_branch_that_needs_consent_waits_in_its_branch_and_goes_on() -> None:
    gather, first, second = followed(chosen(2))
    consent = asked_for_consent(first)
    assert payload(consent) == AskConsent(audience="https://warehouse.example")
    assert (consent["node_to"], consent["branch"]) == ("case_manager", first["branch"])
    assert routed_question() not in text(consent)
    (other,) = followed(findings(second))  # does not wait
    (again,) = followed(reply(consent, ConsentGranted(grant=GRANT)))
    assert (again["type"], again["branch"]) == ("AnswerQuestion", first["branch"])
    assert payload(again) == payload(first)
    (draft,) = followed(join(gather, [*followed(findings(again)), other]))
    assert results(draft) == [("text_to_sql", "")] * 2


def test_branch_whose_consent_expires_fails_alone() -> None:
    gather, first, second = followed(chosen(2))
    (end,) = followed(reply(asked_for_consent(first), ConsentExpired()))
    assert (end["type"], payload(end).failure.code) == ("JoinBranch", "needs_reauth")
    (draft,) = followed(join(gather, [end, *followed(findings(second))]))
    assert results(draft) == [("text_to_sql", "needs_reauth"), ("text_to_sql", "")]


def test_branch_that_needs_consent_too_often_fails_alone() -> None:
    _, command = followed(chosen(1))
    for _ in range(5):
        (command,) = followed(reply(asked_for_consent(command), ConsentGranted(grant=GRANT)))
    (end,) = followed(reply(command, ReauthNeeded(audience="https://warehouse.example")))
    assert (end["type"], payload(end).failure.code) == ("JoinBranch", "needs_reauth")


def test_step_after_consent_of_a_sequence_keeps_the_earlier_findings() -> None:
    gather, first = followed(chosen(2, "sequence"))
    _, second = followed(join(gather, followed(findings(first))))
    (again,) = followed(reply(asked_for_consent(second), ConsentGranted(grant=GRANT)))
    assert payload(again) == payload(second)
    assert payload(again).findings is not None


MOVED: dict[str, Callable[[Json, Json], Json]] = {
    "another branch": lambda answer, _: changed(answer, "branch.number", 1),
    "another gather": lambda answer, _: changed(answer, "branch.gather", GRANT),
    "no branch": lambda answer, _: {name: value for name, value in answer.items() if name != "branch"},
    "another case": lambda answer, _: changed(answer, "case_id", GRANT),
    "another agent's command": lambda answer, other: answer | {"parents": [other["digest"]]},
    "two parents": lambda answer, other: answer | {"parents": [*answer["parents"], other["digest"]]},
}


@pytest.mark.parametrize("outcome", [findings, failed])
@pytest.mark.parametrize("move", MOVED.values(), ids=list(MOVED))
def test_forged_branch_result_is_refused(outcome: Callable[[Json], Json], move: Callable[[Json, Json], Json]) -> None:
    _, first, second = followed(chosen(2))
    with pytest.raises(InvalidEvent) as caught:
        followed(with_digest(move(outcome(first), second)))
    assert caught.value.reason is RejectionReason.FORGED


FORGED_JOINS: dict[str, Callable[[Json, Json], Json]] = {
    "of another gather": lambda joined, other: joined | {"parents": [other["digest"], *joined["parents"][1:]]},
    "gather not first": lambda joined, _: joined | {"parents": joined["parents"][::-1]},
    "from an agent": lambda joined, _: joined | {"node_from": "text_to_sql"},
    "another id": lambda joined, _: joined | {"event_id": GRANT},
    "altered state": lambda joined, _: changed(joined, "state.artefacts", {}),
    "in its gather's place": lambda joined, _: joined | {"seq": 3},
    "another case": lambda joined, _: joined | {"case_id": GRANT},
    "in a branch": lambda joined, _: joined | {"branch": {"gather": GRANT, "number": 0}},
}


@pytest.mark.parametrize("alter", FORGED_JOINS.values(), ids=list(FORGED_JOINS))
def test_forged_join_is_refused(alter: Callable[[Json, Json], Json]) -> None:
    gather, *commands = followed(chosen(2))
    joined = join(gather, [followed(findings(command))[0] for command in commands])
    with pytest.raises(InvalidEvent) as caught:
        followed(with_digest(alter(joined, commands[0])))
    assert caught.value.reason is RejectionReason.FORGED


@given(st.integers(0, 2**40), st.integers(1, 16))
def test_tokens_are_split_in_integers_that_add_up(tokens: int, branches: int) -> None:
    shares = split_tokens(tokens, branches)
    assert len(shares) == branches
    assert max(shares) - min(shares) <= 1
    # 0 means that no budget is set: a budget never becomes none by being split.
    assert sum(shares) == tokens if tokens >= branches or not tokens else shares == [1] * branches


def test_tokens_that_branches_leave_are_returned_at_the_join() -> None:
    gather, *commands = followed(chosen(tokens=10_000))
    assert [command["budget"]["tokens"] for command in commands] == [3_334, 3_333, 3_333]
    answers = [spent(findings(commands[0]), 334), spent(failed(commands[1]), 5_000), findings(commands[2])]
    joined = join(gather, [followed(answer)[0] for answer in answers])
    assert payload(joined).tokens == 3_000 + 0 + 3_333
    (draft,) = followed(joined)
    assert draft["budget"] == {"attempts": 3, "tokens": 6_333}


def test_spent_budget_does_not_become_an_unlimited_one() -> None:
    gather, *commands = followed(chosen(2, tokens=10))
    joined = join(gather, [followed(spent(findings(command), 50))[0] for command in commands])
    (draft,) = followed(joined)
    assert draft["budget"]["tokens"] == 1


def test_unset_budget_stays_unset() -> None:
    gather, *commands = followed(chosen(2))
    assert {command["budget"]["tokens"] for command in (gather, *commands)} == {0}
    (draft,) = followed(join(gather, [followed(spent(findings(command), 50))[0] for command in commands]))
    assert draft["budget"]["tokens"] == 0


def test_redelivered_events_of_a_fan_out_make_the_same_events() -> None:
    event = chosen()
    assert followed(event) == followed(event)
    gather, *commands = followed(event)
    joined = join(gather, [followed(findings(command))[0] for command in commands])
    assert followed(joined) == followed(joined)


def test_state_of_three_long_failures_stays_within_the_limit() -> None:
    gather, *commands = followed(chosen())
    long = [failed(command, causes=("x" * 1_900,)) for command in commands[:2]]
    (draft,) = followed(join(gather, [followed(each)[0] for each in (*long, findings(commands[2]))]))
    assert len(canonical_json(draft["state"])) < MAX_STATE_BYTES


def answered(log: list[Json]) -> list[Json]:
    """The log with its drafter's answer and the router's close."""
    drafted = reply(log[-1], AnswerDrafted(answer=ANSWER, cites=("F1",)), written=(ANSWER,))
    return [*log, drafted, *followed(drafted)]


def parallel() -> list[Json]:
    event = chosen()
    gather, *commands = followed(event)
    answers = [findings(commands[0]), failed(commands[1]), findings(commands[2])]
    ends = [followed(answer)[0] for answer in answers]
    joined = join(gather, ends)
    return [event, gather, *commands, *answers, *ends, joined, *followed(joined)]


@pytest.mark.parametrize("log", [answered(parallel()), answered(sequence(3))], ids=["parallel", "sequence"])
def test_replay_of_a_fan_out_has_no_divergence(log: list[Json]) -> None:
    opening = routed_opening()
    whole = [delivered(event) for event in [with_digest(opening), *log]]
    # chosen() begins at triage's answer; the opening and the choice are tested elsewhere.
    replayed = replay_case(whole[1:], SEAL)
    assert (replayed.divergence, replayed.undecided) == (None, 0)
    assert replay_case(whole[1:]).divergence is None


def test_replay_reports_a_branch_that_was_left_out() -> None:
    log = answered(parallel())
    without = [delivered(event) for event in log if event is not log[3]]
    assert "recorded GatherBranches to case_manager" in str(replay_case(without).divergence)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_replay_of_a_fan_out_that_is_recorded_in_part_is_undecided(count: int) -> None:
    event = chosen()
    whole = followed(event)
    for recorded in permutations(whole, count):
        found = replay_case([delivered(each) for each in (event, *recorded)])
        assert (found.decisions, found.undecided, found.divergence) == (0, 1, None)
    assert replay_case([delivered(each) for each in (event, *whole)]).undecided == 0


def test_replay_of_a_fan_out_in_part_reports_what_differs() -> None:
    event = chosen()
    gather, first, *_ = followed(event)
    other = with_digest(changed(first, "time_limit_ms", 1))
    assert replay_case([delivered(each) for each in (event, gather, other)]).divergence is not None


def test_join_that_quotes_another_part_is_seen_by_the_state() -> None:
    _, first = followed(chosen(1))
    stranger = artefact("question", "another")
    altered = changed(findings(first), "state.artefacts.part", stranger.model_dump(mode="json"))
    with pytest.raises(InvalidEvent, match="state was altered"):
        followed(with_digest(altered))


def test_ends_are_no_task_failures_and_joined_ones_no_branch_ends() -> None:
    gather, first = followed(chosen(1))
    (end,) = followed(failed(first))
    assert isinstance(payload(end), JoinBranch)
    assert isinstance(payload(join(gather, [end])), TaskFailed)
    assert isinstance(payload(join(gather, followed(findings(first)))), BranchesJoined)
    assert routed(join(gather, [end]))["type"] == "CloseCase"


@pytest.mark.parametrize(
    ("unroutable", "code"),
    [
        ({"payload": {"findings": []}}, "invalid_event"),
        ({"version": 9}, "unknown_event"),
        ({"type": "FindingsLost"}, "unknown_event"),
    ],
)
def test_unroutable_answer_of_a_branch_is_its_failure_and_the_case_goes_on(
    unroutable: dict[str, Any], code: str
) -> None:
    gather, first, second = followed(chosen(2))
    event = findings(first) | unroutable
    event_id = event_id_for(first["event_id"], event["node_from"], event["type"])
    answer = with_digest(event | {"event_id": event_id})
    (end,) = decide_routing(delivered(answer), SEAL).events
    assert (end["type"], end["node_to"], end["branch"]) == ("JoinBranch", "case_manager", first["branch"])
    assert end["payload"]["failure"]["code"] == code
    assert "answer" not in end["payload"]
    (draft,) = followed(join(gather, [stamped(end), *followed(findings(second))]))
    assert draft["type"] == "DraftAnswer"


def test_unroutable_answer_of_a_branch_without_our_seal_ends_nothing() -> None:
    _, first, _ = followed(chosen(2))
    answer = with_digest(findings(first) | {"payload": {"findings": []}, "state_seal": "golden.1.forged"})
    assert decide_routing(delivered(answer), SEAL).events == ()
