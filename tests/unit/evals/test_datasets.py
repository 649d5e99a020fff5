from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from contracts.events.upstream import CaseSubmitted
from demo.oil_field.warehouse import BASINS_BY_ROLE, oil_field_schema, open_warehouse
from demo.several import SHOWN as SEVERAL
from evals.cases import (
    DATASETS,
    DatasetError,
    WellCase,
    describe_choice,
    judge_cases,
    sql_cases,
    triage_cases,
    well_cases,
)
from evals.judge_suite import build_situation
from evals.scripts import SCRIPT_FOLDER, SUITE_SCRIPTS
from evals.well_suite import gold_of
from services.specialists.compliance.pack import newest_pack
from services.specialists.compliance.review import evaluate_rules
from services.specialists.text_to_sql.guard import guard_query
from services.specialists.triage.agent import AgentChoice
from services.specialists.well_data.agent import WELL_PROMPT
from services.specialists.well_data.tools import WELL_TOOLS
from switchyard.devstack.simulators.models.answer import match_rule
from switchyard.devstack.simulators.models.exchange import Prompt
from switchyard.devstack.simulators.models.script import ScriptRule, load_scripts

if TYPE_CHECKING:
    from switchyard.devstack.simulators.snowflake.simulator import SnowflakeSimulator

