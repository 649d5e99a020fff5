"""A later turn begins with what was said before, if memory has it in time, and no case depends on it."""

from __future__ import annotations

import json

import pytest

from contracts.events.drafter import AnswerDrafted
from contracts.events.triage import AgentChosen, AgentsChosen
from switchyard.protocol.branches import PlannedBranch
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.fields import Json
from tests.unit.protocol.bus_events import changed, with_digest
from tests.unit.router.branch_cases import (
    MEMORY,
    PARTS,
    PREVIOUS,
    beginning,
    findings,
    followed,
    join,
    recalled,
    recalling,
    second_turn,
    text,
)
from tests.unit.router.cases import ANSWER, failed, received, reply

MEMORY_JSON = MEMORY.model_dump(mode="json", exclude_none=True)


def flows(events: list[Json]) -> list[tuple[str, str]]:
    return [(event["type"], event["node_to"]) for event in events]


def test_first_turn_asks_memory_nothing() -> None:
    first, command = beginning()
    assert flows(followed(first)) == [("ChooseAgent", "triage")]
    assert "memory" not in command["payload"]


def test_later_turn_asks_memory_and_has_the_case_manager_wait_for_a_while() -> None:
    gather, command = followed(second_turn())
    assert flows([gather, command]) == [("GatherBranches", "case_manager"), ("RecallMemory", "memory")]
    assert (gather["time_limit_ms"], gather["payload"]["earlier"]) == (4_000, True)
    assert (command["payload"]["turn"], command["payload"]["previous_case"]) == (2, PREVIOUS)
    assert command["branch"] == {"gather": gather["event_id"], "number": 0}


def test_memory_is_given_the_question_and_the_turn_and_nothing_else_of_the_case() -> None:
    _, command = followed(second_turn(agent="well_data"))
    assert command["state"]["artefacts"].keys() == {"question"}
    assert command["state"]["facts"] == {"turn": 2, "previous_case": PREVIOUS}
    assert "well_data" not in text(command)


@pytest.mark.parametrize("agent", [None, "well_data"])
def test_recalled_memory_goes_to_triage_specialist_and_drafter(agent: str | None) -> None:
    _, gather, *_, end = recalling(agent=agent)
    assert (end["type"], end["node_to"]) == ("JoinBranch", "case_manager")
    (command,) = followed(join(gather, [end]))
    if agent is None:
        assert (command["type"], command["payload"]["at_most"]) == ("ChooseAgent", 3)
        assert command["payload"]["memory"] == MEMORY_JSON
        (command,) = followed(reply(command, AgentChosen(agent="well_data")))
    assert flows([command]) == [("AnswerQuestion", "well_data")]
    assert command["payload"]["memory"] == MEMORY_JSON
    assert MEMORY.sha256 in command["storage_refs"]
    (draft,) = followed(findings(command))
    assert draft["payload"]["memory"] == MEMORY_JSON
    assert "results" not in draft["payload"]


@pytest.mark.parametrize("agent", [None, "well_data"])
@pytest.mark.parametrize("why", ["late", "failed", "nothing kept"])
def test_case_goes_on_without_memory(agent: str | None, why: str) -> None:
    _, gather, command, *_ = recalling(agent=agent)
    answer = failed(command) if why == "failed" else recalled(command, found=False)
    joined = join(gather, [] if why == "late" else followed(answer))
    assert joined["type"] == "BranchesJoined"
    result = joined["payload"]["results"][0]
    assert result.get("failure", {}).get("code") == {"late": "late", "failed": "time_limit"}.get(why)
    (command,) = followed(joined)
    assert flows([command]) == [("ChooseAgent", "triage") if agent is None else ("AnswerQuestion", "well_data")]
    assert "memory" not in command["payload"]


def test_memory_that_is_late_takes_no_token_budget() -> None:
    gather, _ = followed(second_turn(tokens=900))
    (command,) = followed(join(gather, []))
    assert command["budget"]["tokens"] == 900


def test_case_with_a_recalled_turn_fans_out_and_is_joined_as_ever() -> None:
    _, gather, *_, end = recalling()
    (choose,) = followed(join(gather, [end]))
    planned = [PlannedBranch(agent="text_to_sql", part=part) for part in PARTS[:2]]
    second, *commands = followed(reply(choose, AgentsChosen(branches=tuple(planned)), written=PARTS[:2]))
    assert second["payload"]["earlier"] is False
    assert "time_limit_ms" not in second
    (draft,) = followed(join(second, [followed(findings(each))[0] for each in commands]))
    assert [each["agent"] for each in draft["payload"]["results"]] == ["text_to_sql"] * 2
    assert draft["payload"]["memory"] == MEMORY_JSON


def test_branch_of_a_fan_out_is_given_its_part_and_no_memory() -> None:
    _, gather, *_, end = recalling()
    (choose,) = followed(join(gather, [end]))
    planned = tuple(PlannedBranch(agent="text_to_sql", part=part) for part in PARTS[:2])
    for command in followed(reply(choose, AgentsChosen(branches=planned), written=PARTS[:2]))[1:]:
        assert MEMORY.sha256 not in text(command)


def answered(*, version: str = "assist/4") -> Json:
    """An answer that closes its case."""
    first, choose = beginning()
    if version != "assist/4":
        choose = followed(with_digest(changed(first, "playbook_version", version)))[0]
    (command,) = followed(reply(choose, AgentChosen(agent="text_to_sql")))
    (draft,) = followed(findings(command))
    return reply(draft, AnswerDrafted(answer=ANSWER, cites=("F1",)), written=(ANSWER,))


def test_answered_turn_is_given_to_memory_and_the_case_closes_without_waiting() -> None:
    close, keep = followed(answered())
    assert flows([close, keep]) == [("CloseCase", "case_manager"), ("KeepTurn", "memory")]
    assert (close["ordinal"], keep["ordinal"], close["siblings"], keep["siblings"]) == (0, 1, 2, 2)
    assert keep["payload"].keys() == {"question", "answer", "turn"}
    assert set(keep["storage_refs"]) == {keep["payload"][name]["sha256"] for name in ("question", "answer")}
    assert keep["state"]["artefacts"].keys() == {"question", "answer"}


def test_released_playbook_before_gives_memory_nothing() -> None:
    assert flows(followed(answered(version="assist/3"))) == [("CloseCase", "case_manager")]


def test_failure_to_keep_a_turn_changes_nothing_of_the_case() -> None:
    _, keep = followed(answered())
    failure = failed(keep)
    assert isinstance(received(failure).payload, TaskFailed)
    assert followed(failure) == []


def test_forged_failure_of_another_task_as_a_kept_turn_is_refused() -> None:
    close, keep = followed(answered())
    forged = with_digest(changed(failed(keep), "payload.task", close["event_id"]))
    with pytest.raises(Exception, match="another task"):
        followed(forged)
    assert json.dumps(close["payload"]).count("answered")
