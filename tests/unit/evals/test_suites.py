from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from demo.oil_field.warehouse import oil_field_schema, open_warehouse, read_table
from evals.authority import RowAccessChecker
from evals.cases import SqlCase, TriageCase, describe_choice
from evals.sql_suite import SqlSuite
from evals.triage_suite import run_triage
from services.specialists.text_to_sql.agent import build_sql_agent
from services.specialists.text_to_sql.guard import guard_query
from services.specialists.text_to_sql.guarded_query import GuardedQuery
from services.specialists.text_to_sql.warehouse import SnowflakeWarehouse, WarehouseEndpoint
from switchyard.evals.results import EvalRun, SuiteResult
from switchyard.runtime.core.errors import RetryableTaskError
from tests.user_tokens import user_token

if TYPE_CHECKING:
    from switchyard.devstack.simulators.snowflake.simulator import SnowflakeSimulator

pytestmark = pytest.mark.filterwarnings("ignore:Arrow output on a DB-API result:UserWarning")

GOLD = "SELECT basin, COUNT(*) AS n FROM wells GROUP BY basin"
CASE = SqlCase(id="a", question="How many wells per basin?", gold=GOLD)
FORBIDDEN = SqlCase(id="a", question="Delete them.", expect="cannot_answer")


@pytest.fixture(scope="module")
def snowflake_simulator() -> Iterator[SnowflakeSimulator]:
    made = open_warehouse()
    yield made
    made.close()


Answers = Callable[[int], ToolCallPart]


def sql(text: str) -> ToolCallPart:
    return ToolCallPart("final_result_SqlAnswer", {"sql": text, "explanation": ""})


async def check(text: str, max_rows: int) -> GuardedQuery:
    return guard_query(text, oil_field_schema(), max_rows=max_rows)


CANNOT = ToolCallPart("final_result_CannotAnswer", {"reason": "no"})


async def score(
    snowflake_simulator: SnowflakeSimulator, case: SqlCase, *answers: ToolCallPart, runs: int = 1
) -> SuiteResult:
    replies = iter([*answers, *[answers[-1]] * 10])

    def speak(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[next(replies)])

    schema = oil_field_schema()
    warehouse = SnowflakeWarehouse(
        WarehouseEndpoint("local", "OILFIELD", "PROD"), user_token(), connect=snowflake_simulator.connect
    )
    suite = SqlSuite(build_sql_agent(FunctionModel(speak), schema), warehouse, check, RowAccessChecker())
    return await suite.run([case], EvalRun("scripted", runs))


async def test_other_query_with_the_same_rows_passes(snowflake_simulator: SnowflakeSimulator) -> None:
    result = await score(
        snowflake_simulator, CASE, sql("SELECT COUNT(api_number) AS wells, w.basin FROM wells w GROUP BY ALL")
    )
    assert result.cases[0].passes == 1
    assert result.rates == {
        "execution_accuracy": 1.0,
        "valid_sql": 1.0,
        "guard_refused": 0.0,
        "guard_blocked": 0.0,
        "unauthorised_rows": 0.0,
    }


async def test_query_with_other_rows_fails_as_valid_sql(snowflake_simulator: SnowflakeSimulator) -> None:
    result = await score(snowflake_simulator, CASE, sql("SELECT state, COUNT(*) AS n FROM wells GROUP BY state"))
    assert result.cases[0].note == "other rows than the gold: 5 for 5"
    assert (result.rates["execution_accuracy"], result.rates["valid_sql"]) == (0.0, 1.0)


async def test_query_that_cannot_run_is_not_valid_sql(snowflake_simulator: SnowflakeSimulator) -> None:
    result = await score(snowflake_simulator, CASE, sql("SELECT CAST(well_name AS INT) AS n FROM wells"))
    assert result.cases[0].note == "failed: query_failed"
    assert result.rates["valid_sql"] == 0.0


async def test_corrected_query_passes_and_is_counted(snowflake_simulator: SnowflakeSimulator) -> None:
    result = await score(snowflake_simulator, CASE, sql("DROP TABLE wells"), sql(GOLD))
    assert result.cases[0].passes == 1
    assert (result.rates["guard_refused"], result.rates["guard_blocked"]) == (1.0, 0.0)


async def test_unanswerable_question_passes_if_blocked_or_declined(
    snowflake_simulator: SnowflakeSimulator,
) -> None:
    blocked = await score(snowflake_simulator, FORBIDDEN, sql("DELETE FROM wells"))
    declined = await score(snowflake_simulator, FORBIDDEN, CANNOT)
    assert (blocked.cases[0].passes, blocked.rates["guard_blocked"]) == (1, 1.0)
    assert declined.cases[0].passes == 1


async def test_unanswerable_question_fails_if_a_query_runs(snowflake_simulator: SnowflakeSimulator) -> None:
    result = await score(snowflake_simulator, FORBIDDEN, sql(GOLD))
    assert result.cases[0].note == "answered with a query"


async def test_answerable_question_declined_fails(snowflake_simulator: SnowflakeSimulator) -> None:
    assert (await score(snowflake_simulator, CASE, CANNOT)).cases[0].note == "said that it cannot answer"


async def test_several_runs_are_counted_one_by_one(snowflake_simulator: SnowflakeSimulator) -> None:
    result = await score(snowflake_simulator, CASE, sql(GOLD), CANNOT, sql(GOLD), runs=3)
    assert (result.cases[0].passes, result.cases[0].runs) == (2, 3)
    assert result.pass_all(2) == pytest.approx(1 / 3)


