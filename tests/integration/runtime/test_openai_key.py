"""OpenAI's key comes from Secrets Manager, and goes to OpenAI and nowhere else."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator

import boto3
import pytest
from pydantic_ai import Agent

from latency_failover import AllModelsFailed, FailoverModel, LatencyBudget
from switchyard.runtime.core.logs import configure_logs
from switchyard.runtime.models.clients import ModelSettings, model_call, openai_model
from tests.integration.conftest import LogLines
from tests.integration.infrastructure import Infrastructure
from tests.integration.simulator.running import RULES, Running, start

pytestmark = pytest.mark.integration

KEY = "sk-proj-4711-never-shown"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Running]:
    process, url = start("--script", str(RULES))
    with process:
        yield Running(url)
        process.terminate()


@pytest.fixture
def settings(aws: None, simulator: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelSettings]:
    """As in AWS: the environment names the secret, and does not hold it."""
    client = boto3.client("secretsmanager", region_name="us-east-1")
    arn = client.create_secret(Name="switchyard/openai", SecretString=KEY)["ARN"]
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("SWITCHYARD_MODEL_OPENAI_SECRET_ARN", arn)
    monkeypatch.setenv("SWITCHYARD_MODEL_OPENAI_BASE_URL", f"{simulator.url}/v1")
    yield ModelSettings()
    client.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
    client.close()
    simulator.send("POST", "/sim/reset")


@pytest.mark.parametrize("fault", [None, {"error": 401}, {"error": 503}, {"stall_after_tokens": 1}])
async def test_key_is_in_no_dump_log_line_or_record(
    settings: ModelSettings,
    simulator: Running,
    fault: dict[str, object] | None,
    borrowed_logs: None,
    log_lines: LogLines,
    infrastructure: Infrastructure,
) -> None:
    configure_logs("drafter", "DEBUG")
    logging.getLogger("anything").debug("the most talkative setting there is")
    model = openai_model(settings)
    if fault is not None:
        simulator.inject(**fault)
    alone = FailoverModel(model, None)
    reported = []
    with alone.budget(LatencyBudget(total_ms=1_500)) as record:
        try:
            reported.append((await Agent(alone).run("tell me a story")).output)
        except AllModelsFailed as error:
            reported += [str(error), repr(error), *map(str, error.causes), *map(repr, error.causes)]
    assert (fault is None) == (record.decisions[0].result == "answered")
    call = model_call(record.decisions, prompt_version="")
    assert call is not None
    reported += [call.model_dump_json(), json.dumps(dict(os.environ)), repr(settings), settings.model_dump_json()]
    logged = json.dumps(log_lines())
    assert "the most talkative setting" in logged, "the test looks at the wrong stream"
    assert KEY not in "\n".join((*reported, logged))
    await model.client.close()  # type: ignore[attr-defined]


def test_local_key_in_environment_is_masked_in_settings() -> None:
    settings = ModelSettings.model_validate({"openai_api_key": KEY})
    assert KEY not in repr(settings) + str(settings) + settings.model_dump_json()


def test_invalid_secret_arn_is_refused_with_its_setting() -> None:
    with pytest.raises(ValueError, match="SWITCHYARD_MODEL_OPENAI_SECRET_ARN"):
        openai_model(ModelSettings(openai_secret_arn="switchyard/openai"))
