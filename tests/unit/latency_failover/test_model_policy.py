import boto3
import pytest
from botocore.config import Config
from pydantic_ai.models.bedrock import BedrockConverseModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers.bedrock import BedrockProvider
from pydantic_ai.providers.openai import OpenAIProvider

from latency_failover import (
    AllModelsFailed,
    FailoverModel,
    FailoverPolicy,
    LatencyBudget,
    ModelNotPermitted,
    ModelPolicies,
    ModelPolicy,
    PolicyRule,
    RetryOwnerConflict,
    find_contradictions,
)
from latency_failover.candidate import build_candidate
from tests.unit.latency_failover.scripted import NO_TOOLS, PROMPT, ScriptedModel, answers, silent
from tests.unit.latency_failover.virtual_time import VirtualClock, virtual_time


@pytest.mark.parametrize(
    ("policy", "permitted"),
    [
        (ModelPolicy(), True),
        (ModelPolicy(vendors=frozenset({"bedrock"})), True),
        (ModelPolicy(vendors=frozenset({"openai"})), False),
        (ModelPolicy(regions=frozenset({"eu"})), True),
        (ModelPolicy(regions=frozenset({"eu-central-1"})), False),
        (ModelPolicy(models=frozenset({"bedrock:eu.anthropic.*"})), True),
        (ModelPolicy(models=frozenset({"bedrock:anthropic.*"})), False),
        (ModelPolicy(vendors=frozenset({"bedrock"}), regions=frozenset({"us"})), False),
    ],
)
def test_policy_permits_models_matching_all_its_fields(policy: ModelPolicy, permitted: bool) -> None:
    assert policy.permits(vendor="bedrock", model_id="eu.anthropic.claude", region="eu") is permitted


def test_unknown_region_is_refused_by_a_policy_with_regions() -> None:
    assert not ModelPolicy(regions=frozenset({"eu"})).permits(vendor="v", model_id="m", region="")


def over(primary: ScriptedModel, fallback: ScriptedModel, policy: ModelPolicy) -> FailoverModel:
    """Two models under a policy for the data of one tenant; other data may go anywhere."""
    named = policy.model_copy(update={"name": "acme only"})
    return FailoverModel(
        primary,
        fallback,
        policy=FailoverPolicy(cold_ttft_ms=500),
        models=ModelPolicies(rules=(PolicyRule(when={"tenant": "acme"}, policy=named),)),
        clock=VirtualClock(),
    )


ACME = {"tenant": "acme", "data": "personal"}


@virtual_time
async def test_data_without_failover_waits_for_the_primary() -> None:
    fallback = ScriptedModel("b", answers(first_after=0.1))
    model = over(ScriptedModel("a", answers(first_after=3.0)), fallback, ModelPolicy(never_fail_over=True))
    with model.budget(LatencyBudget(total_ms=9_000), labels=ACME) as record:
        await model.request(PROMPT, None, NO_TOOLS)
    (decision,) = record.decisions
    assert (decision.reason, fallback.calls) == ("primary", 0)
    assert (decision.model_policy, decision.not_permitted) == ("acme only", ("scripted:b (never fail over)",))


@virtual_time
async def test_other_tenants_data_may_fail_over() -> None:
    fallback = ScriptedModel("b", answers(first_after=0.1))
    model = over(ScriptedModel("a", answers(first_after=3.0)), fallback, ModelPolicy(never_fail_over=True))
    with model.budget(LatencyBudget(total_ms=9_000), labels={"tenant": "globex"}) as record:
        await model.request(PROMPT, None, NO_TOOLS)
    (decision,) = record.decisions
    assert (decision.reason, decision.model_policy, decision.not_permitted) == ("ttft", "default", ())


@virtual_time
async def test_data_without_failover_fails_with_its_primary() -> None:
    fallback = ScriptedModel("b", answers(first_after=0.1))
    model = over(ScriptedModel("a", silent()), fallback, ModelPolicy(never_fail_over=True))
    with model.budget(LatencyBudget(total_ms=9_000), labels=ACME), pytest.raises(AllModelsFailed) as failed:
        await model.request(PROMPT, None, NO_TOOLS)
    assert fallback.calls == 0
    assert failed.value.decision.not_permitted == ("scripted:b (never fail over)",)


