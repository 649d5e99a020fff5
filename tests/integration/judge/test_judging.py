"""A sampled case is judged after its end, from what its producers stored; a judge that fails touches no case."""

from __future__ import annotations

import json
from dataclasses import replace

import asyncpg
import pytest

from services.judge.agent import RUBRICS
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.fields import Artefact
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.crypto.vault import LocalKeyWrapper, Vault
from switchyard.runtime.database.session_scope import SessionScope
from tests.integration.cloud import Cloud, Tap
from tests.integration.conftest import PoolFor
from tests.integration.events import MARKER, bus_body, envelope_of, rewritten
from tests.integration.infrastructure import Owner
from tests.integration.judge.conftest import (
    DEAD_LETTERS,
    JUDGE,
    QUEUE,
    UNJUDGED,
    EndedCase,
    StartJudge,
    dead_letter_of,
)
from tests.integration.manual_clock import ManualClock
from tests.reference import derive_event

pytestmark = pytest.mark.integration


async def test_sampled_case_is_judged_once_and_its_event_has_no_text(
    start_judge: StartJudge, cloud: Cloud, tap: Tap, owner: Owner
) -> None:
    case = await EndedCase().store(owner)
    await start_judge()
    await cloud.put(case.closed)
    [event] = await tap.next(JUDGE, case.case_id)
    assert (event["type"], event["node_to"], event["parents"]) == ("CaseJudged", "external", [case.closed["digest"]])
    payload = event["payload"]
    assert (payload["verdict"], payload["rubric"]) == ("pass", RUBRICS["assist"].digest)
    assert event["rubric_score"] == payload["score"] == 35 * 92 + 45 * 95 + 20 * 88
    assert len(event["bundle"]) == 64
    assert event["model_call"]["input_tokens"] > 0
    assert MARKER not in json.dumps(event)
    await cloud.deliver(JUDGE, case.closed)
    await cloud.settled(QUEUE)
    assert {each["event_id"] for each in await tap.seen(JUDGE, case.case_id)} == {event["event_id"]}
    assert await owner.fetchval("select count(*) from judge.outbox where case_id = $1", case.case_id) == 1
    # Paid on a line of its own, and not by the case.
    [day] = await owner.fetch("select spent, observed from budget.tenant_day where tenant = $1", case.tenant)
    assert day["spent"] == day["observed"] > 0
    assert await owner.fetchval("select count(*) from budget.case_total where case_id = $1", case.case_id) == 0


async def test_case_outside_the_sample_leaves_no_row_and_costs_nothing(
    start_judge: StartJudge, cloud: Cloud, tap: Tap, owner: Owner
) -> None:
    cases = [await EndedCase(tenant=UNJUDGED).store(owner), await EndedCase().store(owner)]
    unanswered = rewritten(
        derive_event(
            envelope_of(cases[1].events["opened"]),
            CaseClosed(outcome="no_agent", code="none"),
            node_from="case_manager",
        )
        | {"occurred_at": cases[1].closed["occurred_at"], "trace": {}}
    )
    await start_judge()
    await cloud.put(cases[0].closed, unanswered)
    await cloud.settled(QUEUE, DEAD_LETTERS)
    ids = [case.case_id for case in cases]
    assert await owner.fetchval("select count(*) from judge.inbox where case_id = any($1::uuid[])", ids) == 0
    assert await owner.fetchval("select count(*) from budget.model_call where case_id = any($1::uuid[])", ids) == 0
    assert not await tap.seen(JUDGE, cases[0].case_id)


async def test_ending_without_its_producers_record_is_not_judged(
    start_judge: StartJudge, cloud: Cloud, tap: Tap, owner: Owner
) -> None:
    unfounded = {
        "not_an_ending": await EndedCase().store(owner, without="closed"),
        "not_drafted": await EndedCase().store(owner, without="drafted"),
        "case_open": await EndedCase().store(owner, over=False),
    }
    forged = bus_body((await EndedCase().store(owner)).closed, source="switchyard.router")
    await start_judge()
    await cloud.put(*(case.closed for case in unfounded.values()))
    await cloud.send(QUEUE, forged)
    for code, case in unfounded.items():
        assert (await dead_letter_of(cloud, case)).startswith(f"{code}: ")
        assert not await tap.seen(JUDGE, case.case_id)
        assert await owner.fetchval("select count(*) from budget.model_call where case_id = $1", case.case_id) == 0
    assert (await cloud.quarantine_of(JUDGE, forged))["reason"] == "forged"


