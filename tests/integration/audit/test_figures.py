"""The figures that dashboards read: what the views say, in any order in which the log grew, and never in its way."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any, TypeAlias

import asyncpg
import pytest

from contracts.events.drafter import AnswerDrafted
from switchyard.audit.records.figures import refresh_figures
from switchyard.audit.records.roles import READER, SCHEMA
from switchyard.audit.records.store import AuditStore
from switchyard.protocol.events.case_manager import CaseFeedback
from switchyard.runtime.database.connections import Pool, connect_pool
from tests.integration.audit import recorded
from tests.integration.audit.conftest import UrlFor
from tests.integration.audit.proof import Proof
from tests.integration.audit.test_hostile_rows import BODIES, COLUMNS, TIMES, copy_of
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
Owner: TypeAlias = "asyncpg.Connection[Any]"
FIGURES = "select * from case_figures order by 1, 2", "select * from step_figures order by 1, 2, 3"
VIEWS = {
    "tokens": (
        """select opened_on, tenant, session_id, agent, answers, coalesce(input_tokens, 0)::bigint,
             coalesce(output_tokens, 0)::bigint, coalesce(lost_tokens, 0)::bigint from tokens_by_agent_and_session""",
        """select opened_on, tenant, session_id, agent, count(*), sum(input_tokens)::bigint, sum(output_tokens)::bigint,
             sum(lost_tokens)::bigint from step_figures where model_id is not null group by 1, 2, 3, 4""",
    ),
    "latency": (
        "select opened_on, tenant, agent, tasks, p50_ms, p95_ms, p99_ms from latency_by_agent",
        """select opened_on, tenant, agent, count(*), percentile_disc(0.5) within group (order by step_ms),
             percentile_disc(0.95) within group (order by step_ms),
             percentile_disc(0.99) within group (order by step_ms)
           from step_figures where step_ms is not null group by 1, 2, 3""",
    ),
    "failovers": (
        "select opened_on, case_id, agent, reason, left_vendor, vendor from failovers",
        "select opened_on, case_id, agent, reason, left_vendor, vendor from step_figures where role = 'fallback'",
    ),
    "goals": (
        """select opened_on, tenant, playbook, cases, reached, stopped, open, unended, thumbs_up, thumbs_down
           from goal_success""",
        """select c.opened_on, c.tenant, c.playbook, count(*),
             count(*) filter (where o.class = 'reached' and c.thumb is distinct from 'down'),
             count(*) filter (where o.class = 'stopped'),
             count(*) filter (where not c.closed and c.case_deadline >= clock_timestamp()),
             count(*) filter (where not c.closed and c.case_deadline < clock_timestamp()),
             count(*) filter (where c.thumb = 'up'), count(*) filter (where c.thumb = 'down')
           from case_figures c left join outcome_class o on o.outcome = c.outcome group by 1, 2, 3""",
    ),
}


async def figures(owner: Owner) -> list[list[tuple[Any, ...]]]:
    return [[tuple(row) for row in await owner.fetch(statement)] for statement in FIGURES]


def bodies() -> list[str]:
    """Cases of every kind, one with feedback and one with a model call that no command asked for."""
    liked = cases.answered(77)
    liked.append(cases.follow(liked[-1], CaseFeedback(thumb="down", by="user:1"), "case_manager"))
    unasked = cases.answered(78)[:5]
    unasked.append(
        cases.follow(unasked[-1], AnswerDrafted(answer=cases.ANSWER, cites=("F1",)), "drafter", model_call=cases.CALL)
    )
    return [*recorded.log(), *cases.bodies([*liked, *unasked])]


@pytest.mark.parametrize("name", VIEWS)
async def test_figures_say_what_the_views_say(
    store: AuditStore, proof: Proof, writer: Pool, owner: Owner, name: str
) -> None:
    every = bodies()
    await store.record(every)
    await proof.index_rows()
    assert await refresh_figures(writer) == len(set(map(json_id, every)))
    in_view, in_figures = VIEWS[name]
    rows = [sorted(map(repr, map(tuple, await owner.fetch(statement)))) for statement in (in_view, in_figures)]
    assert rows[0] == rows[1]
    assert rows[0]


def json_id(body: str) -> str:
    return str(json.loads(body)["detail"]["event_id"])


async def test_figures_are_the_same_in_whatever_order_and_portions_the_log_grew(
    store: AuditStore, proof: Proof, writer: Pool, owner: Owner
) -> None:
    every = bodies()
    random.Random(4711).shuffle(every)
    for start in range(0, len(every), 7):
        await store.record(every[start : start + 7])
        await proof.index_rows()
        await refresh_figures(writer, most=3)
    grown = await figures(owner)
    assert all(grown)
    await owner.execute("update figures_cursor set log_index = 0")
    await refresh_figures(writer)
    assert await figures(owner) == grown
    assert await refresh_figures(writer) == 0


async def test_two_processes_count_each_entry_once(store: AuditStore, proof: Proof, writer: Pool, owner: Owner) -> None:
    await store.record(bodies())
    await proof.index_rows()
    counted = await asyncio.gather(*(refresh_figures(writer, most=5) for _ in range(4)))
    assert sum(counted) == await owner.fetchval("select max(log_index) from log_entry")
    once = await figures(owner)
    await owner.execute("update figures_cursor set log_index = 0")
    await refresh_figures(writer)
    assert await figures(owner) == once


async def test_hostile_rows_of_a_case_stop_no_counting(
    store: AuditStore, proof: Proof, writer: Pool, owner: Owner
) -> None:
    await store.record(cases.bodies(cases.answered()))
    for column in COLUMNS:
        for time in TIMES:
            await copy_of(owner, **{column: time})
    for body in BODIES.values():
        await copy_of(owner, body=f"'{body}'")
    await proof.index_rows()
    await refresh_figures(writer)
    after = cases.answered()
    after.append(cases.follow(after[-1], CaseFeedback(thumb="up", by="user:1"), "case_manager"))
    await store.record(cases.bodies([*after[-1:], *cases.answered(1)]))
    await proof.index_rows()
    assert await refresh_figures(writer) == 1 + len(cases.answered(1))
    assert await owner.fetchval("select count(*) from case_figures") == 2


async def test_figures_are_written_by_the_audit_process_alone(url_for: UrlFor) -> None:
    reader = await connect_pool(url_for(READER), schema=SCHEMA)
    for statement in (
        "select refresh_figures(1)",
        "delete from case_figures",
        "update figures_cursor set log_index = 0",
    ):
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError)):
            await reader.execute(statement)
    await reader.close()
