"""Changing vendor is changing a function body: nothing else of `services/models.py`, and nothing elsewhere."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType

import pytest
from pydantic import SecretStr

from latency_failover import FailoverDecision, FailoverModel, LatencyBudget
from services import models as agent_models
from services.drafter.agent import build_answer_agent, write_answer
from switchyard.devstack.stack.local_stack import simulator_scripts
from switchyard.runtime.models.clients import ModelSettings
from tests.integration.simulator.running import Running, start

pytestmark = pytest.mark.integration

PRIMARY = """
from openai import AsyncOpenAI
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.deepseek import DeepSeekProvider
client = AsyncOpenAI(base_url=settings.openai_base_url, api_key="test")
return OpenAIChatModel("deepseek-chat", provider=DeepSeekProvider(openai_client=client))
"""
FALLBACK = """
from openai import AsyncOpenAI
from pydantic_ai.models.openrouter import OpenRouterModel
from pydantic_ai.providers.openrouter import OpenRouterProvider
client = AsyncOpenAI(base_url=settings.openai_base_url, api_key="test")
return OpenRouterModel("mistralai/mistral-large", provider=OpenRouterProvider(openai_client=client))
"""
FINDINGS = [{"id": "F1", "summary": "12 wells are shut in", "rows": []}]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Running]:
    process, url = start(*(part for script in simulator_scripts() for part in ("--script", str(script))))
    with process:
        yield Running(url)
        process.terminate()


def rewritten(module: ModuleType, **bodies: str) -> ModuleType:
    """The module with other bodies for some of its functions, and every other line as it stands."""
    tree = ast.parse(inspect.getsource(module))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in bodies:
            node.body = ast.parse(bodies.pop(node.name)).body
    assert not bodies, f"{module.__name__} has no {', '.join(bodies)}"
    changed = ModuleType(module.__name__)
    exec(compile(ast.fix_missing_locations(tree), inspect.getfile(module), "exec"), changed.__dict__)
    return changed


@pytest.fixture
def settings(simulator: Running) -> ModelSettings:
    simulator.send("POST", "/sim/reset")
    return ModelSettings(openai_base_url=f"{simulator.url}/v1", openai_api_key=SecretStr("unused"), ttft_limit_ms=1_500)


async def drafted(model: FailoverModel) -> tuple[str, FailoverDecision]:
    with model.budget(LatencyBudget(total_ms=20_000)) as record:
        written = await write_answer(build_answer_agent(model), "Which wells are shut in?", FINDINGS)
    (decision,) = record.decisions
    return written.text, decision


async def test_functions_of_changed_vendors_draft_and_fail_over(simulator: Running, settings: ModelSettings) -> None:
    module = rewritten(agent_models, pick_primary=PRIMARY, pick_fallback=FALLBACK)
    model: FailoverModel = module.build_agent_model("drafter", settings, policy_version="test/1")
    text, decision = await drafted(model)
    assert text == "12 wells are shut in [F1]"
    assert (decision.vendor, decision.model_id, decision.reason) == ("deepseek", "deepseek-chat", "primary")
    simulator.inject(model="deepseek-*", stall_after_tokens=2)
    text, decision = await drafted(model)
    assert text == "12 wells are shut in [F1]"
    assert (decision.vendor, decision.role, decision.reason) == ("openrouter", "fallback", "projected")
    for each in model.models:
        await each.client.close()  # type: ignore[attr-defined]


async def test_one_agent_may_have_a_vendor_of_its_own(settings: ModelSettings) -> None:
    own = "\n    ".join(["if agent == 'triage':", *PRIMARY.strip().splitlines()])
    body = f"{own}\nreturn configured_model(settings.primary, settings)"
    module = rewritten(agent_models, pick_primary=body)
    for agent, system in (("triage", "deepseek"), ("drafter", "bedrock")):
        model: FailoverModel = module.build_agent_model(agent, settings, policy_version="test/1")
        assert [each.system for each in model.models] == [system, "openai"]


async def test_settings_alone_choose_one_vendor_without_a_fallback(settings: ModelSettings) -> None:
    alone = settings.model_copy(update={"primary": "openai", "fallback": "none"})
    model = agent_models.build_agent_model("drafter", alone, policy_version="test/1")
    assert [each.system for each in model.models] == ["openai"]
