"""`python -m evals SUITE --model simulator|MODEL [--base-url URL] [--baseline FILE --gate]`: see README.md."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from evals.cases import describe_choice, judge_cases, routing_cases, sql_cases, triage_cases, well_cases
from evals.scripts import SUITE_SCRIPTS
from switchyard.evals.models import SIMULATOR_MODEL, open_model
from switchyard.evals.regression_gate import check_regression
from switchyard.evals.results import EvalRun, SuiteResult

SUITES = (
    "compliance", "compliance_rules", "field_routing", "memory", "routing_quality", "sql_guard", "text_to_sql",
    "triage", "well_data",
)  # fmt: skip
RESULTS_FOLDER = Path(".switchyard") / "evals"


def main() -> int:
    """Run a suite; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m evals", description="Evals of the agents. See evals/README.md.")
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument(
        "--model", default=SIMULATOR_MODEL, help="simulator, or a pydantic-ai model id (bedrock:…, openai:…)"
    )
    parser.add_argument("--base-url", help="an OpenAI-compatible server that has the model")
    parser.add_argument("--runs", type=int, default=1, help="times each case is run; three or more give pass^k")
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--out", type=Path, help=f"where the results go (default: {RESULTS_FOLDER}/SUITE.json)")
    parser.add_argument("--baseline", type=Path, help="results to compare with")
    parser.add_argument("--gate", action="store_true", help="exit with 1 if worse than the baseline")
    given = parser.parse_args()
    if given.gate and given.baseline is None:
        parser.error("--gate compares with a baseline: give --baseline FILE")
    if given.suite == "compliance_rules":
        from evals.cases import rule_cases
        from evals.rules_suite import report_rules

        return report_rules(rule_cases())
    run = EvalRun(given.model, given.runs, given.concurrency)
    if given.suite == "sql_guard":
        result = asyncio.run(_sql_guard(run))
    elif given.suite == "memory":
        from evals.memory_suite import run_memory

        result = asyncio.run(run_memory(run))
    elif given.suite == "routing_quality":
        from evals.routing.quality import run_quality

        result = run_quality(run)
    else:
        with open_model(given.model, given.base_url, SUITE_SCRIPTS) as model:
            suites = {
                "compliance": _compliance,
                "field_routing": _field_routing,
                "text_to_sql": _text_to_sql,
                "triage": _triage,
                "well_data": _well_data,
            }
            suite = suites[given.suite]
            result = asyncio.run(suite(model, run))
    out = given.out or RESULTS_FOLDER / f"{given.suite}.json"
    result.write(out)
    _print(result, out)
    return _compare_with_baseline(SuiteResult.read(given.baseline), result, gate=given.gate) if given.baseline else 0


async def _text_to_sql(model: Any, run: EvalRun) -> SuiteResult:
    import uuid

    from demo.oil_field.warehouse import open_warehouse
    from evals.authority import RowAccessChecker
    from evals.sql_suite import SqlSuite
    from services.specialists.text_to_sql.agent import build_sql_agent
    from services.specialists.text_to_sql.guard_process import GuardProcess
    from services.specialists.text_to_sql.schema import load_schema
    from services.specialists.text_to_sql.warehouse import SnowflakeWarehouse, WarehouseEndpoint
    from switchyard.identity.client import UserToken
    from switchyard.protocol.fields import Access

    snowflake_simulator, schema = open_warehouse(), load_schema()
    address = WarehouseEndpoint(account="local", database=schema.database, namespace=schema.namespace)
    someone = str(uuid.uuid4())
    access = Access(subject=someone, agent="text_to_sql", grant=someone, jti="evals", audience="simulator", scopes=())
    # In this process the simulator reads no token: the role of the question decides.
    warehouse = SnowflakeWarehouse(address, UserToken("", access), connect=snowflake_simulator.connect)
    guard = GuardProcess(schema)
    suite = SqlSuite(build_sql_agent(model, schema), warehouse, guard.check, RowAccessChecker())
    try:
        return await suite.run(sql_cases(), run)
    finally:
        await guard.close()
        snowflake_simulator.close()


async def _sql_guard(run: EvalRun) -> SuiteResult:
    from evals.guard_suite import run_guard
    from services.specialists.text_to_sql.guard_process import GuardProcess
    from services.specialists.text_to_sql.schema import load_schema

    guard = GuardProcess(load_schema())
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
    from services.specialists.compliance.pack import released_packs

    account, cases = judge_cases()
    return await run_judge(build_judge_agent(model), account, cases, released_packs()[-1], run)


def _print(result: SuiteResult, out: Path) -> None:
    for case in result.cases:
        mark = "pass" if case.passes == case.runs else "FAIL"
        count = "" if case.runs == 1 else f" {case.passes}/{case.runs}"
        print(f"  {mark}{count}  {case.id}{f': {case.note}' if case.note else ''}")
    print(f"\n{result.suite} on {result.model}, prompt {result.prompt_version}, {len(result.cases)} cases")
    print(f"  cases passed: {result.accuracy:.1%}")
    for name, rate in result.rates.items():
        print(f"  {name.replace('_', ' ')}: {rate if name.startswith('tokens') else f'{rate:.1%}'}")
    for violation in result.violations:
        print(f"  must never happen: {violation}")
    if result.model == SIMULATOR_MODEL and result.prompt_version:
        print("  The simulator is scripted, some wrong answers included: this score says that the plumbing works.")
    print(f"  written to {out}")


def _compare_with_baseline(baseline: SuiteResult, result: SuiteResult, *, gate: bool) -> int:
    verdict = check_regression(baseline, result)
    print(f"\nagainst the baseline ({baseline.model}, prompt {baseline.prompt_version}):")
    print(f"  mean difference {verdict.difference:+.4f}, 95 % upper bound {verdict.upper_bound:+.4f}")
    if verdict.newly_failing:
        print(f"  newly failing: {', '.join(verdict.newly_failing)}")
    for reason in verdict.reasons:
        print(f"  gate: {reason}")
    print(f"  {'passed' if verdict.passed else 'NOT passed'}")
    return 1 if gate and not verdict.passed else 0


if __name__ == "__main__":
    sys.exit(main())