DATA = SCRIPT_FOLDER.parent
SCHEMA = oil_field_schema()
GOLD = [case for case in sql_cases() if case.gold]
DEMO = [json.loads(line) for line in (DATA / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
RULES = load_scripts(SUITE_SCRIPTS).rules


@pytest.fixture(scope="module")
def snowflake_simulator() -> Iterator[SnowflakeSimulator]:
    made = open_warehouse()
    yield made
    made.close()


def first_rule(question: str, *, tools: tuple[str, ...], system: str) -> ScriptRule | None:
    text = f"<question>{question}</question>"
    match = match_rule(RULES, Prompt("openai", "m", False, system, text, text, (), tools, False))
    return match.rule if match else None


def sql_rule(question: str) -> ScriptRule | None:
    return first_rule(question, tools=("list_tables", "describe_table", "check_sql"), system="")


def triage_rule(question: str, *cards: str) -> ScriptRule | None:
    named = "".join(f'{{"name": "{card}"}}' for card in cards)
    return first_rule(question, tools=("final_result",), system=f"You choose the specialist that can. {named}")


def test_judge_draft_is_stopped_by_no_rule() -> None:
    account, drafts = judge_cases()
    assert sum(bool(draft.low) for draft in drafts) * 2 == len(drafts) >= 28
    for draft in drafts:
        given, _ = build_situation(account, draft, newest_pack())
        assert [result.rule.id for result in evaluate_rules(given, "email", b"0" * 16) if result.blocks] == [], draft.id


def test_questions_of_each_kind_are_enough() -> None:
    assert len(GOLD) >= 44
    assert sum(case.expect is not None for case in sql_cases()) >= 5
    labels = Counter(case.agent or case.mode for case in triage_cases())
    assert len(triage_cases()) >= 60
    assert all(labels[agent] >= 10 for agent in ("text_to_sql", "well_data", "field_routing", "none"))
    assert min(labels["parallel"], labels["sequence"]) >= 15


@pytest.mark.filterwarnings("ignore:Arrow output on a DB-API result:UserWarning")
@pytest.mark.parametrize("case", GOLD, ids=[case.id for case in GOLD])
def test_gold_query_passes_the_guard_and_runs(case: Any, snowflake_simulator: SnowflakeSimulator) -> None:
    query = guard_query(case.gold, SCHEMA, max_rows=1_000)
    with snowflake_simulator.connect(role=case.role) as connection:
        found = connection.cursor().execute(query.sql).fetchall()
    if case.id != "empty-offshore":
        assert found


def test_questions_all_have_a_scripted_query() -> None:
    # What several specialists are asked at once is scripted by its parts, which the demo itself shows.
    alone = [line["question"] for line in DEMO if line["idempotency_key"] not in SEVERAL]
    questions = [case.question for case in sql_cases()] + alone
    wells = {line["question"] for line in DEMO if is_about_wells(line["question"])}
    unscripted = [question for question in questions if question not in wells and sql_rule(question) is None]
    assert unscripted == []


def test_questions_all_have_a_scripted_choice() -> None:
    questions = [case.question for case in triage_cases()] + [line["question"] for line in DEMO if "agent" not in line]
    cards = ("text_to_sql", "well_data", "field_routing")
    unscripted = [question for question in questions if triage_rule(question, *cards) is None]
    assert unscripted == []


def well_rule(question: str) -> ScriptRule | None:
    return first_rule(question, tools=tuple(WELL_TOOLS), system=WELL_PROMPT)


def is_about_wells(question: str) -> bool:
    """Whether the script has a computation for a question."""
    rule = well_rule(question)
    return rule is not None and bool(rule.reply.tools)


def test_well_questions_are_enough_and_each_has_a_scripted_computation() -> None:
    cases = well_cases()
    assert sum(case.gold is not None for case in cases) >= 80
    assert sum(case.refused is not None for case in cases) >= 12
    tools: Counter[str] = Counter()
    for case in cases:
        rule = well_rule(case.question)
        assert rule is not None, case.id
        assert rule.name == f"well-{case.id}"
        tools.update(tool.name for tool in rule.reply.tools)
    assert set(tools) == set(WELL_TOOLS)
    assert min(tools.values()) >= 4


@pytest.mark.parametrize("case", [case for case in well_cases() if case.gold], ids=lambda case: case.id)
def test_well_gold_has_a_value_for_each_well(case: WellCase) -> None:
    rows = gold_of(case)
    assert rows
    assert all(value not in {"None", "nan", "inf"} for _, value in rows)
    assert len({of for of, _ in rows}) == len(rows)


def test_well_gold_is_computed_without_the_specialist() -> None:
    imported = set()
    for node in ast.walk(ast.parse((DATASETS.parent / "well_gold.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
        elif isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
    assert not [
        name for name in imported if name.startswith(("services", "numpy", "scipy", "petbox", "ruptures", "lasio"))
    ]


def test_script_chooses_no_agent_without_a_card() -> None:
    for case in triage_cases():
        rule = triage_rule(case.question, "text_to_sql")
        assert rule is not None
        assert rule.reply.output is not None
        assert rule.reply.output["agent"] in {"text_to_sql", "none"}


def test_script_chooses_the_other_agents_with_their_cards() -> None:
    cards = ("text_to_sql", "well_data", "field_routing")
    chosen = {case.id: triage_rule(case.question, *cards) for case in triage_cases()}
    assert chosen["well-decline"].reply.output["agent"] == "well_data"  # type: ignore[union-attr,index]
    assert chosen["route-today"].reply.output["agent"] == "field_routing"  # type: ignore[union-attr,index]


def test_script_chooses_several_agents_as_the_labels_have_them() -> None:
    cards = ("text_to_sql", "well_data", "field_routing")
    for case in triage_cases():
        rule = triage_rule(case.question, *cards)
        assert rule is not None
        assert rule.reply.output is not None
        choice = AgentChoice.model_validate(rule.reply.output)
        right = describe_choice(choice.agents, choice.mode) in case.right(frozenset(cards))
        assert right or "on purpose" in rule.about, case.id


def test_scripted_errors_are_at_least_six_and_labelled() -> None:
    assert sum("on purpose" in rule.about for rule in RULES) >= 6


def test_demo_questions_are_valid_submissions() -> None:
    for line in DEMO:
        CaseSubmitted.model_validate_json(json.dumps(line))
        assert line.get("role", "FIELD_ALL") in BASINS_BY_ROLE
    assert len(DEMO) >= 26
    assert len({line["idempotency_key"] for line in DEMO}) == len(DEMO)


def test_demo_sessions_are_interleaved_and_belong_to_one_user_each() -> None:
    sessions = [line["session_id"] for line in DEMO]
    assert len(set(sessions)) >= 5
    assert all(earlier != later for earlier, later in pairwise(sessions))
    assert len({(line["session_id"], line["user_id"]) for line in DEMO}) == len(set(sessions))


def test_demo_questions_are_partly_asked_by_users_of_different_roles() -> None:
    roles: dict[str, set[str]] = {}
    for line in DEMO:
        roles.setdefault(line["question"], set()).add(line.get("role", ""))
    assert sum(len(asked_by) > 1 for asked_by in roles.values()) >= 3


def test_planned_faults_name_demo_cases_and_stay_out_of_the_payload() -> None:
    planned = yaml.safe_load((DATA / "planned_faults.yaml").read_text(encoding="utf-8"))["planned"]
    questions = {line["idempotency_key"]: line["question"] for line in DEMO}
    assert len(planned) >= 3
    for fault in planned:
        assert questions[fault["idempotency_key"]] == fault["question"]
    assert "planned" not in (DATA / "questions.jsonl").read_text(encoding="utf-8")
    # The rule goes by the question's text, so no other case may ask the same.
    asked = Counter(questions.values())
    assert all(asked[fault["question"]] == 1 for fault in planned)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("cases: []", "cases"),
        ("cases: [{id: a, question: q}]", "either gold or expect"),
        ("cases: [{id: a, question: q, gold: x, expect: cannot_answer}]", "either gold or expect"),
        ("cases: [{id: a, question: q, golden: x}]", "golden"),
        ("cases: [{id: a, question: q, gold: x}, {id: a, question: r, gold: y}]", "two cases are named 'a'"),
        ("cases: [", "is not YAML"),
    ],
)
def test_invalid_dataset_is_explained(text: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "set.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=named):
        sql_cases(path)


def test_datasets_are_in_the_runners_folder() -> None:
    assert sorted(path.name for path in DATASETS.glob("*.yaml")) == [
        "compliance.yaml",
        "compliance_rules.yaml",
        "field_routing.yaml",
        "memory.yaml",
        "sql_analyst.yaml",
        "sql_hostile.yaml",
        "text_to_sql.yaml",
        "triage.yaml",
        "well_data.yaml",
    ]
