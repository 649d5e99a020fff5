"""A half answer is a failed attempt, on both wires: the other vendor is asked, and no half is delivered."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import boto3
import openai
import pytest
from botocore.config import Config
from pydantic_ai import Agent
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.bedrock import BedrockConverseModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.bedrock import BedrockProvider
from pydantic_ai.providers.openai import OpenAIProvider

from contracts.cards import AGENT_CARDS
from demo.oil_field.warehouse import oil_field_schema
from latency_failover import AllModelsFailed, FailoverDecision, FailoverModel, LatencyBudget, find_contradictions
from services.drafter.agent import build_answer_agent
from services.drafter.email import build_email_agent
from services.models import build_agent_model
from services.specialists.compliance.judge import build_judge_agent
from services.specialists.text_to_sql.agent import AgentRun, build_sql_agent
from services.specialists.text_to_sql.guarded_query import GuardedQuery
from services.specialists.triage.agent import build_triage_agent
from switchyard.runtime.models.clients import ModelSettings
from tests.integration.simulator.running import BEDROCK_MODEL, OPENAI_MODEL, RULES, Running, start
from tests.unit.latency_failover.scripted import PROMPT

pytestmark = pytest.mark.integration
NO_REASON = {"omit": ["stop"]}

BEDROCK_HALVES: list[tuple[dict[str, Any], str, str]] = [
    ({"stop_reason": "max_tokens"}, "truncated", "IncompleteAnswer/max_tokens"),
    ({"stop_reason": "model_context_window_exceeded"}, "truncated", "IncompleteAnswer/model_context_window_exceeded"),
    ({"stop_reason": "content_filtered"}, "filtered", "IncompleteAnswer/content_filtered"),
    ({"stop_reason": "guardrail_intervened"}, "filtered", "IncompleteAnswer/guardrail_intervened"),
    ({"stop_reason": "tired_of_this"}, "error", "IncompleteAnswer/tired_of_this"),
    ({"stop_reason": "Dear Ms Miller, you owe"}, "error", "IncompleteAnswer/unknown"),
    (NO_REASON, "error", "IncompleteAnswer/no_reason"),
]
OPENAI_HALVES: list[tuple[dict[str, Any], str, str]] = [
    ({"stop_reason": "length"}, "truncated", "IncompleteAnswer/length"),
    ({"stop_reason": "content_filter"}, "filtered", "IncompleteAnswer/content_filter"),
    ({"stop_reason": "tired_of_this"}, "error", "IncompleteAnswer/tired_of_this"),
    (NO_REASON, "error", "IncompleteAnswer/no_reason"),
    ({"omit": ["done"]}, "error", "IncompleteAnswer/no_end_mark"),
    ({"omit": ["stop", "done"]}, "error", "IncompleteAnswer/no_end_mark"),
]


@pytest.fixture(scope="module")
def process() -> Iterator[Running]:
    started, url = start("--script", str(RULES))
    with started:
        yield Running(url)
        started.terminate()


@pytest.fixture
def simulator(process: Running) -> Running:
    process.send("POST", "/sim/reset")
    return process


@pytest.fixture(scope="module")
def bedrock(process: Running) -> Iterator[BedrockConverseModel]:
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=process.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield BedrockConverseModel(BEDROCK_MODEL, provider=BedrockProvider(bedrock_client=client))
    client.close()


@pytest.fixture
async def gpt(process: Running) -> AsyncIterator[OpenAIChatModel]:
    async with openai.AsyncOpenAI(base_url=f"{process.url}/v1", api_key="test", timeout=20) as client:
        yield OpenAIChatModel(OPENAI_MODEL, provider=OpenAIProvider(openai_client=client))


async def ask(primary: Model[Any], fallback: Model[Any] | None) -> tuple[str | None, FailoverDecision]:
    """The answer, or None, and the decision."""
    model = FailoverModel(primary, fallback)
    with model.budget(LatencyBudget(total_ms=20_000)) as record:
        try:
            text: str | None = (await Agent(model).run("tell me a story")).output
        except AllModelsFailed:
            text = None
    (decision,) = record.decisions
    assert find_contradictions(decision) == ()
    return text, decision


@pytest.mark.parametrize(("fault", "kind", "code"), BEDROCK_HALVES)
async def test_half_answer_of_bedrock_fails_over_to_openai(
    simulator: Running,
    bedrock: BedrockConverseModel,
    gpt: OpenAIChatModel,
    fault: dict[str, Any],
    kind: str,
    code: str,
) -> None:
    simulator.inject(wire="bedrock", **fault)
    text, decision = await ask(bedrock, gpt)
    assert (text or "").startswith("Once there was a pump")
    assert (decision.result, decision.role, decision.reason) == ("answered", "fallback", kind)
    assert (decision.attempts[0].outcome, decision.attempts[0].error_code) == (kind, code)


@pytest.mark.parametrize(("fault", "kind", "code"), OPENAI_HALVES)
async def test_half_answer_of_openai_fails_over_to_bedrock(
    simulator: Running,
    bedrock: BedrockConverseModel,
    gpt: OpenAIChatModel,
    fault: dict[str, Any],
    kind: str,
    code: str,
) -> None:
    simulator.inject(wire="openai", **fault)
    text, decision = await ask(gpt, bedrock)
    assert (text or "").startswith("Once there was a pump")
    assert (decision.result, decision.role, decision.reason) == ("answered", "fallback", kind)
    assert (decision.attempts[0].outcome, decision.attempts[0].error_code) == (kind, code)


async def test_half_answers_of_both_vendors_fail_the_call(
    simulator: Running, bedrock: BedrockConverseModel, gpt: OpenAIChatModel
) -> None:
    simulator.inject(wire="bedrock", stop_reason="guardrail_intervened")
    simulator.inject(wire="openai", omit=["done"])
    text, decision = await ask(bedrock, gpt)
    assert (text, decision.result) == (None, "failed")
    assert [attempt.outcome for attempt in decision.attempts] == ["filtered", "error"]


async def test_half_answer_of_a_streamed_request_raises_at_its_end(
    simulator: Running, bedrock: BedrockConverseModel
) -> None:
    simulator.inject(wire="bedrock", stop_reason="max_tokens")
    model = FailoverModel(bedrock, None)
    with model.budget(LatencyBudget(total_ms=20_000)):
        async with model.request_stream(PROMPT, None, ModelRequestParameters()) as stream:
            with pytest.raises(AllModelsFailed):
                async for _ in stream:
                    pass


async def test_filtered_answers_leave_the_vendors_breaker_closed(
    simulator: Running, bedrock: BedrockConverseModel, gpt: OpenAIChatModel
) -> None:
    simulator.inject(wire="bedrock", stop_reason="content_filtered")
    model = FailoverModel(bedrock, gpt)
    for _ in range(15):
        await Agent(model).run("tell me a story")
    assert model.breakers["primary"].state(0) == "closed"


async def test_bedrock_tool_input_without_its_start_fails_over_to_openai(
    simulator: Running, bedrock: BedrockConverseModel, gpt: OpenAIChatModel
) -> None:
    simulator.inject(wire="bedrock", omit=["block_start"])
    model = FailoverModel(bedrock, gpt)
    agent = Agent(model)

    @agent.tool_plain
    def production(api: str, months: int) -> str:
        return json.dumps({"barrels": 12})

    with model.budget(LatencyBudget(total_ms=20_000)) as record:
        await agent.run("well 4230112345 over 6 months")
    first = record.decisions[0]
    assert (first.role, first.reason) == ("fallback", "error")
    assert (first.attempts[0].outcome, first.attempts[0].error_code) == ("error", "MalformedAnswer/KeyError")


async def _no_query_arrives(sql: str, _rows: int) -> GuardedQuery:
    raise AssertionError(f"half an answer proposed a query: {sql}")


AGENTS: dict[str, Callable[[FailoverModel], tuple[Agent[Any, Any], Any]]] = {
    "drafter: answers": lambda model: (build_answer_agent(model), frozenset({"F1"})),
    "drafter: emails": lambda model: (build_email_agent(model), None),
    "triage": lambda model: (build_triage_agent(model, list(AGENT_CARDS.values())), None),
    "compliance": lambda model: (build_judge_agent(model), None),
    "text_to_sql": lambda model: (build_sql_agent(model, oil_field_schema()), AgentRun(_no_query_arrives)),
}


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize(("wire", "fault"), [("bedrock", "max_tokens"), ("openai", "length")])
async def test_agent_with_a_cut_stream_delivers_no_partial_answer(
    simulator: Running, monkeypatch: pytest.MonkeyPatch, name: str, wire: str, fault: str
) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "test")
    simulator.inject(wire=wire, stop_reason=fault)
    simulator.inject(wire="openai" if wire == "bedrock" else "bedrock", error=503)
    settings = ModelSettings.model_validate(
        {
            "bedrock_endpoint_url": simulator.url,
            "openai_base_url": f"{simulator.url}/v1",
            "openai_api_key": "test",
        }
    )
    drafter = name.startswith("drafter")
    model = build_agent_model("drafter" if drafter else "test", settings, policy_version="test")
    agent, dependencies = AGENTS[name](model)
    try:
        with pytest.raises(AllModelsFailed) as failed:
            await agent.run("tell me a story", deps=dependencies)
    finally:
        for each in model.models:
            if isinstance(each, OpenAIChatModel):
                await each.client.close()
    assert sorted(attempt.outcome for attempt in failed.value.decision.attempts) == ["error", "truncated"]