@virtual_time
async def test_data_not_permitted_for_the_primary_goes_to_the_fallback_only() -> None:
    primary = ScriptedModel("a", silent())
    model = over(primary, ScriptedModel("b", answers(first_after=3.0)), ModelPolicy(models=frozenset({"scripted:b"})))
    with model.budget(LatencyBudget(total_ms=9_000), labels=ACME) as record:
        await model.request(PROMPT, None, NO_TOOLS)
    (decision,) = record.decisions
    assert (decision.reason, primary.calls) == ("policy", 0)
    assert decision.not_permitted == ("scripted:a (region unknown)",)
    assert find_contradictions(decision) == ()


@virtual_time
async def test_data_without_permitted_model_is_not_sent() -> None:
    primary, fallback = ScriptedModel("a", silent()), ScriptedModel("b", silent())
    model = over(primary, fallback, ModelPolicy(models=frozenset({"scripted:b"}), never_fail_over=True))
    message = r"acme only permits none of: scripted:a \(region unknown\), scripted:b \(never fail over\)"
    with model.budget(LatencyBudget(total_ms=9_000), labels=ACME), pytest.raises(ModelNotPermitted, match=message):
        await model.request(PROMPT, None, NO_TOOLS)
    assert (primary.calls, fallback.calls) == (0, 0)


def test_first_applicable_rule_is_used_whole() -> None:
    def rule(name: str, **when: str) -> PolicyRule:
        return PolicyRule(when=when, policy=ModelPolicy(name=name))

    policies = ModelPolicies(
        rules=(
            rule("acme personal", tenant="acme", data="personal"),
            rule("acme", tenant="acme"),
            rule("p", data="personal"),
        )
    )
    assert policies.applying({"tenant": "acme", "data": "personal"}).name == "acme personal"
    assert policies.applying({"tenant": "acme", "data": "general"}).name == "acme"
    assert policies.applying({"tenant": "globex", "data": "personal"}).name == "p"
    assert policies.applying({"tenant": "globex", "data": "general"}).name == "default"
    assert ModelPolicies.model_validate_json(policies.model_dump_json()) == policies


@pytest.mark.parametrize("names", [("", "b"), ("a", "a")])
def test_rule_without_a_unique_name_is_refused(names: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="its own name"):
        ModelPolicies(rules=tuple(PolicyRule(when={"tenant": n}, policy=ModelPolicy(name=n)) for n in names))


def bedrock(model_id: str, retries: dict[str, object] | None) -> BedrockConverseModel:
    client = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test").client(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url="http://127.0.0.1:1",
        config=Config(retries=retries) if retries else None,
    )
    return BedrockConverseModel(model_id, provider=BedrockProvider(bedrock_client=client))


@pytest.mark.parametrize(
    ("model_id", "region"),
    [
        ("anthropic.claude-sonnet-4-5", "eu-central-1"),
        ("eu.anthropic.claude-sonnet-4-5", "eu"),
        ("global.anthropic.claude-sonnet-4-5", "global"),
    ],
)
def test_bedrock_model_region_defaults_to_client_unless_inference_profile(model_id: str, region: str) -> None:
    described = build_candidate(bedrock(model_id, {"total_max_attempts": 1}), "primary", region=None)
    assert (described.vendor, described.region) == ("bedrock", region)


@pytest.mark.parametrize("retries", [None, {"max_attempts": 3}, {"mode": "standard"}])
def test_bedrock_client_with_its_own_retries_is_refused(retries: dict[str, object] | None) -> None:
    with pytest.raises(RetryOwnerConflict, match="total_max_attempts"):
        FailoverModel(bedrock("m", retries), None)


def test_openai_retries_are_disabled_per_request() -> None:
    openai = OpenAIChatModel("gpt", provider=OpenAIProvider(base_url="http://127.0.0.1:1", api_key="test"))
    assert openai.client.max_retries > 0
    described = build_candidate(WrapperModel(openai), "fallback", region=None)
    assert described.vendor == "openai"
    assert described.settings(None) == {"max_retries": 0}
    assert described.settings({"temperature": 0.2, "max_retries": 5}) == {"temperature": 0.2, "max_retries": 0}


def test_model_without_an_sdk_keeps_its_settings() -> None:
    assert build_candidate(ScriptedModel("a", silent()), "primary", region=None).settings(None) is None
