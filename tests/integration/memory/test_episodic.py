"""A later turn finds what was said before in its session, and nothing of anybody else's."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from statistics import median

import pytest

from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.core.errors import PermanentTaskError
from tests.integration.infrastructure import Infrastructure, Owner
from tests.integration.known_cases import Person
from tests.integration.manual_clock import ManualClock
from tests.integration.memory.conftest import Conversation, MakeMemory, Memory

pytestmark = pytest.mark.integration

QUESTION = "Which wells lost the most oil this week?"
ANSWER = "The Cutbow 7H lost 412 bbl [F1]."


async def talk(memory: Memory, conversation: Conversation, *turns: tuple[str, str]) -> None:
    for question, answer in turns:
        await memory.keep(conversation.answered(conversation.open_turn(question), answer))


async def test_follow_up_is_given_the_turn_before_with_its_date(memory: Memory, conversation: Conversation) -> None:
    await talk(memory, conversation, (QUESTION, ANSWER))
    answer, document = await memory.recall(conversation.recall(conversation.open_turn("and for gas?")))
    (turn,) = document.turns
    assert (turn.turn, turn.question, turn.answer) == (1, QUESTION, ANSWER)
    assert turn.answered_at == "2026-07-01T12:00:00.000000Z"
    assert [(item.id, item.kind) for item in answer.used] == [(conversation.cases[0], "turn")]
    assert answer.missing is None
    assert 0 < answer.tokens < 100


async def test_turn_that_is_kept_is_named_by_id_and_by_the_digest_of_its_event(
    memory: Memory, conversation: Conversation
) -> None:
    task = conversation.answered(conversation.open_turn(QUESTION), ANSWER)
    for _ in range(2):  # a redelivery keeps it once
        kept = await memory.keep(task)
        assert [(item.id, item.digest) for item in kept.items] == [(conversation.cases[0], task.envelope.digest)]
    answer, document = await memory.recall(conversation.recall(conversation.open_turn("and for gas?")))
    assert len(document.turns) == 1
    assert answer.used[0].digest == task.envelope.digest


async def test_tables_hold_no_text_of_a_turn(memory: Memory, conversation: Conversation, owner: Owner) -> None:
    await talk(memory, conversation, (QUESTION, ANSWER))
    rows = await owner.fetch("select t::text as row from memory.turn t where case_id = $1", conversation.cases[0])
    assert len(rows) == 1
    assert "oil" not in rows[0]["row"]
    assert "Cutbow" not in rows[0]["row"]


async def test_record_that_comes_late_is_waited_for(
    make_memory: MakeMemory, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = await make_memory(wait_s=30.0)
    kept = conversation.answered(conversation.open_turn(QUESTION), ANSWER)
    asked = asyncio.create_task(memory.recall(conversation.recall(conversation.open_turn("and for gas?"))))
    done, _ = await asyncio.wait([asked], timeout=0.5)
    assert not done
    await memory.keep(kept)
    answer, document = await asyncio.wait_for(asked, 20)
    assert [turn.question for turn in document.turns] == [QUESTION]
    assert answer.missing is None


async def test_wait_for_a_record_that_never_comes_ends_and_says_so(
    make_memory: MakeMemory, conversation: Conversation
) -> None:
    memory = await make_memory(wait_s=0.3)
    memory.clock = SystemClock()
    await talk(memory, conversation, (QUESTION, ANSWER))
    conversation.open_turn("a turn that failed")
    began = time.monotonic()
    answer, document = await memory.recall(conversation.recall(conversation.open_turn("and for gas?")))
    assert time.monotonic() - began >= 0.3
    assert answer.missing == "not_kept"
    assert [turn.question for turn in document.turns] == [QUESTION]


async def test_session_without_kept_turns_has_no_memory(memory: Memory, conversation: Conversation) -> None:
    conversation.open_turn("a turn that failed")
    answer, _ = await memory.recall(conversation.recall(conversation.open_turn("and for gas?")))
    assert (answer.memory, answer.used, answer.missing) == (None, (), "not_kept")


async def test_recall_of_a_case_that_is_over_says_so_and_fails_nothing(
    memory: Memory, conversation: Conversation, owner: Owner
) -> None:
    await talk(memory, conversation, (QUESTION, ANSWER))
    asked = conversation.recall(conversation.open_turn("and for gas?"))
    sql = "insert into case_manager.case_ending (case_id, outcome, event_id) values ($1, 'expired', gen_random_uuid())"
    await owner.execute(sql, conversation.cases[-1])
    answer, _ = await memory.recall(asked)
    assert (answer.memory, answer.used, answer.missing) == (None, (), "case_over")


async def test_retried_turn_recalls_no_later_turn(memory: Memory, conversation: Conversation) -> None:
    await talk(memory, conversation, ("first", "one"))
    second = conversation.open_turn("second")
    await talk(memory, conversation, ("third", "three"))
    _, document = await memory.recall(conversation.recall(second))
    assert [turn.question for turn in document.turns] == ["first"]


@pytest.mark.parametrize("part", ["person", "session", "tenant"])
async def test_other_person_session_or_tenant_recalls_nothing(
    memory: Memory, conversation: Conversation, part: str, infrastructure: Infrastructure
) -> None:
    await talk(memory, conversation, (QUESTION, ANSWER))
    other = Conversation(conversation.person, conversation.session, conversation.tenant, list(conversation.cases))
    match part:
        case "person":
            other.person = Person(bytes(32))
        case "session":
            other.session = "another"
        case "tenant":
            other.tenant = "another"
    answer, document = await memory.recall(other.recall(other.open_turn("and for gas?")))
    assert (document.turns, answer.used) == ((), ())


async def test_planted_row_of_another_persons_turn_is_not_opened(
    memory: Memory, conversation: Conversation, owner: Owner
) -> None:
    stranger = Conversation(Person(bytes(32)))
    await talk(memory, stranger, (QUESTION, ANSWER))
    first = conversation.open_turn("one")
    asked = conversation.recall(conversation.open_turn("two"))
    await owner.execute(
        "update memory.turn set user_id = $1, session_id = $2 where case_id = $3",
        conversation.person.subject, conversation.session, stranger.cases[0],
    )  # fmt: skip
    with pytest.raises(PermanentTaskError, match="not_sealed"):
        await memory.recall(asked)
    assert first["case_id"] == conversation.cases[0]


async def test_answer_that_is_not_sealed_for_the_person_is_not_kept(memory: Memory, conversation: Conversation) -> None:
    stranger = Conversation(Person(bytes(32)))
    stranger.open_turn("-")
    first = conversation.open_turn(QUESTION)
    task = conversation.answered(first, ANSWER)
    artefact, place = stranger.person.artefact(first["case_id"], "answer", b"{}")
    forged = conversation.task(first, task.payload.model_copy(update={"answer": artefact}), **{artefact.sha256: place})
    with pytest.raises(PermanentTaskError, match="not_sealed"):
        await memory.keep(forged)


async def test_expired_turn_is_not_recalled(
    make_memory: MakeMemory, conversation: Conversation, clock: ManualClock
) -> None:
    memory = await make_memory(turn_ttl=timedelta(hours=1))
    await talk(memory, conversation, (QUESTION, ANSWER))
    clock.advance(3_601)
    answer, _ = await memory.recall(conversation.recall(conversation.open_turn("and for gas?")))
    assert (answer.memory, answer.missing) == (None, "not_kept")


async def test_session_keeps_its_newest_turns_and_names_those_that_made_room(
    make_memory: MakeMemory, conversation: Conversation, owner: Owner
) -> None:
    memory = await make_memory(session_turns=3)
    for number in range(5):
        await memory.keep(conversation.answered(conversation.open_turn(f"question {number}"), "-"))
    gone = "select id::text, kind, reason from memory.forgotten where id = any($1::uuid[])"
    rows = [tuple(row) for row in await owner.fetch(gone, conversation.cases)]
    assert sorted(rows) == sorted((case, "turn", "evicted") for case in conversation.cases[:2])
    _, document = await memory.recall(conversation.recall(conversation.open_turn("?")))
    assert [turn.turn for turn in document.turns] == [3, 4, 5]


async def test_session_of_200_turns_stays_within_its_token_budget_and_flat_in_latency(
    make_memory: MakeMemory, conversation: Conversation
) -> None:
    memory = await make_memory(tokens=800, session_turns=20)
    took: list[float] = []
    for number in range(200):
        first = conversation.open_turn(f"Question {number}: " + "how much oil did it make? " * 10)
        if number:
            task = conversation.recall(first)
            began = time.perf_counter()
            answer, document = await memory.recall(task)
            took.append(time.perf_counter() - began)
            assert 0 < answer.tokens <= 800
            assert len(document.quote()) <= 4 * 800 + 500
            assert document.turns[-1].turn == number
        await memory.keep(conversation.answered(first, f"Answer {number}: " + "it made 412 bbl of oil. " * 20))
    early, late = median(took[20:70]), median(took[-50:])
    assert late < 2 * early + 0.005, (early, late)


@pytest.mark.parametrize("size", [0, 1_000, 15_000])
async def test_long_answer_is_shortened_and_the_turn_before_is_always_recalled(
    make_memory: MakeMemory, conversation: Conversation, size: int
) -> None:
    memory = await make_memory(tokens=100)
    await talk(memory, conversation, (QUESTION, "x" * size))
    answer, document = await memory.recall(conversation.recall(conversation.open_turn("and for gas?")))
    assert answer.tokens <= 100
    assert [turn.turn for turn in document.turns] == [1]
