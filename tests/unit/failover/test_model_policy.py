import boto3
import pytest
from botocore.config import Config
from pydantic_ai.models.bedrock import BedrockConverseModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers.bedrock import BedrockProvider
from pydantic_ai.providers.openai import OpenAIProvider

from failover import Budget, FailoverModel, FailoverPolicy, ModelNotPermitted, ModelPolicy, RetryOwnerConflict
from failover.candidate import candidate
from tests.unit.failover.scripted import NO_TOOLS, PROMPT, ScriptedModel, answers, silent
from tests.unit.failover.virtual_time import VirtualClock, virtual_time


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
def test_a_policy_permits_what_matches_all_it_names(policy: ModelPolicy, permitted: bool) -> None:
    assert policy.permits(vendor="bedrock", model_id="eu.anthropic.claude", region="eu") is permitted


def test_an_unknown_region_is_refused_where_regions_are_named() -> None:
    assert not ModelPolicy(regions=frozenset({"eu"})).permits(vendor="v", model_id="m", region="")


def over(primary: ScriptedModel, fallback: ScriptedModel) -> FailoverModel:
    return FailoverModel(primary, fallback, policy=FailoverPolicy(cold_ttft_ms=500), clock=VirtualClock())


@virtual_time
async def test_data_that_must_not_fail_over_waits_for_the_primary() -> None:
    fallback = ScriptedModel("b", answers(first_after=0.1))
    model = over(ScriptedModel("a", answers(first_after=3.0)), fallback)
    with model.budget(Budget(total_ms=9_000), models=ModelPolicy(never_fail_over=True)) as record:
        await model.request(PROMPT, None, NO_TOOLS)
    assert record.decisions[0].reason == "primary"
    assert fallback.calls == 0


@virtual_time
async def test_data_the_primary_may_not_see_goes_to_the_fallback_alone() -> None:
    primary = ScriptedModel("a", silent())
    model = over(primary, ScriptedModel("b", answers(first_after=3.0)))
    with model.budget(Budget(total_ms=9_000), models=ModelPolicy(models=frozenset({"scripted:b"}))) as record:
        await model.request(PROMPT, None, NO_TOOLS)
    assert record.decisions[0].reason == "policy"
    assert primary.calls == 0


@virtual_time
async def test_data_nobody_may_see_is_sent_to_nobody() -> None:
    primary, fallback = ScriptedModel("a", silent()), ScriptedModel("b", silent())
    model = over(primary, fallback)
    refused = ModelPolicy(models=frozenset({"scripted:b"}), never_fail_over=True)
    with model.budget(Budget(total_ms=9_000), models=refused), pytest.raises(ModelNotPermitted, match="scripted:a"):
        await model.request(PROMPT, None, NO_TOOLS)
    assert (primary.calls, fallback.calls) == (0, 0)


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
def test_a_bedrock_models_region_is_its_clients_unless_an_inference_profile_says_otherwise(
    model_id: str, region: str
) -> None:
    described = candidate(bedrock(model_id, {"total_max_attempts": 1}), "primary", region=None)
    assert (described.vendor, described.region) == ("bedrock", region)


@pytest.mark.parametrize("retries", [None, {"max_attempts": 3}, {"mode": "standard"}])
def test_a_bedrock_client_that_retries_by_itself_is_refused(retries: dict[str, object] | None) -> None:
    with pytest.raises(RetryOwnerConflict, match="total_max_attempts"):
        FailoverModel(bedrock("m", retries), None)


def test_openais_own_retries_are_turned_off_for_each_request_also_behind_a_wrapper() -> None:
    openai = OpenAIChatModel("gpt", provider=OpenAIProvider(base_url="http://127.0.0.1:1", api_key="test"))
    assert openai.client.max_retries > 0
    described = candidate(WrapperModel(openai), "fallback", region=None)
    assert described.vendor == "openai"
    assert described.settings(None) == {"max_retries": 0}
    assert described.settings({"temperature": 0.2, "max_retries": 5}) == {"temperature": 0.2, "max_retries": 0}


def test_a_model_without_an_sdk_keeps_the_settings_it_is_given() -> None:
    assert candidate(ScriptedModel("a", silent()), "primary", region=None).settings(None) is None