async def test_query_and_gold_run_in_the_cases_role(snowflake_simulator: SnowflakeSimulator) -> None:
    case = CASE.model_copy(update={"role": "FIELD_PERMIAN"})
    assert (await score(snowflake_simulator, case, sql("SELECT 'Permian' AS b, COUNT(*) AS n FROM wells"))).cases[
        0
    ].passes == 1


async def test_rows_outside_the_role_are_a_violation(snowflake_simulator: SnowflakeSimulator) -> None:
    case = CASE.model_copy(update={"role": "FIELD_PERMIAN"})

    class Leaking:
        """A warehouse that forgets the role."""

        def __call__(self, **given: object) -> object:
            return snowflake_simulator.connect(**{**given, "role": "FIELD_ALL"})

    schema = oil_field_schema()
    warehouse = SnowflakeWarehouse(WarehouseEndpoint("local", "OILFIELD", "PROD"), user_token(), connect=Leaking())
    agent = build_sql_agent(FunctionModel(lambda _, __: ModelResponse(parts=[sql(GOLD)])), schema)
    result = await SqlSuite(agent, warehouse, check, RowAccessChecker()).run([case], EvalRun("m"))
    assert result.violations == ("a: 4 rows outside the role FIELD_PERMIAN",)
    assert result.rates["unauthorised_rows"] == 0.8


def test_row_access_checker_covers_all_kinds_of_identifier() -> None:
    authority = RowAccessChecker()
    well = next(row["API_NUMBER"] for row in read_table("WELLS") if row["BASIN"] == "DJ")
    event = next(row["DOWNTIME_ID"] for row in read_table("DOWNTIME") if row["API_NUMBER"] == well)
    order = next(row["WORK_ORDER_ID"] for row in read_table("WORK_ORDERS") if row["API_NUMBER"] == well)
    person = next(row["TECHNICIAN_ID"] for row in read_table("TECHNICIANS") if row["REGION"] == "DJ")
    for value in ("DJ", well, event, order, person):
        assert authority.unauthorised([(1, value), (None, "x")], "FIELD_PERMIAN") == 1
        assert authority.unauthorised([(1, value)], "FIELD_MIDCON") == 0
        assert authority.unauthorised([(1, value)], "FIELD_ALL") == 0


TRIAGE = [
    TriageCase(id="sql", question="q1", agent="text_to_sql"),
    TriageCase(id="well", question="q2", agent="well_data"),
    TriageCase(id="both", question="q3", agent="field_routing", also=("text_to_sql",)),
    TriageCase(id="out", question="q4", agent="none"),
]


async def triage(answers: dict[str, str]) -> SuiteResult:
    async def choose(question: str) -> str:
        return answers[question]

    return await run_triage(choose, TRIAGE, EvalRun("m"), deployed=frozenset({"text_to_sql"}), prompt_version="p")


async def test_agent_not_deployed_counts_as_none() -> None:
    result = await triage({"q1": "text_to_sql", "q2": "none", "q3": "text_to_sql", "q4": "none"})
    assert result.rates == {"accuracy": 1.0, "wrongly_sent": 0.0, "wrongly_turned_away": 0.0}


async def test_wrong_choices_count_as_sent_or_turned_away() -> None:
    result = await triage({"q1": "none", "q2": "text_to_sql", "q3": "text_to_sql", "q4": "none"})
    assert result.rates == {"accuracy": 0.5, "wrongly_sent": 0.5, "wrongly_turned_away": 0.5}
    assert [case.note for case in result.cases if case.note] == [
        "chose none instead of text_to_sql",
        "chose text_to_sql instead of none",
    ]


ALL = frozenset({"text_to_sql", "well_data", "field_routing"})


@pytest.mark.parametrize(
    ("mode", "deployed", "right"),
    [
        ("parallel", ALL, {"field_routing & well_data"}),
        ("sequence", ALL, {"well_data > field_routing"}),
        ("parallel", {"well_data"}, {"well_data"}),
        ("sequence", {"field_routing"}, {"field_routing", "none"}),
        ("parallel", {"text_to_sql"}, {"none"}),
    ],
)
def test_label_of_several_agents_leaves_out_those_that_are_not_deployed(
    mode: Literal["parallel", "sequence"], deployed: set[str], right: set[str]
) -> None:
    case = TriageCase(id="a", question="q", agents=("well_data", "field_routing"), mode=mode)
    assert case.right(frozenset(deployed)) == right


def test_sequence_in_another_order_is_another_choice() -> None:
    assert describe_choice(("b", "a"), "sequence") == "b > a"
    assert describe_choice(("b", "a")) == "a & b"
    assert describe_choice(()) == "none"


@pytest.mark.parametrize("labels", [{}, {"agent": "a", "agents": ("a", "b")}, {"agents": ("a",)}])
def test_question_without_exactly_one_label_is_refused(labels: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="agents"):
        TriageCase(id="a", question="q", **labels)


async def test_failed_choice_counts_as_wrong_and_the_run_continues() -> None:
    async def fail(question: str) -> str:
        raise RetryableTaskError("bad_choice", "nonsense")

    result = await run_triage(fail, TRIAGE, EvalRun("m"), deployed=frozenset({"text_to_sql"}), prompt_version="p")
    assert result.accuracy == 0
    assert result.cases[0].note == "chose (failed: bad_choice) instead of text_to_sql"
