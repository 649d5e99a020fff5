"""One contender as a process: `python -m bench.case.worker saver|langgraph|bare`, in the environment of the bench.

The agents' code, models, guard and warehouse are those of our services, composed from the environment of text_to_sql.
It answers one line of JSON, {"questions": n, "at_once": n, "token": "..."}, with another, until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import operator
import os
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import asyncpg

from bench.case.question import QUESTION, ROLE
from contracts.cards import AGENT_CARDS
from latency_failover import FailoverModel, LatencyBudget
from services.app import WAREHOUSE_AUDIENCE
from services.drafter.agent import build_answer_agent, write_answer
from services.models import build_agent_model
from services.specialists.text_to_sql.agent import build_sql_agent, query_answer
from services.specialists.text_to_sql.guard_process import GuardProcess
from services.specialists.text_to_sql.schema import load_schema
from services.specialists.text_to_sql.settings import TextToSqlSettings
from services.specialists.text_to_sql.warehouse import SnowflakeWarehouse, WarehouseEndpoint
from services.specialists.triage.agent import build_triage_agent, choose_specialist
from switchyard.app.cards import specialist_cards
from switchyard.identity.client import UserToken
from switchyard.protocol.fields import Access
from switchyard.runtime.models.clients import ModelSettings

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

DSN = "BENCH_CASE_DSN"
"""The variable with the database of the saver and of the audit table."""
AUDIT_TABLE = (
    "create table if not exists bench_audit (at timestamptz default now(), case_id text, node text, body jsonb)"
)
AUDIT_ROW = "insert into bench_audit (case_id, node, body) values ($1, $2, $3)"
BUDGET = LatencyBudget(total_ms=60_000)
Answer = Callable[[str, str], Awaitable[str]]
"""Answers the question for a case's id with a token."""


class State(TypedDict, total=False):
    """What a graph's nodes hand on."""

    question: str
    token: str
    agent: str
    findings: dict[str, Any]
    answer: str
    trail: Annotated[list[str], operator.add]


@dataclass
class Agents:
    """The three steps of a case."""

    models: Mapping[str, FailoverModel]
    guard: GuardProcess
    settings: TextToSqlSettings

    def __post_init__(self) -> None:
        self.schema = load_schema(self.settings.warehouse_schema)
        self.triage = build_triage_agent(self.models["triage"], specialist_cards(AGENT_CARDS.values()))
        self.sql = build_sql_agent(self.models["text_to_sql"], self.schema)
        self.drafter = build_answer_agent(self.models["drafter"])
        self.endpoint = WarehouseEndpoint(
            account=self.settings.snowflake_account,
            database=self.schema.database,
            namespace=self.schema.namespace,
            host=self.settings.snowflake_host,
            port=self.settings.snowflake_port,
            protocol=self.settings.snowflake_protocol,
        )

    async def choose(self, question: str) -> str:
        """Triage."""
        with self.models["triage"].budget(BUDGET):
            return (await choose_specialist(self.triage, question)).agent

    async def find(self, question: str, case_id: str, token: str) -> dict[str, Any]:
        """Text-to-SQL."""
        access = Access(
            subject=case_id,
            agent="text_to_sql",
            grant=case_id,
            jti="bench",
            audience=WAREHOUSE_AUDIENCE,
            scopes=(f"session:role:{ROLE}",),
        )
        with self.models["text_to_sql"].budget(BUDGET):
            found = await query_answer(
                question,
                agent=self.sql,
                check=self.guard.check,
                warehouse=SnowflakeWarehouse(self.endpoint, UserToken(token, access)),
                schema=self.schema,
                case_id=case_id,
                role=ROLE,
            )
        document: dict[str, Any] = json.loads(found.model_dump_json())
        return document

    async def draft(self, question: str, findings: dict[str, Any]) -> str:
        """The drafter."""
        with self.models["drafter"].budget(BUDGET):
            return (await write_answer(self.drafter, question, [findings | {"id": "F1"}])).text


