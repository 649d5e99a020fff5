"""Each suite with its agent, its labelled cases and what it works on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.cases import describe_choice, judge_cases, routing_cases, rule_cases, sql_cases, triage_cases, well_cases
from evals.scripts import SUITE_SCRIPTS
from switchyard.evals.results import EvalRun, SuiteResult
from switchyard.evals.runner import EvalSuites

if TYPE_CHECKING:
    from services.specialists.text_to_sql.schema import Schema
    from services.specialists.text_to_sql.warehouse import SnowflakeWarehouse
    from switchyard.devstack.simulators.snowflake.simulator import SnowflakeSimulator


def _compliance_rules(run: EvalRun) -> SuiteResult:
    from evals.rules_suite import run_rules_suite

    return run_rules_suite(rule_cases(), run)


def _routing_quality(run: EvalRun) -> SuiteResult:
    from evals.routing.quality import run_quality

    return run_quality(run)


def local_warehouse(simulator: SnowflakeSimulator, schema: Schema) -> SnowflakeWarehouse:
    """The simulated warehouse in this process, where it reads no token: the role of the question decides."""
    import uuid

    from services.specialists.text_to_sql.warehouse import SnowflakeWarehouse, WarehouseEndpoint
    from switchyard.identity.client import UserToken
    from switchyard.protocol.fields import Access

    address = WarehouseEndpoint(account="local", database=schema.database, namespace=schema.namespace)
    someone = str(uuid.uuid4())
    access = Access(subject=someone, agent="text_to_sql", grant=someone, jti="evals", audience="simulator", scopes=())
    return SnowflakeWarehouse(address, UserToken("", access), connect=simulator.connect)


async def _text_to_sql(model: Any, run: EvalRun) -> SuiteResult:
    from demo.oil_field.warehouse import oil_field_schema, open_warehouse
    from evals.authority import RowAccessChecker
    from evals.sql_suite import SqlSuite
    from services.specialists.text_to_sql.agent import build_sql_agent
    from services.specialists.text_to_sql.guard_process import GuardProcess

    snowflake_simulator, schema = open_warehouse(), oil_field_schema()
    warehouse = local_warehouse(snowflake_simulator, schema)
    guard = GuardProcess(schema)
    suite = SqlSuite(build_sql_agent(model, schema), warehouse, guard.check, RowAccessChecker())
    try:
        return await suite.run(sql_cases(), run)
    finally:
        await guard.close()
        snowflake_simulator.close()


async def _check_corpora(run: EvalRun) -> SuiteResult:
    from demo.oil_field.warehouse import oil_field_schema
    from evals.guard_suite import run_guard
    from services.specialists.text_to_sql.guard_process import GuardProcess

    guard = GuardProcess(oil_field_schema())
    try:
        return await asyncio.to_thread(run_guard, guard, run)
    finally:
        await guard.close()


async def _triage(model: Any, run: EvalRun) -> SuiteResult:
    from contracts.cards import AGENT_CARDS
    from evals.triage_suite import run_triage
    from services.specialists.triage.agent import TRIAGE_PROMPT_VERSION, build_triage_agent, choose_specialist
    from switchyard.app.cards import specialist_cards

    cards = specialist_cards(AGENT_CARDS.values())
    agent = build_triage_agent(model, cards)

    async def chosen(question: str) -> str:
        choice = await choose_specialist(agent, question, at_most=3)
        return describe_choice(choice.agents, choice.mode)

    deployed = frozenset(card.name for card in cards)
    return await run_triage(chosen, triage_cases(), run, deployed=deployed, prompt_version=TRIAGE_PROMPT_VERSION)


async def _field_routing(model: Any, run: EvalRun) -> SuiteResult:
    from evals.routing.suite import RoutingSuite
    from services.specialists.field_routing.agent import build_routing_agent

    return await RoutingSuite(build_routing_agent(model)).run(routing_cases(), run)


async def _well_data(model: Any, run: EvalRun) -> SuiteResult:
    from contracts.cards import WELL_DATA_CARD
    from evals.well_suite import WellSuite
    from services.specialists.well_data.agent import build_well_agent

    return await WellSuite(build_well_agent(model, WELL_DATA_CARD.tools)).run(well_cases(), run)


async def _compliance(model: Any, run: EvalRun) -> SuiteResult:
    from evals.judge_suite import run_judge
    from services.specialists.compliance.judge import build_judge_agent
    from services.specialists.compliance.pack import newest_pack

    account, cases = judge_cases()
    return await run_judge(build_judge_agent(model), account, cases, newest_pack(), run)


async def _memory(run: EvalRun) -> SuiteResult:
    from evals.memory_suite import run_memory

    return await run_memory(run)


SUITES = EvalSuites(
    asked={
        "compliance": _compliance,
        "field_routing": _field_routing,
        "text_to_sql": _text_to_sql,
        "triage": _triage,
        "well_data": _well_data,
    },
    code={
        "compliance_rules": _compliance_rules,
        "memory": lambda run: asyncio.run(_memory(run)),
        "routing_quality": _routing_quality,
        "sql_guard": lambda run: asyncio.run(_check_corpora(run)),
    },
    scripts=SUITE_SCRIPTS,
    baselines=Path(__file__).parent / "baseline",
)