async def test_failed_judgement_goes_to_the_dead_letters_and_leaves_the_case(
    start_judge: StartJudge, cloud: Cloud, tap: Tap, owner: Owner
) -> None:
    cases = [await EndedCase(answer=f"{MARKER} {how}").store(owner) for how in ("speaks in words", "is out of range")]
    await start_judge()
    await cloud.put(*(case.closed for case in cases))
    for case in cases:
        reason = await dead_letter_of(cloud, case)
        assert reason.startswith("bad_judgement: ")
        assert MARKER not in reason
        assert not await tap.seen(JUDGE, case.case_id)
        kept = "select outputs, lease_until < clock_timestamp() as free from judge.inbox where case_id = $1"
        [waiting] = await owner.fetch(kept, case.case_id)
        assert (waiting["outputs"], waiting["free"]) == (None, True)


async def test_login_of_the_judge_reads_no_case_that_it_has_not_in_hand(pool_for: PoolFor, owner: Owner) -> None:
    case = await EndedCase().store(owner)
    pool = await pool_for(JUDGE)
    envelope = envelope_of(case.closed)
    scope, ids = SessionScope.of(envelope), (case.case_id, case.closed["event_id"])
    vault = Vault(pool, LocalKeyWrapper(bytes(32)), ManualClock())
    answer = Artefact.model_validate_json(json.dumps(case.closed["payload"]["answer"]))
    assert answer.subject is not None
    assert await _evidence(pool, scope, ids) == []
    await _claim(owner, case, "0" * 64)
    assert await _evidence(pool, scope, ids) == []
    await owner.execute("update judge.inbox set digest = $2 where event_id = $1", ids[1], case.closed["digest"])
    assert len(await _evidence(pool, scope, ids)) == 3
    assert await _evidence(pool, replace(scope, tenant="another"), ids) == []
    for forbidden in (
        "select * from judge.produced",
        "select * from case_manager.outbox",
        "select * from drafter.outbox",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.fetch(forbidden)
    await owner.execute("delete from case_manager.case_ending where case_id = $1", case.case_id)
    with pytest.raises(PermanentTaskError, match="case_open"):
        await vault.open(answer.subject, b"", case_id=case.case_id, name="answer", scope=scope)


async def test_agent_with_a_task_gets_no_key_of_a_case_that_is_over(pool_for: PoolFor, owner: Owner) -> None:
    """What observers may is not what others may."""
    case = await EndedCase().store(owner)
    vault = Vault(await pool_for("drafter"), LocalKeyWrapper(bytes(32)), ManualClock())
    subject = case.events["opened"]["principal"]["subject"]
    with pytest.raises(PermanentTaskError, match="case_over"):
        await vault.open(
            subject, b"", case_id=case.case_id, name="answer", scope=SessionScope.of(envelope_of(case.closed))
        )


async def _evidence(pool: object, scope: SessionScope, ids: tuple[str, str]) -> list[str]:
    from services.judge.evidence import _SQL
    from switchyard.runtime.database.connections import Database

    async with Database(pool, "the work database", _SQL).transaction(scope) as database:  # type: ignore[arg-type]
        return [row["event"] for row in await database.rows("evidence", *ids)]


async def _claim(owner: Owner, case: EndedCase, digest: str) -> None:
    await owner.execute(
        "insert into judge.inbox (event_id, digest, case_id, type, token, claims, lease_until)"
        " values ($1, $2, $3, 'CaseClosed', 1, 1, clock_timestamp() + interval '1 hour')",
        case.closed["event_id"], digest, case.case_id,
    )  # fmt: skip
