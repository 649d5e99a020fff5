"""pydantic-ai agents with tools and structured output, over both wires, unmodified."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError, UnexpectedModelBehavior
from pydantic_ai.models import Model
from pydantic_ai.models.bedrock import BedrockConverseModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.bedrock import BedrockProvider
from pydantic_ai.providers.openai import OpenAIProvider

from tests.integration.simulator.running import BEDROCK_MODEL, OPENAI_MODEL, Running

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
"""pydantic-ai streams every request to Claude behind the scenes, and knows its native structured output."""

QUESTION = "How did well 4200312345 over 12 months do?"


class WellAnswer(BaseModel):
    api: str
    barrels: int
    answer: str


@pytest.fixture(params=[BEDROCK_MODEL, CLAUDE, OPENAI_MODEL])
def model(request: pytest.FixtureRequest, bedrock: Any, async_chat: openai.AsyncOpenAI) -> Model:
    if request.param == OPENAI_MODEL:
        return OpenAIChatModel(OPENAI_MODEL, provider=OpenAIProvider(openai_client=async_chat))
    return BedrockConverseModel(request.param, provider=BedrockProvider(bedrock_client=bedrock))


def well_agent(model: Model, output_type: Any) -> tuple[Agent[None, WellAnswer], list[tuple[str, int]]]:
    """An agent that looks production up before it answers, and the list of its look-ups."""
    looked_up: list[tuple[str, int]] = []
    agent: Agent[None, WellAnswer] = Agent(model, output_type=output_type)

    @agent.tool_plain
    def production(api: str, months: int) -> dict[str, int]:
        """Barrels of oil that a well made."""
        looked_up.append((api, months))
        return {"barrels": 4711}

    return agent, looked_up


@pytest.mark.parametrize("output_type", [WellAnswer, PromptedOutput(WellAnswer)], ids=["tool", "prompted"])
async def test_agent_calls_its_tool_and_returns_structured_output(model: Model, output_type: Any) -> None:
    agent, looked_up = well_agent(model, output_type)
    result = await agent.run(QUESTION)
    assert looked_up == [("4200312345", 12)]
    assert result.output == WellAnswer(api="4200312345", barrels=4711, answer="Well 4200312345 made 4711 barrels.")
    assert result.usage.requests == 2
    assert result.usage.output_tokens > 0


@pytest.mark.parametrize("model", [CLAUDE, OPENAI_MODEL], indirect=True)
async def test_structured_output_is_json_if_the_vendor_supports_it(model: Model) -> None:
    agent, _ = well_agent(model, NativeOutput(WellAnswer))
    assert (await agent.run(QUESTION)).output.barrels == 4711


async def test_streamed_agent_returns_the_same_output(model: Model) -> None:
    agent, looked_up = well_agent(model, WellAnswer)
    async with agent.run_stream(QUESTION) as result:
        output = await result.get_output()
    assert looked_up == [("4200312345", 12)]
    assert output.barrels == 4711


async def test_output_tool_with_another_name_is_refused(model: Model) -> None:
    agent, _ = well_agent(model, ToolOutput(WellAnswer, name="give_answer"))
    # What the agent asks next is in no script.
    with pytest.raises((UnexpectedModelBehavior, ModelHTTPError), match=r"not_scripted|output"):
        await agent.run(QUESTION)


async def test_second_question_in_conversation_calls_tool_again(model: Model) -> None:
    agent, looked_up = well_agent(model, WellAnswer)
    first = await agent.run(QUESTION)
    await agent.run("And well 4200399999 over 6 months?", message_history=first.all_messages())
    assert looked_up == [("4200312345", 12), ("4200399999", 6)]


async def test_agent_without_a_rule_fails_and_is_counted(model: Model, simulator: Running) -> None:
    agent, _ = well_agent(model, WellAnswer)
    with pytest.raises(ModelHTTPError) as caught:
        await agent.run("What is love?")
    assert caught.value.provider_error_code == "not_scripted"
    assert simulator.get("/sim/calls")["unscripted"] >= 1


async def test_drafter_quotes_the_findings_of_its_prompt(model: Model) -> None:
    findings = [
        {"id": "F1", "summary": "Oil is up", "rows": [{"barrels": 10}]},
        {"id": "F2", "summary": "Water is down", "rows": [{"barrels": 3}]},
    ]
    prompt = f"<question>the pad</question>\n<findings>{json.dumps(findings)}</findings>"
    result = await Agent(model).run(prompt)
    assert result.output == "On the pad Oil is up (10 barrels) [F1]. Water is down (3 barrels) [F2]."


async def test_throttling_reaches_the_agent_as_status_429(model: Model, simulator: Running) -> None:
    simulator.inject(throttle=True)
    with pytest.raises(ModelHTTPError) as caught:
        await Agent(model).run("hello")
    assert caught.value.status_code == 429


async def test_error_in_mid_stream_reaches_the_agent(model: Model, simulator: Running) -> None:
    simulator.inject(error_after_tokens=4, error=503)
    with pytest.raises(ModelAPIError):
        async with Agent(model).run_stream("tell me a story") as result:
            await result.get_output()


async def test_stalled_stream_left_by_the_client_is_closed(model: Model, simulator: Running) -> None:
    simulator.inject(stall_after_tokens=3)
    async with Agent(model).run_stream("tell me a story") as result:
        async for text in result.stream_text(delta=True, debounce_by=None):
            assert text
            break
    report = simulator.eventually(lambda report: report["streams"]["aborted"] == 1)
    assert report["streams"]["active"] == 0
