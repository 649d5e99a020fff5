"""How a task fails: which errors are tried again, how often, and how the case ends."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest

from contracts.events.router import AnswerQuestion, ChooseAgent
from contracts.events.specialists import FindingsReady
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.fields import Access, Contract, Json, ModelCall, StorageRef
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError, TaskPostponed, Unavailable
from switchyard.runtime.core.task import Task
from tests.integration.cloud import Cloud, Tap
from tests.integration.events import MARKER, NODE, bus_body, command, fresh_id, question, rewritten
from tests.integration.infrastructure import Owner
from tests.integration.runtime.conftest import FOUND, QUEUE, Counting, StartWorker
from tests.reference import read_event

pytestmark = pytest.mark.integration

WITH_NUL = FOUND.model_copy(update={"findings": (FOUND.findings[0].model_copy(update={"media_type": "text/\0"}),)})
THROTTLED = RetryableTaskError("throttled", "the model turned us away", remedy="ask for a higher quota")


async def failure(tap: Tap, case_id: str) -> TaskFailed:
    """The one event that the node has published of the case, which must be a failure."""
    [event] = await tap.next(NODE, case_id)
    payload = read_event(bus_body(event), node="router").payload
    assert isinstance(payload, TaskFailed), event
    assert event["payload"].keys() >= {"task", "code", "message", "attempts"}
    assert "state" not in event
    return payload


async def test_task_failing_once_succeeds_on_its_second_attempt(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    handler = Counting(THROTTLED)
    await start_worker(handler)
    await cloud.put(command(case_id))
    [event] = await tap.next(NODE, case_id)
    assert event["type"] == "FindingsReady"
    assert [task.attempt for task in handler.tasks] == [1, 2]


async def test_postponed_task_comes_back_and_has_used_no_attempt(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    handler = Counting(*(TaskPostponed("waits_for_quota", "the task waits", after_s=0.05) for _ in range(4)))
    await start_worker(handler)
    await cloud.put(command(case_id, attempts=1))
    [event] = await tap.next(NODE, case_id)
    assert event["type"] == "FindingsReady"
    assert [task.attempt for task in handler.tasks] == [1] * 5


async def test_redelivered_task_has_its_earlier_model_attempts(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    left: Json = {"vendor": "bedrock", "model_id": "m", "role": "primary", "outcome": "throttled", "started_ms": 0}
    failed = RetryableTaskError("models_failed", "no model answered")
    failed.model_call = ModelCall(
        vendor="openai", model_id="n", role="fallback", reason="throttled", latency_ms=9, decision={"attempts": [left]}
    )
    handler = Counting(failed)
    await start_worker(handler)
    await cloud.put(command(case_id))
    await tap.next(NODE, case_id)
    assert [task.model_attempts for task in handler.tasks] == [(), (left,)]


@pytest.mark.parametrize("ends", ["answered", "failed"])
async def test_outcome_names_the_credentials_of_every_attempt_once(
    ends: str, start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    attempts = [
        RetryableTaskError("warehouse_unreachable", "no answer"),
        Unavailable("warehouse_away", "not now", after_s=0.1),
        None if ends == "answered" else PermanentTaskError("query_refused", "no"),
    ]
    subject, grant, tries = fresh_id(), fresh_id(), 0

    async def handle(task: Task[AnswerQuestion]) -> FindingsReady:
        nonlocal tries
        tries += 1
        task.accesses.append(
            Access(subject=subject, agent=NODE, grant=grant, jti=f"tok-{tries}", audience="https://a", scopes=("read",))
        )
        if (error := attempts[tries - 1]) is not None:
            raise error
        return FOUND

    await start_worker(handle)
    await cloud.put(command(case_id))
    [event] = await tap.next(NODE, case_id)
    assert event["type"] == ("FindingsReady" if ends == "answered" else "TaskFailed")
    assert [access["jti"] for access in event["access"]] == ["tok-1", "tok-2", "tok-3"]


async def test_retryable_failure_uses_budget_then_ends_task_with_causes(
    start_worker: StartWorker, cloud: Cloud, tap: Tap
) -> None:
    runs: dict[str, list[int]] = defaultdict(list)

    async def fail(task: Task[AnswerQuestion]) -> FindingsReady:
        runs[task.envelope.case_id].append(task.attempt)
        if task.attempt < task.envelope.budget.attempts:
            raise RetryableTaskError("overloaded", f"the model is busy ({task.attempt})")
        raise THROTTLED

    await start_worker(fail)
    asked = {attempts: command(fresh_id(), attempts=attempts) for attempts in (1, 2, 3)}
    await cloud.put(*asked.values())
    failed = {attempts: await failure(tap, event["case_id"]) for attempts, event in asked.items()}
    await cloud.settled(QUEUE)
    for attempts, reported in failed.items():
        assert runs[asked[attempts]["case_id"]] == list(range(1, attempts + 1))
        assert (reported.task, reported.task_type, reported.attempts) == (
            asked[attempts]["event_id"],
            "AnswerQuestion",
            attempts,
        )
        assert (reported.code, reported.message, reported.remedy) == (
            THROTTLED.code,
            THROTTLED.message,
            THROTTLED.remedy,
        )
    assert [reported.causes for reported in failed.values()] == [
        (),
        ("overloaded: the model is busy (1)",),
        ("overloaded: the model is busy (2)",),
    ]


async def test_rejected_task_fails_at_once_and_names_the_field_and_the_remedy(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    handler = Counting(PermanentTaskError("too_broad", "the question asks for every row", "question", "name a period"))
    await start_worker(handler)
    await cloud.put(command(case_id))
    failed = await failure(tap, case_id)
    assert (failed.code, failed.field, failed.remedy) == ("too_broad", "question", "name a period")
    assert (len(handler.tasks), failed.attempts) == (1, 1)


async def test_handler_defect_is_retried_then_fails_without_quoting(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    handler = Counting(*(ValueError(f"cannot parse {MARKER}") for _ in range(2)))
    await start_worker(handler)
    await cloud.put(command(case_id, attempts=2))
    failed = await failure(tap, case_id)
    assert (failed.code, failed.attempts, len(handler.tasks)) == ("defect", 2, 2)
    assert failed.message == f"{NODE} raised ValueError"
    assert MARKER not in failed.model_dump_json()


async def test_handler_past_the_time_limit_is_stopped_and_retried(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    attempts = []

    async def hang(task: Task[AnswerQuestion]) -> FindingsReady:
        attempts.append(task.attempt)
        await asyncio.Event().wait()
        return FOUND

    await start_worker(hang)
    await cloud.put(command(case_id, attempts=2, time_limit_ms=50))
    failed = await failure(tap, case_id)
    assert (failed.code, failed.message) == ("time_limit", "no result within 50 ms")
    assert attempts == [1, 2]


async def test_handlers_own_timeout_is_a_defect_and_not_the_time_limit(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    await start_worker(Counting(TimeoutError("a socket")))
    await cloud.put(command(case_id, attempts=1, time_limit_ms=60_000))
    assert (await failure(tap, case_id)).code == "defect"


UNFIT: dict[str, tuple[Contract, str, list[int]]] = {
    "a NUL": (WITH_NUL, "bad_result", [1]),
    "a type that it may not emit": (ChooseAgent(question=question()[0]), "bad_result", [1]),
    "no event type at all": (Contract(), "defect", [1, 2]),
}


async def test_invalid_result_fails_task_without_retry(start_worker: StartWorker, cloud: Cloud, tap: Tap) -> None:
    asked = {name: command(fresh_id(), attempts=2) for name in UNFIT}
    results = {asked[name]["case_id"]: result for name, (result, _, _) in UNFIT.items()}
    runs: dict[str, list[int]] = defaultdict(list)

    async def answer(task: Task[AnswerQuestion]) -> Contract:
        runs[task.envelope.case_id].append(task.attempt)
        return results[task.envelope.case_id]

    await start_worker(answer)
    await cloud.put(*asked.values())
    ends = {
        name: ((await failure(tap, event["case_id"])).code, runs[event["case_id"]]) for name, event in asked.items()
    }
    assert ends == {name: (code, attempts) for name, (_, code, attempts) in UNFIT.items()}


async def test_outcome_too_large_fails_task_before_storing(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    async def answer(task: Task[AnswerQuestion]) -> FindingsReady:
        for number in range(10):
            task.written_refs[f"{number:064x}"] = StorageRef(inline="A" * 21_000)
        return FOUND

    await start_worker(answer)
    await cloud.put(command(case_id))
    failed = await failure(tap, case_id)
    assert (failed.code, failed.field) == ("bad_result", "payload")


BEYOND: dict[str, tuple[Json, str, str]] = {
    "a field": ({"payload": {"question": {"name": MARKER}}}, "invalid_event", "payload.question.name"),
    "no field": ({"payload": {}}, "invalid_event", "payload"),
    "its version": ({"version": 9}, "unknown_event", "version"),
    "its type": ({"type": "AskOracle"}, "unknown_event", "type"),
}


async def test_undeployed_command_ends_task_and_names_field(start_worker: StartWorker, cloud: Cloud, tap: Tap) -> None:
    handler = Counting()
    await start_worker(handler)
    asked = {name: rewritten(command(fresh_id()), **changes) for name, (changes, _, _) in BEYOND.items()}
    await cloud.put(*asked.values())
    failed = {name: await failure(tap, event["case_id"]) for name, event in asked.items()}
    reported = {name: (failure.code, failure.field) for name, failure in failed.items()}
    assert reported == {name: (code, field) for name, (_, code, field) in BEYOND.items()}
    assert all(failed[name].task == asked[name]["event_id"] and failed[name].remedy for name in BEYOND)
    assert all(MARKER not in failure.model_dump_json() for failure in failed.values())
    assert handler.tasks == []


async def test_command_of_newer_release_waits_unclaimed_for_its_grace(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, owner: Owner, case_id: str
) -> None:
    await start_worker(Counting(), deploy_grace_s=5.0)
    await cloud.put(rewritten(command(case_id, case_deadline="2099-01-01T00:00:00.000000Z"), version=9))
    await tap.silent(NODE, case_id, 2)
    claimed = "select count(*) from text_to_sql.inbox where case_id = $1"
    assert await owner.fetchval(claimed, case_id) == 0
    failed = await failure(tap, case_id)
    assert (failed.code, failed.field) == ("unknown_event", "version")


async def test_unavailable_dependency_uses_no_attempt_and_no_claim(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, owner: Owner, case_id: str
) -> None:
    handler = Counting(Unavailable("object_store", "S3 is unreachable"))
    await start_worker(handler, visibility_s=30.0)
    await cloud.put(command(case_id, attempts=1))
    [event] = await tap.next(NODE, case_id)
    assert event["type"] == "FindingsReady"
    assert [task.attempt for task in handler.tasks] == [1, 1]
    row = await owner.fetchrow("select claims, failures from text_to_sql.inbox where case_id = $1", case_id)
    assert row is not None
    assert tuple(row) == (1, 0)