def bare(agents: Agents) -> Answer:
    """The agents, one after another."""

    async def answer(case_id: str, token: str) -> str:
        agent = await agents.choose(QUESTION)
        assert agent == "text_to_sql", agent
        return await agents.draft(QUESTION, await agents.find(QUESTION, case_id, token))

    return answer


def graph(agents: Agents, pool: asyncpg.Pool[Any], saver: Any) -> Answer:
    """The agents as nodes of a graph; each node inserts an audit row. `saver` may be None."""
    from langgraph.graph import END, START, StateGraph

    async def record(case_id: str, node: str, found: State) -> State:
        await pool.execute(AUDIT_ROW, case_id, node, json.dumps(found))
        return {**found, "trail": [node]}

    async def triage(state: State, config: RunnableConfig) -> State:
        case_id = config["configurable"]["thread_id"]
        return await record(case_id, "triage", {"agent": await agents.choose(state["question"])})

    async def text_to_sql(state: State, config: RunnableConfig) -> State:
        case_id = config["configurable"]["thread_id"]
        found = await agents.find(state["question"], case_id, config["configurable"]["token"])
        return await record(case_id, "text_to_sql", {"findings": found})

    async def drafter(state: State, config: RunnableConfig) -> State:
        text = await agents.draft(state["question"], state["findings"])
        return await record(config["configurable"]["thread_id"], "drafter", {"answer": text})

    builder = StateGraph(State)
    for node in (triage, text_to_sql, drafter):
        builder.add_node(node.__name__, node)
    builder.add_edge(START, "triage")
    builder.add_conditional_edges("triage", lambda state: state["agent"], {"text_to_sql": "text_to_sql"})
    builder.add_edge("text_to_sql", "drafter")
    builder.add_edge("drafter", END)
    compiled = builder.compile(checkpointer=saver)

    async def answer(case_id: str, token: str) -> str:
        configured = {"configurable": {"thread_id": case_id, "token": token}}
        found = await compiled.ainvoke({"question": QUESTION, "trail": []}, configured)
        return str(found["answer"])

    return answer


async def open_saver(stack: AsyncExitStack) -> Any:
    """LangGraph's own saver, over a pool as its documentation has it."""
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    from psycopg.rows import dict_row
    from psycopg_pool import AsyncConnectionPool

    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    pool = AsyncConnectionPool(os.environ[DSN], kwargs=options, min_size=4, max_size=4, open=False)
    saver = AsyncPostgresSaver(await stack.enter_async_context(pool))
    await saver.setup()
    return saver


async def measure(answer: Answer, questions: int, at_once: int, token: str) -> dict[str, Any]:
    """Answer so many questions, so many at once: the seconds, and those of each."""
    limit, waits = asyncio.Semaphore(at_once), list[float]()

    async def one() -> None:
        async with limit:
            started = time.perf_counter()
            assert "[F1]" in await answer(str(uuid.uuid4()), token)
            waits.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(questions)))
    return {"seconds": time.perf_counter() - started, "waits": waits}


async def serve(kind: str) -> None:
    """Answer the lines of standard input."""
    settings, models = TextToSqlSettings(), ModelSettings()
    named = {
        name: build_agent_model(name, models, policy_version="bench/1") for name in ("triage", "text_to_sql", "drafter")
    }
    async with AsyncExitStack() as stack:
        guard = GuardProcess(load_schema(settings.warehouse_schema))
        stack.push_async_callback(guard.close)
        await guard.start()
        agents = Agents(named, guard, settings)
        if kind == "bare":
            answer = bare(agents)
        else:
            pool = await stack.enter_async_context(asyncpg.create_pool(os.environ[DSN], min_size=4, max_size=4))
            await pool.execute(AUDIT_TABLE)
            answer = graph(agents, pool, await open_saver(stack) if kind == "saver" else None)
        read = partial(asyncio.get_running_loop().run_in_executor, None, sys.stdin.readline)
        print(json.dumps({"ready": kind}), flush=True)
        while line := await read():
            asked = json.loads(line)
            found = await measure(answer, asked["questions"], asked["at_once"], asked["token"])
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(sys.argv[1]))
